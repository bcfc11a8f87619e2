/**
 * The control API's connections: accepted here, so that the kernel tells who
 * is there and Deno needs no network permission; spoken to by `node:http`.
 *
 * Loaded only when a service is given a control API.
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
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../ffi/readiness.ts";
import { acceptUnix, peerCredentials } from "../../ffi/unix_socket.ts";

/** Who is at the other end, as the kernel saw it when they connected. */
export interface Peer {
  pid: number;
  uid: number;
  gid: number;
}

/** Answers one request. Exceptions are the listener's to answer. */
export type ApiHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  peer: Peer,
) => Promise<void>;

/** Longest head of a request. **Units**: bytes. */
const MAX_HEADER_BYTES = 16 * 1024;
/** How long a request may take to arrive. **Units**: milliseconds. */
const REQUEST_LIMIT_MS = 10_000;
/** Connections beyond these wait in the listener's backlog. */
const MAX_CONNECTIONS = 4000;
/** How long a listener rests when it can take no more. **Units**: ms. */
const REST_MS = 200;

/** Serves one listening socket, which stays its owner's. */
export class ApiListener implements Disposable {
  readonly #listener: OwnedFd;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  readonly #peers = new WeakMap<Socket, Peer>();
  readonly #limits = new WeakMap<Socket, ReturnType<typeof setTimeout>>();
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /** Begins to serve. */
  constructor(listener: OwnedFd, handler: ApiHandler) {
    this.#listener = listener;
    this.#server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES },
      (request, response) => this.#answer(handler, request, response),
    );
    this.#server.on("clientError", (_error: Error, socket: Socket) => {
      if (socket.writable) socket.end(BAD_REQUEST);
      else socket.destroy();
    });
    void this.#acceptAll();
  }

  /** Ends all connections and listens no more. Idempotent. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#wait?.cancel();
    for (const socket of this.#connections) socket.destroy();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      this.#wait = whenReadable(this.#listener.fd);
      if (!await this.#wait.ready) return;
      if (this.#isClosed) return;
      if (!this.#acceptSome()) {
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
      }
    }
  }

  /** False when no more can be taken for now. */
  #acceptSome(): boolean {
    try {
      while (this.#connections.size < MAX_CONNECTIONS) {
        const fd = acceptUnix(this.#listener.fd);
        if (fd === undefined) return true;
        this.#begin(fd);
      }
    } catch (error) {
      // The process has no fd left: those that are there are served on.
      if (!isOsError(error)) throw error;
    }
    return false;
  }

  #begin(fd: OwnedFd): void {
    const peer = peerCredentials(fd.fd);
    const socket = new Socket({ fd: fd.release() });
    this.#peers.set(socket, peer);
    this.#connections.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#connections.delete(socket);
      this.#stopLimit(socket);
    });
    this.#startLimit(socket);
    this.#server.emit("connection", socket);
  }

  #answer(
    handler: ApiHandler,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const socket = request.socket as unknown as Socket;
    const peer = this.#peers.get(socket);
    if (peer === undefined) {
      socket.destroy();
      return;
    }
    request.on("end", () => this.#stopLimit(socket));
    response.on("finish", () => this.#startLimit(socket));
    handler(request, response, peer).catch((error: unknown) => {
      // A connection that ended in the middle has nobody left to be told.
      if (response.headersSent || socket.destroyed) socket.destroy();
      else {
        const message = error instanceof Error ? error.message : String(error);
        response.writeHead(500, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { message } }));
      }
    });
  }

  /** Ends a connection that does not bring a whole request in time. */
  #startLimit(socket: Socket): void {
    this.#stopLimit(socket);
    if (socket.destroyed) return;
    this.#limits.set(
      socket,
      setTimeout(() => socket.destroy(), REQUEST_LIMIT_MS),
    );
  }

  #stopLimit(socket: Socket): void {
    clearTimeout(this.#limits.get(socket));
    this.#limits.delete(socket);
  }
}

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\n" +
  "content-type: application/json\r\nconnection: close\r\n\r\n" +
  JSON.stringify({
    error: { message: "This is no HTTP/1.1 request, or its head is too long" },
  });
