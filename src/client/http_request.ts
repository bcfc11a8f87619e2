/**
 * HTTP over a unix socket that is opened here, not by Deno: so a program that
 * uses a service needs no network permission.
 *
 * @module
 */
import settings from "../../deno.json" with { type: "json" };
import { type IncomingMessage, request as startRequest } from "node:http";
import { Socket } from "node:net";
import { fileKind } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { checkHttpRuntime } from "../http/runtime.ts";
import { TimeLimit } from "../async/wait.ts";
import { socketSuggestion } from "./similar_socket.ts";

/**
 * Longest answer, and longest line of a stream: ten times what a large service
 * has to say. What is at a path may be another program. **Units**: bytes.
 */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** Limit of an answer by default. **Units**: ms. */
const ANSWER_LIMIT_MS = 10_000;
/**
 * Interval of attempts to reach a service with too many clients. **Units**: ms.
 */
const CALL_MS = 10;

/** A request to a service. */
export interface ApiRequest {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Further headers, in lower case. */
  headers?: Readonly<Record<string, string>>;
}

/** An answer whose body is still to be read. */
export interface ApiAnswer {
  status: number;
  /** The header of that name; `application/octet-stream` if there is none. */
  contentType: string;
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
 * @param signal Ends the wait, and those of the answer's `inTime`, when it is
 * aborted: the connection is closed.
 * @throws {TimeoutError} If it takes longer.
 * @throws {unknown} The signal's reason when it is aborted.
 * @throws {Error} If there is no service, the connection is lost, or the runtime
 * is too old.
 */
export async function sendRequest(
  socketPath: string,
  request: ApiRequest,
  limitMs: number = ANSWER_LIMIT_MS,
  signal?: AbortSignal,
): Promise<ApiAnswer> {
  signal?.throwIfAborted();
  checkHttpRuntime();
  const limit = new TimeLimit(socketPath, limitMs, signal);
  const socket = await connect(socketPath, limit);
  const end = () => {
    socket.destroy();
  };
  const answer = await limit.hold(ask(socket, socketPath, request), end);
  const { close } = answer;
  return { ...answer, inTime: (step) => limit.hold(step, close) };
}

function ask(
  socket: Socket,
  socketPath: string,
  { method, path, body, headers = {} }: ApiRequest,
): Promise<Omit<ApiAnswer, "inTime">> {
  const { promise, resolve, reject } = Promise.withResolvers<
    Omit<ApiAnswer, "inTime">
  >();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const request = startRequest({
    method,
    path,
    headers: {
      ...headers,
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
      contentType: response.headers["content-type"] ??
        "application/octet-stream",
      body: streamBody(response as AsyncIterable<Uint8Array>, socketPath),
      close: () => {
        response.destroy();
        socket.destroy();
      },
    });
  });
  request.on("error", (cause: Error) => {
    reject(unanswered(socketPath, cause));
  });
  request.end(text);
  return promise;
}

async function* streamBody(
  body: AsyncIterable<Uint8Array>,
  socketPath: string,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* body;
  } catch (cause) {
    throw lost(socketPath, cause);
  }
}

/** The error of a request that was not answered at all. */
function unanswered(socketPath: string, cause: Error & { code?: string }) {
  const why = cause.code === "ECONNRESET"
    ? "it closed the connection without an answer"
    : cause.code?.startsWith("HPE_")
    ? "its answer is not HTTP"
    : undefined;
  if (why === undefined) return lost(socketPath, cause);
  return strangeAnswer(socketPath, why, cause);
}

/** The error of an answer that no control API gives. */
export function strangeAnswer(
  socketPath: string,
  why: string,
  cause?: unknown,
): Error {
  return new Error(
    `Nothing at ${socketPath} answers as a control API does: ${why}. It has ` +
      "just ended, is a gpioagg of another version than " +
      `${settings.version}, or this is another socket (a VMM's, one of ` +
      "gpioagg sim, another program's)",
    { cause },
  );
}

function lost(socketPath: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Error(`Lost the service at ${socketPath}: ${why}`, { cause });
}

async function connect(socketPath: string, limit: TimeLimit): Promise<Socket> {
  for (;;) {
    try {
      const connection = connectUnix(socketPath, {
        wait: false,
        descriptors: false,
      });
      return new Socket({ fd: connection.release() });
    } catch (error) {
      if (!isOsError(error)) throw error;
      // So many wait there that the kernel takes no more: a caller that waited
      // inside connect() would stand still as a whole.
      if (!isOsError(error, "EAGAIN")) throw unreachable(socketPath, error);
    }
    await limit.sleep(CALL_MS);
  }
}

function unreachable(
  socketPath: string,
  error: Error & { code: string },
): Error {
  const kind = isOsError(error, "ECONNREFUSED")
    // connect() reports a file that is not a socket as ECONNREFUSED.
    ? fileKind(socketPath)
    : undefined;
  const why = kind !== undefined && kind !== "socket"
    ? `it is a ${kind}, not a socket`
    : isOsError(error, "ENOENT")
    ? `no service has its control API there${socketSuggestion(socketPath)}`
    : isOsError(error, "ECONNREFUSED")
    ? "its service has ended"
    : isOsError(error, "EACCES", "EPERM")
    ? "you may not use this socket; its owner, group and mode decide"
    : error.message;
  return new Error(`Cannot reach ${socketPath}: ${error.code}; ${why}`, {
    cause: error,
  });
}

/**
 * A whole body as text, of at most `limitBytes`.
 *
 * @throws {RangeError} If it has no end.
 */
export async function readText(
  body: AsyncIterable<Uint8Array>,
  limitBytes: number = MAX_ANSWER_BYTES,
): Promise<string> {
  const decoder = new TextDecoder();
  const pieces: string[] = [];
  let left = limitBytes;
  for await (const piece of body) {
    if ((left -= piece.length) < 0) throw tooMuch(limitBytes);
    pieces.push(decoder.decode(piece, { stream: true }));
  }
  return pieces.join("") + decoder.decode();
}

/**
 * A body line by line, without the line feeds; a line has at most `limitBytes`.
 *
 * @throws {RangeError} If a line has no end.
 */
export async function* readLines(
  body: AsyncIterable<Uint8Array>,
  limitBytes: number = MAX_ANSWER_BYTES,
): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  // Pieces of a line are joined once, at its end.
  let pieces: string[] = [];
  let left = limitBytes;
  for await (const piece of body) {
    const [first = "", ...others] = decoder.decode(piece, { stream: true })
      .split("\n");
    pieces.push(first);
    if ((left -= piece.length) < 0) throw tooMuch(limitBytes);
    for (const next of others) {
      yield pieces.join("");
      pieces = [next];
      left = limitBytes;
    }
  }
}

function tooMuch(limitBytes: number): RangeError {
  return new RangeError(
    `The service answers with more than ${limitBytes / 2 ** 20} MiB`,
  );
}
