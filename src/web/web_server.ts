/**
 * Serves the page to browsers: its files, and the control API of a service behind
 * a token.
 *
 * It is a client of the service like others. Of the change side it passes on one
 * request only, and only if that was allowed: pulling simulated lines.
 *
 * @module
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { limitSendBuffer } from "../../ffi/client_connection.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../ffi/readiness.ts";
import { acceptTcp } from "../../ffi/tcp_socket.ts";
import { type ApiAnswer, sendRequest } from "../client/http_request.ts";
import { acceptingServer } from "../http/accepting_server.ts";
import {
  EVENT_STREAM_TYPE,
  PacedConnection,
} from "../http/paced_connection.ts";
import { checkHttpRuntime } from "../http/runtime.ts";
import { expectsTooMuch } from "../http/expectation.ts";
import { hasSeveralHosts } from "../http/several_hosts.ts";
import { printableError } from "../text/printable.ts";
import { PAGE_FILES, SAFE_HEADERS } from "./files.ts";
import type { Gate } from "./gate.ts";

/** Sockets of the service. */
interface Upstream {
  /** Its look-only socket. */
  readonly look: string;
  /** The socket at which lines may be pulled; undefined: read only. */
  readonly change: string | undefined;
}

/** Connections at a time; a browser makes six. */
const MAX_CONNECTIONS = 64;
/**
 * Limit of a request to arrive whole, and of its answer to be taken unless it is
 * the service's. **Units**: milliseconds.
 */
const MESSAGE_LIMIT_MS = 10_000;
/** Bytes that the kernel holds for a browser that does not read. */
const SEND_BUFFER_BYTES = 128 * 1024;
const MAX_BODY_BYTES = 64 * 1024;
/** Rest of a listener while there is no room. **Units**: milliseconds. */
const REST_MS = 50;
/** Paths that the look side answers; the rest is the service's to refuse. */
const LOOK = /^\/(?:v1\/|metrics$|openapi\.json$)/;
/** The one change that is passed on. */
const PULL = /^\/v1\/aggregators\/[^/?]{1,255}\/lines$/;
/** Headers that are passed on to the service. */
const PASSED_ON = ["accept", "last-event-id"];

/** A browser's connection. */
interface Connection {
  readonly socket: PacedConnection;
  /** True once it has shown the token: no stranger takes its place. */
  isKnown: boolean;
  /** The request that is being answered; the next one waits as bytes. */
  request: IncomingMessage | undefined;
  limit: ReturnType<typeof setTimeout> | undefined;
}

