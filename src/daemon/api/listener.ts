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
import type { Duplex } from "node:stream";
import { readSmallFile } from "../../../ffi/files.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../../ffi/readiness.ts";
import { acceptUnix, peerCredentials } from "../../../ffi/unix_socket.ts";
import { PacedConnection } from "./paced_connection.ts";

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
/**
 * How long a request may take to arrive, and an answer that is complete to be
 * taken. **Units**: milliseconds.
 */
const MESSAGE_LIMIT_MS = 10_000;
/** Connections beyond these wait in the listener's backlog. */
const MAX_CONNECTIONS = 4000;
/**
 * What share of the fds that this process may have one listener's clients can
 * take: guests' connections, memory and lines need the others.
 */
const FD_SHARE = 1 / 4;
/** How long a listener rests when it can take no more. **Units**: ms. */
const REST_MS = 200;

/** A request, and where its answer goes. */
interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/** One client's connection. */
interface Connection {
  peer: Peer;
  /**
   * Requests without an answer that was taken, in their order: one, and perhaps
   * the next one, which came in one piece with its body. Only the first is
   * served: what a client may have made and does not read is one answer.
   */
  unanswered: Exchange[];
  /** The first one's head is here, but not yet its whole body. */
  isArriving: boolean;
  /** The first one's answer is complete: it is not, for long, if a stream. */
  isComplete: boolean;
  limit: ReturnType<typeof setTimeout> | undefined;
}

/** Serves one listening socket, which stays its owner's. */
export class ApiListener implements Disposable {
  readonly #listener: OwnedFd;
  readonly #server: Server;
  readonly #handler: ApiHandler;
  readonly #connections = new Map<PacedConnection, Connection>();
  readonly #maxConnections = maxConnections();
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /** Begins to serve. */
  constructor(listener: OwnedFd, handler: ApiHandler) {
    this.#listener = listener;
    this.#handler = handler;
    this.#server = createServer(
      // What lacks a host is refused here: Node would say nothing to it.
      { maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false },
      (request, response) => this.#take(request, response),
    );
    // It is this class that listens. A server that knows of no listener would
    // promise to keep a connection, and close it after its first answer.
    Object.defineProperty(this.#server, "listening", { value: true });
    // Whoever has said all he has to say may still want to hear the answers.
    Object.defineProperty(this.#server, "httpAllowHalfOpen", { value: true });
    this.#server.on("clientError", (_error: Error, socket: Duplex) => {
      if (socket.writable) socket.end(BAD_REQUEST);
      else socket.destroy();
    });
    void this.#acceptAll();
  }

  /** Ends all connections and listens no more. Idempotent. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#wait?.cancel();
    for (const socket of this.#connections.keys()) socket.destroy();
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
      while (this.#connections.size < this.#maxConnections) {
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
    const connection: Connection = {
      peer: peerCredentials(fd.fd),
      unanswered: [],
      isArriving: false,
      isComplete: false,
      limit: undefined,
    };
    const socket = new PacedConnection(
      new Socket({ fd: fd.release(), allowHalfOpen: true }),
      () => {
        const { unanswered: [first, ...others] } = connection;
        return first === undefined ||
          others.length === 0 && !first.request.complete;
      },
    );
    this.#connections.set(socket, connection);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#connections.delete(socket);
      clearTimeout(connection.limit);
    });
    limit(socket, connection);
    this.#server.emit("connection", socket);
  }

  /** Puts a request into its connection's queue. */
  #take(request: IncomingMessage, response: ServerResponse): void {
    const socket = request.socket as unknown as PacedConnection;
    const connection = this.#connections.get(socket);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    connection.unanswered.push({ request, response });
    // Whatever is written too late is lost with its connection, and nothing else.
    response.on("error", () => socket.destroy());
    if (connection.unanswered.length === 1) this.#serve(socket, connection);
  }

  /** Serves the first request of a connection, and then the next one. */
  #serve(socket: PacedConnection, connection: Connection): void {
    const [first] = connection.unanswered;
    if (first === undefined) {
      limit(socket, connection);
      return;
    }
    const { request, response } = first;
    connection.isArriving = true;
    connection.isComplete = false;
    request.on("end", () => {
      if (connection.unanswered[0] !== first) return;
      connection.isArriving = false;
      limit(socket, connection);
    });
    response.on("prefinish", () => {
      connection.isComplete = true;
      limit(socket, connection);
    });
    response.on("finish", () => {
      connection.unanswered.shift();
      this.#serve(socket, connection);
      socket.goOn();
    });
    limit(socket, connection);
    this.#answer(first, socket, connection);
  }

  #answer(
    { request, response }: Exchange,
    socket: PacedConnection,
    { peer }: Connection,
  ): void {
    const fail = (status: number, message: string) => {
      response.writeHead(status, {
        "content-type": "application/json",
        "connection": "close",
      });
      response.end(JSON.stringify({ error: { message } }));
    };
    if (request.httpVersion !== "1.0" && request.headers.host === undefined) {
      fail(400, "An HTTP/1.1 request names a host; any will do");
      return;
    }
    this.#handler(request, response, peer).catch((error: unknown) => {
      // A connection that ended in the middle has nobody left to be told.
      if (response.headersSent || socket.destroyed) socket.destroy();
      else fail(500, error instanceof Error ? error.message : String(error));
    });
  }
}

function maxConnections(): number {
  const limits = readSmallFile("/proc/self/limits") ?? "";
  const [, files] = /^Max open files +(\d+)/m.exec(limits) ?? [];
  if (files === undefined) return MAX_CONNECTIONS;
  return Math.min(MAX_CONNECTIONS, Math.floor(Number(files) * FD_SHARE));
}

/**
 * Ends a connection that does not bring a whole request, or does not take a
 * complete answer, in time; one that waits for its answer or reads a stream may
 * stay.
 */
function limit(socket: PacedConnection, connection: Connection): void {
  clearTimeout(connection.limit);
  const { unanswered, isArriving, isComplete } = connection;
  const isServed = unanswered.length > 0 && !isArriving && !isComplete;
  connection.limit = isServed || socket.destroyed
    ? undefined
    : setTimeout(() => socket.destroy(), MESSAGE_LIMIT_MS);
}

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\n" +
  "content-type: application/json\r\nconnection: close\r\n\r\n" +
  JSON.stringify({
    error: { message: "This is no HTTP/1.1 request, or its head is too long" },
  });
