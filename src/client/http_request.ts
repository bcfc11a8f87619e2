/**
 * HTTP over a unix socket that is opened here, not by Deno: so a program that
 * uses a service needs no network permission.
 *
 * @module
 */
import { type IncomingMessage, request as startRequest } from "node:http";
import { Socket } from "node:net";
import { isOsError } from "../../ffi/os_error.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { TimeLimit } from "./time_limit.ts";

/** How long an answer may take if nothing else is said. **Units**: ms. */
const ANSWER_LIMIT_MS = 10_000;
/** How often a service is called that has too many callers. **Units**: ms. */
const CALL_MS = 10;

/** A request to a service. */
export interface ApiRequest {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  /** Sent as JSON. */
  body?: unknown;
}

/** An answer whose body is still to be read. */
export interface ApiAnswer {
  status: number;
  /** The body, as it comes. */
  body: AsyncIterable<Uint8Array>;
  /**
   * Waits for a step of reading the body, for no longer than the request had
   * from its beginning; then the connection is ended. A body that is a stream
   * is read without it.
   *
   * @throws {TimeoutError} If it takes longer.
   */
  inTime<T>(step: Promise<T>): Promise<T>;
  /** Ends the connection, read or not. Idempotent. */
  close(): void;
}

/**
 * Sends a request to the service at `socketPath` and waits for the head of its
 * answer.
 *
 * @param limitMs How long that may take; with what the answer's `inTime` waits
 * for. **Units**: milliseconds.
 * @throws {TimeoutError} If it takes longer.
 * @throws {Error} If nobody serves there, or the connection is lost.
 */
export async function sendRequest(
  socketPath: string,
  request: ApiRequest,
  limitMs: number = ANSWER_LIMIT_MS,
): Promise<ApiAnswer> {
  const limit = new TimeLimit(socketPath, limitMs);
  const socket = await connect(socketPath, limit);
  const end = () => {
    socket.destroy();
  };
  const { status, body, close } = await limit.hold(
    ask(socket, socketPath, request),
    end,
  );
  return { status, body, close, inTime: (step) => limit.hold(step, close) };
}

function ask(
  socket: Socket,
  socketPath: string,
  { method, path, body }: ApiRequest,
): Promise<Omit<ApiAnswer, "inTime">> {
  const { promise, resolve, reject } = Promise.withResolvers<
    Omit<ApiAnswer, "inTime">
  >();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const request = startRequest({
    method,
    path,
    headers: {
      host: "gpioagg",
      connection: "close",
      ...(text === undefined ? {} : {
        "content-type": "application/json",
        "content-length": String(new TextEncoder().encode(text).length),
      }),
    },
    createConnection: () => socket,
  }, (response: IncomingMessage) => {
    resolve({
      status: response.statusCode ?? 0,
      body: bodyOf(response as AsyncIterable<Uint8Array>, socketPath),
      close: () => {
        response.destroy();
        socket.destroy();
      },
    });
  });
  request.on("error", (cause: Error) => reject(lost(socketPath, cause)));
  request.end(text);
  return promise;
}

async function* bodyOf(
  body: AsyncIterable<Uint8Array>,
  socketPath: string,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* body;
  } catch (cause) {
    throw lost(socketPath, cause);
  }
}

function lost(socketPath: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Error(`Lost the service at ${socketPath}: ${why}`, { cause });
}

async function connect(socketPath: string, limit: TimeLimit): Promise<Socket> {
  for (;;) {
    try {
      const connection = connectUnix(socketPath, { wait: false });
      return new Socket({ fd: connection.release() });
    } catch (error) {
      if (!isOsError(error)) throw error;
      // So many wait there that the kernel takes no more: a caller that waited
      // inside connect() would stand still as a whole.
      if (!isOsError(error, "EAGAIN")) throw unreachable(socketPath, error);
    }
    await limit.wait(CALL_MS);
  }
}

function unreachable(
  socketPath: string,
  error: Error & { code: string },
): Error {
  const why = isOsError(error, "ENOENT")
    ? "no service has its control API there"
    : isOsError(error, "ECONNREFUSED")
    ? "its service has ended"
    : isOsError(error, "EACCES", "EPERM")
    ? "you may not use this socket; its owner, group and mode decide"
    : error.message;
  return new Error(`Cannot reach ${socketPath}: ${error.code}; ${why}`, {
    cause: error,
  });
}

/** A whole body as text. */
export async function readText(
  body: AsyncIterable<Uint8Array>,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of body) {
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** A body line by line, without the line feeds. */
export async function* readLines(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of body) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