/** **Ownership**: owns the listener. */
export class WebServer implements Disposable {
  readonly #listener: OwnedFd;
  readonly #gate: Gate;
  readonly #upstream: Upstream;
  readonly #server: Server;
  readonly #limitMs: number;
  /** By their sockets, the oldest first. */
  readonly #connections = new Map<unknown, Connection>();
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /**
   * Begins to serve.
   *
   * @param limitMs Time for what a connection has to do next; tests bring their
   * own.
   * @throws {RuntimeError} If the runtime is too old.
   */
  constructor(
    listener: OwnedFd,
    gate: Gate,
    upstream: Upstream,
    limitMs: number = MESSAGE_LIMIT_MS,
  ) {
    checkHttpRuntime();
    this.#listener = listener;
    this.#limitMs = limitMs;
    this.#gate = gate;
    this.#upstream = upstream;
    this.#server = acceptingServer(
      (request, response) => this.#take(request, response),
      "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
    );
    void this.#acceptAll();
  }

  /** Ends all connections and listens no more. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wait?.cancel();
    for (const { socket } of this.#connections.values()) socket.destroy();
    this.#listener.close();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      this.#wait = whenReadable(this.#listener.fd);
      if (!await this.#wait.ready || this.#isClosed) return;
      if (this.#acceptSome()) continue;
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }

  /** Returns false if there is no room for more. */
  #acceptSome(): boolean {
    try {
      for (;;) {
        const isFull = this.#connections.size >= MAX_CONNECTIONS;
        const least = isFull ? this.#leastNeeded() : undefined;
        if (isFull && least === undefined) return false;
        const fd = acceptTcp(this.#listener.fd);
        if (fd === undefined) return true;
        if (least !== undefined) this.#end(least);
        this.#begin(fd);
      }
    } catch (error) {
      if (!isOsError(error)) throw error;
    }
    return false;
  }

  /**
   * The connection whose place another one gets, the oldest of its kind: one
   * without a request, but first those without the token. Every user of the host
   * can make these, and keep a request unfinished.
   */
  #leastNeeded(): Connection | undefined {
    const all = [...this.#connections.values()];
    const isIdle = ({ request }: Connection) => request === undefined;
    const strangers = all.filter(({ isKnown }) => !isKnown);
    return strangers.find(isIdle) ?? strangers[0] ?? all.find(isIdle);
  }

  #end({ socket }: Connection): void {
    this.#connections.delete(socket);
    socket.destroy();
  }

  #begin(fd: OwnedFd): void {
    try {
      limitSendBuffer(fd.fd, SEND_BUFFER_BYTES);
    } catch (error) {
      fd.close();
      throw error;
    }
    const socket = new PacedConnection(
      new Socket({ fd: fd.release(), allowHalfOpen: true }),
      () => connection.request?.complete !== true,
    );
    const connection: Connection = {
      socket,
      isKnown: false,
      request: undefined,
      limit: undefined,
    };
    this.#connections.set(socket, connection);
    socket.on("error", () => socket.destroy());
    socket.on("end", () => {
      // In the middle of a body: Node would wait for the rest.
      if (connection.request?.complete === false) socket.destroy();
    });
    socket.on("close", () => {
      clearTimeout(connection.limit);
      this.#connections.delete(socket);
    });
    limit(connection, this.#limitMs);
    this.#server.emit("connection", socket);
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket);
    // It lost its place.
    if (connection === undefined) return void request.socket.destroy();
    const { socket } = connection;
    response.on("error", () => socket.destroy());
    connection.request = request;
    // Until its answer is taken; the next request has as long again.
    limit(connection, this.#limitMs);
    response.on("finish", () => {
      connection.request = undefined;
      limit(connection, this.#limitMs);
      socket.goOn();
    });
    for (const [name, value] of Object.entries(SAFE_HEADERS)) {
      response.setHeader(name, value);
    }
    const endless = () => clearTimeout(connection.limit);
    this.#answer(request, response, endless).catch((error: unknown) => {
      if (response.headersSent || socket.destroyed) socket.destroy();
      else fail(response, 502, printableError(error));
    });
  }

  /** @param endless Is called when an answer may take as long as it likes. */
  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    endless: () => void,
  ): Promise<void> {
    if (hasSeveralHosts(request)) {
      return fail(response, 400, "A request names one host");
    }
    if (expectsTooMuch(request)) {
      return fail(response, 417, "Expect has no other value than 100-continue");
    }
    const { method = "", url = "" } = request;
    const [path = ""] = url.split("?", 1);
    const head = { method, headers: request.headers };
    const isReading = method === "GET" || method === "HEAD";
    const file = PAGE_FILES.get(path);
    if (file !== undefined || path === "/session") {
      const refused = this.#gate.refusePage(head);
      if (refused !== undefined) {
        return fail(response, refused.status, refused.message);
      }
      if (file === undefined) return await this.#login(request, response);
      if (!isReading) return fail(response, 405, "GET or HEAD only");
      response.writeHead(200, {
        "content-type": file.type,
        "cache-control": "no-cache",
      });
      response.end(method === "HEAD" ? undefined : file.text);
      return;
    }
    const refused = this.#gate.refuse(head);
    if (refused !== undefined) {
      return fail(response, refused.status, refused.message);
    }
    this.#markKnown(request);
    const { look, change } = this.#upstream;
    if (path === "/access" && isReading) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ mayPull: change !== undefined }));
      return;
    }
    if (isReading && LOOK.test(path)) {
      endless();
      return await forward(request, response, look, "GET");
    }
    if (method !== "PATCH" || !PULL.test(path)) {
      return fail(response, 404, "Not served here");
    }
    if (change === undefined) {
      return fail(response, 403, "This page is read only: gpioagg ui --change");
    }
    const type = request.headers["content-type"] ?? "";
    if (!/^application\/json\b/.test(type)) {
      return fail(response, 415, "The body must be application/json");
    }
    const body = await readBody(request);
    if (body === undefined) return fail(response, 413, "The body is too long");
    await forward(request, response, change, "PATCH", parse(body));
  }

  /** The connection has shown the token. */
  #markKnown({ socket }: IncomingMessage): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.isKnown = true;
  }

  /** Has the browser keep a right token. */
  async #login(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.method !== "POST") return fail(response, 405, "POST only");
    const token = await readBody(request);
    if (token === undefined || !this.#gate.isToken(token)) {
      return fail(response, 403, "The token is wrong");
    }
    this.#markKnown(request);
    const head = { method: "POST", headers: request.headers };
    response.setHeader("set-cookie", this.#gate.cookie(head, token));
    response.writeHead(204);
    response.end();
  }
}

/** Passes a request on, and its answer back as fast as the browser reads it. */
async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  socketPath: string,
  method: "GET" | "PATCH",
  body?: unknown,
): Promise<void> {
  const headers: Record<string, string> = {};
  for (const name of PASSED_ON) {
    const value = request.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  const answer: ApiAnswer = await sendRequest(socketPath, {
    method,
    path: request.url!,
    headers,
    ...body === undefined ? {} : { body },
  });
  const close = () => answer.close();
  response.on("close", close);
  try {
    response.writeHead(answer.status, {
      "content-type": answer.contentType,
      "cache-control": "no-store",
    });
    const socket: unknown = response.socket;
    if (
      socket instanceof PacedConnection &&
      answer.contentType.startsWith(EVENT_STREAM_TYPE)
    ) {
      // A closed one is done; nothing else shows that before an event does.
      if (socket.readableEnded) return void response.end();
      socket.once("end", () => socket.destroy());
      socket.beginStream(EVENT_STREAM_TYPE);
    }
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    await pipeline(answer.body, response);
  } finally {
    close();
  }
}

/** Returns a body as text; undefined if it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let left = MAX_BODY_BYTES;
  for await (const piece of request as AsyncIterable<Uint8Array>) {
    left -= piece.length;
    if (left < 0) return undefined;
    pieces.push(piece);
  }
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join(
    "",
  ) +
    decoder.decode();
}

/** Returns what a body says; its text where that is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Ends a connection that does not do in time what it has to do next. */
function limit(connection: Connection, limitMs: number): void {
  const { socket } = connection;
  clearTimeout(connection.limit);
  if (socket.destroyed) return;
  connection.limit = setTimeout(() => socket.destroy(), limitMs);
}

function fail(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "cache-control": "no-store",
    "connection": "close",
  });
  response.end(JSON.stringify({ error: { message } }));
}
