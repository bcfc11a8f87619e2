/**
 * Serves the page to browsers: its files, and the control API of a service behind
 * a token.
 *
 * It is a client of the service like others. Of the change side it passes on one
 * request only, and only if that was allowed: pulling simulated lines.
 *
 * @module
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../ffi/readiness.ts";
import { acceptTcp } from "../../ffi/tcp_socket.ts";
import { type ApiAnswer, sendRequest } from "../client/http_request.ts";
import { printableError } from "../text/printable.ts";
import { PAGE_FILES, SAFE_HEADERS } from "./files.ts";
import type { Gate } from "./gate.ts";

/** Sockets of the service. */
export interface Upstream {
  /** Its look-only socket. */
  readonly look: string;
  /** The socket at which lines may be pulled; undefined: read only. */
  readonly change: string | undefined;
}

/** Connections at a time; a browser makes six. */
const MAX_CONNECTIONS = 64;
/** Limit of a request to arrive whole. **Units**: milliseconds. */
const ARRIVAL_MS = 10_000;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_BODY_BYTES = 64 * 1024;
/** Rest of a listener while there is no room. **Units**: milliseconds. */
const REST_MS = 50;
/** Paths that the look side answers; the rest is the service's to refuse. */
const LOOK = /^\/(?:v1\/|metrics$|openapi\.json$)/;
/** The one change that is passed on. */
const PULL = /^\/v1\/aggregators\/[^/?]{1,255}\/lines$/;
/** Headers that are passed on to the service. */
const PASSED_ON = ["accept", "last-event-id"];

/** **Ownership**: owns the listener. */
export class WebServer implements Disposable {
  readonly #listener: OwnedFd;
  readonly #gate: Gate;
  readonly #upstream: Upstream;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /** Begins to serve. */
  constructor(listener: OwnedFd, gate: Gate, upstream: Upstream) {
    this.#listener = listener;
    this.#gate = gate;
    this.#upstream = upstream;
    this.#server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false },
      (request, response) => this.#take(request, response),
    );
    // It is this class that listens: see the control API's own listener.
    Object.defineProperty(this.#server, "listening", { value: true });
    this.#server.on("clientError", (_error: Error, socket: Socket) => {
      socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    });
    void this.#acceptAll();
  }

  /** Ends all connections and listens no more. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wait?.cancel();
    for (const socket of this.#connections) socket.destroy();
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
      while (this.#connections.size < MAX_CONNECTIONS) {
        const fd = acceptTcp(this.#listener.fd);
        if (fd === undefined) return true;
        this.#begin(new Socket({ fd: fd.release() }));
      }
    } catch (error) {
      if (!isOsError(error)) throw error;
    }
    return false;
  }

  #begin(socket: Socket): void {
    this.#connections.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearLimit(socket);
      this.#connections.delete(socket);
    });
    awaitRequest(socket);
    this.#server.emit("connection", socket);
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    response.on("error", () => socket.destroy());
    // Its head is here. The next request has as long again.
    clearLimit(socket);
    response.on("finish", () => awaitRequest(socket));
    for (const [name, value] of Object.entries(SAFE_HEADERS)) {
      response.setHeader(name, value);
    }
    this.#answer(request, response).catch((error: unknown) => {
      if (response.headersSent || socket.destroyed) socket.destroy();
      else fail(response, 502, printableError(error));
    });
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
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
    const { look, change } = this.#upstream;
    if (path === "/access" && isReading) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ mayPull: change !== undefined }));
      return;
    }
    if (isReading && LOOK.test(path)) {
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
    const body = await bodyOf(request);
    if (body === undefined) return fail(response, 413, "The body is too long");
    await forward(request, response, change, "PATCH", parse(body));
  }

  /** Has the browser keep a right token. */
  async #login(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.method !== "POST") return fail(response, 405, "POST only");
    const token = await bodyOf(request);
    if (token === undefined || !this.#gate.isToken(token)) {
      return fail(response, 403, "The token is wrong");
    }
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
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let left = MAX_BODY_BYTES;
  const limit = setTimeout(() => request.socket.destroy(), ARRIVAL_MS);
  try {
    for await (const piece of request as AsyncIterable<Uint8Array>) {
      left -= piece.length;
      if (left < 0) return undefined;
      pieces.push(piece);
    }
  } finally {
    clearTimeout(limit);
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

const limits = new WeakMap<Socket, ReturnType<typeof setTimeout>>();

/** Ends a connection that brings no request in time. */
function awaitRequest(socket: Socket): void {
  clearLimit(socket);
  if (socket.destroyed) return;
  limits.set(socket, setTimeout(() => socket.destroy(), ARRIVAL_MS));
}

function clearLimit(socket: Socket): void {
  clearTimeout(limits.get(socket));
  limits.delete(socket);
}

function fail(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "cache-control": "no-store",
    "connection": "close",
  });
  response.end(JSON.stringify({ error: { message } }));
}
