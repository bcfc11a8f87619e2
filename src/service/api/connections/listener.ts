/**
 * The control API's connections: accepted here, so that the kernel shows who
 * is there and Deno needs no network permission; spoken to by `node:http`.
 *
 * Loaded only when a service is given a control API.
 *
 * @module
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Socket } from "node:net";
import {
  isAbandoned,
  limitSendBuffer,
} from "../../../../ffi/client_connection.ts";
import {
  descriptorLimit,
  descriptorShares,
} from "../../../../ffi/descriptor_budget.ts";
import {
  isBehindWithCloses,
  tendHelpers,
} from "../../../../ffi/helper_thread.ts";
import { effectiveUserId } from "../../../../ffi/sysfs.ts";
import { isOsError } from "../../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../../ffi/owned_fd.ts";
import { type ReadinessWait, whenReadable } from "../../../../ffi/readiness.ts";
import {
  closeConnection,
  refuseDescriptors,
  send,
} from "../../../../ffi/socket_message.ts";
import { acceptUnix, peerCredentials } from "../../../../ffi/unix_socket.ts";
import { Arrivals } from "./arrivals.ts";
import { isDroppable } from "./droppable_request.ts";
import { ConnectionSlots, slotLimits } from "../../sockets/connection_slots.ts";
import { acceptingServer } from "../../../http/accepting_server.ts";
import { PacedConnection } from "../../../http/paced_connection.ts";
import { expectsTooMuch } from "../../../http/expectation.ts";
import { hasSeveralHosts } from "../../../http/several_hosts.ts";
import { printableError } from "../../../text/printable.ts";

/** Process at the other end, as the kernel saw it when it connected. */
export interface Peer {
  pid: number;
  uid: number;
  gid: number;
}

/** Answers one request. Exceptions are the listener's to answer. */
type ApiHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  peer: Peer,
) => Promise<void>;

/**
 * Time limit for a request to arrive, and for an answer that is complete to be
 * taken. **Units**: milliseconds.
 */
const MESSAGE_LIMIT_MS = 10_000;
/** Most connections of a listener. */
const MAX_CONNECTIONS = 4000;
/**
 * Time for which a listener rests when the process has no fd left, or those of
 * clients are not closed yet. **Units**: ms.
 */
const REST_MS = 50;
/** The same once an idle connection has given up its slot. */
const SHORT_REST_MS = 5;
/** Time for which a listener accepts before others have their turn. **Units**: ms. */
const ACCEPT_MS = 2;
/**
 * The same, and the rest after it, while connections come to nothing. At full
 * speed they would otherwise keep a CPU busy that guests wait for; a guest that
 * meets such a turn waits for less than a millisecond. **Units**: ms.
 */
const FLOODED_ACCEPT_MS = 0.5;
const FLOODED_REST_MS = 1;
/** Connections of a listener that wait to be begun, at most. */
const MAX_ARRIVALS = 1024;
/** Connections that are begun before others have their turn, at most. */
const BEGUN_AT_ONCE = 8;
/**
 * Bytes of an answer that the kernel holds for a client that does not read: by
 * default they would be 200 KB, which count as the service's memory.
 */
const SEND_BUFFER_BYTES = 32 * 1024;
/** A connection that did something this short ago is not idle. **Units**: ms. */
const FRESH_MS = 250;
/** Least {@linkcode rankConnection} of connections that are idle. */
const IDLE_RANK = 2;
/**
 * Time limit for the last answer to a client without a slot to be read, and
 * for how many connections at a time. **Units**: ms.
 */
const CLOSE_DELAY_MS = 100;
const MAX_CLOSING = 16;

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
  /** Time of the last change of the above. **Units**: ms, monotonic. */
  since: number;
  /** A request was answered. */
  wasServed: boolean;
}

/** Serves one listening socket, which stays its owner's. */
export class ApiListener implements Disposable {
  readonly #listener: OwnedFd;
  readonly #server: Server;
  readonly #handler: ApiHandler;
  readonly #connections = new Map<PacedConnection, Connection>();
  readonly #slots: ConnectionSlots<PacedConnection>;
  readonly #arrivals: Arrivals<{ fd: OwnedFd; peer: Peer }>;
  #closing = 0;
  /** Connections came to nothing in the last turn, or since. */
  #isFlooded = false;
  #wait: ReadinessWait | undefined;
  #isClosed = false;

  /** Begins to serve. */
  constructor(listener: OwnedFd, handler: ApiHandler) {
    this.#listener = listener;
    this.#handler = handler;
    const own = effectiveUserId();
    const most = descriptorShares(descriptorLimit()).perApiListener;
    const arrivals = Math.min(MAX_ARRIVALS, Math.floor(most / 2));
    this.#arrivals = new Arrivals(arrivals);
    this.#slots = new ConnectionSlots({
      limits: slotLimits(Math.min(MAX_CONNECTIONS, most - arrivals)),
      isPrivileged: (uid) => uid === 0 || uid === own,
      rank: (socket) => rankConnection(socket, this.#connections.get(socket)),
    });
    refuseDescriptors(listener.fd);
    this.#server = acceptingServer(
      (request, response) => this.#take(request, response),
      BAD_REQUEST,
    );
    void this.#acceptAll();
  }

  /** Ends all connections and listens no more. Idempotent. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#wait?.cancel();
    for (;;) {
      const next = this.#arrivals.take();
      if (next === undefined) break;
      closeConnection(next.fd);
    }
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      if (this.#arrivals.size === 0) {
        this.#wait = whenReadable(this.#listener.fd);
        if (!await this.#wait.ready) return;
        if (this.#isClosed) return;
      }
      const turnMs = this.#isFlooded ? FLOODED_ACCEPT_MS : ACCEPT_MS;
      this.#isFlooded = false;
      let restMs = this.#acceptSome(turnMs);
      this.#beginSome(turnMs);
      if (this.#isFlooded) restMs = Math.max(restMs ?? 0, FLOODED_REST_MS);
      if (restMs === undefined && this.#arrivals.size === 0) continue;
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  }

  /** Returns how long to rest before more is accepted, if at all. */
  #acceptSome(turnMs: number): number | undefined {
    const end = performance.now() + turnMs;
    try {
      while (performance.now() < end) {
        // Each that is accepted may bring more of them.
        if (isBehindWithCloses()) {
          tendHelpers();
          return REST_MS;
        }
        const fd = acceptUnix(this.#listener.fd);
        if (fd === undefined) return undefined;
        if (isAbandoned(fd.fd, isDroppable)) this.#drop(fd);
        else this.#arrive(fd);
      }
    } catch (error) {
      if (!isOsError(error)) throw error;
      // No fd left: a client that waits gets that of one that does nothing.
      const idle = this.#slots.displaceOne(IDLE_RANK);
      idle?.destroy();
      return idle === undefined ? REST_MS : SHORT_REST_MS;
    }
    // A flood of connections has half of the time.
    return turnMs;
  }

  /** Closes the connection of a client that is gone. */
  #drop(fd: OwnedFd): void {
    this.#isFlooded = true;
    closeConnection(fd);
  }

  /** Puts a connection in line. */
  #arrive(fd: OwnedFd): void {
    let peer: Peer;
    try {
      // One that came before the listener began to refuse them.
      refuseDescriptors(fd.fd);
      limitSendBuffer(fd.fd, SEND_BUFFER_BYTES);
      peer = peerCredentials(fd.fd);
    } catch (error) {
      // What the kernel does not know may not ask for anything.
      closeConnection(fd);
      if (!isOsError(error)) throw error;
      return;
    }
    const surplus = this.#arrivals.add({ fd, peer }, peer);
    if (surplus !== undefined) refuseNow(surplus.fd, surplus.peer.uid);
  }

  /** Begins connections whose turn has come; clients that are gone are not. */
  #beginSome(turnMs: number): void {
    const end = performance.now() + turnMs;
    for (let i = 0; i < BEGUN_AT_ONCE && performance.now() < end;) {
      const next = this.#arrivals.take();
      if (next === undefined) return;
      if (isAbandoned(next.fd.fd, isDroppable)) this.#drop(next.fd);
      else {
        this.#begin(next.fd, next.peer);
        i++;
      }
    }
  }

  #begin(fd: OwnedFd, peer: Peer): void {
    const connection: Connection = {
      peer,
      unanswered: [],
      isArriving: false,
      isComplete: false,
      limit: undefined,
      since: performance.now(),
      wasServed: false,
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
    socket.on("end", () => {
      const { unanswered: [first] } = connection;
      if (first !== undefined) endIfCutOff(socket, first.request);
    });
    socket.on("close", () => {
      this.#connections.delete(socket);
      this.#slots.release(socket);
      if (!connection.wasServed) this.#isFlooded = true;
      clearTimeout(connection.limit);
    });
    const { isAdmitted, displaced } = this.#slots.admit(socket, peer.uid);
    if (displaced !== undefined) this.#displace(displaced);
    if (!isAdmitted) {
      this.#refuse(socket, peer.uid);
      return;
    }
    limit(socket, connection);
    this.#server.emit("connection", socket);
  }

  /** Ends a connection that lost its slot to another one, and says why. */
  #displace(socket: PacedConnection): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return void socket.destroy();
    const { unanswered: [first], wasServed, peer } = connection;
    if (socket.isEventStream && first !== undefined) {
      // As much as it may still read: a comment is not an event.
      this.#closeSoon(socket, () => first.response.end(CLOSED_COMMENT));
    } else if (first === undefined && !wasServed) {
      this.#refuse(socket, peer.uid);
    } else socket.destroy();
  }

  #refuse(socket: PacedConnection, uid: number): void {
    this.#closeSoon(socket, () => socket.end(noSlot(uid)));
  }

  /** Ends a connection soon; only so many may still get the reason. */
  #closeSoon(socket: PacedConnection, say: () => void): void {
    if (this.#closing >= MAX_CLOSING) return void socket.destroy();
    this.#closing++;
    say();
    setTimeout(() => {
      this.#closing--;
      socket.destroy();
    }, CLOSE_DELAY_MS);
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
      connection.since = performance.now();
      limit(socket, connection);
      return;
    }
    const { request, response } = first;
    connection.since = performance.now();
    connection.isArriving = true;
    connection.isComplete = false;
    request.on("end", () => {
      if (connection.unanswered[0] !== first) return;
      connection.isArriving = false;
      connection.since = performance.now();
      limit(socket, connection);
    });
    response.on("prefinish", () => {
      connection.isComplete = true;
      connection.since = performance.now();
      limit(socket, connection);
    });
    response.on("finish", () => {
      connection.unanswered.shift();
      connection.wasServed = true;
      this.#serve(socket, connection);
      socket.goOn();
    });
    limit(socket, connection);
    this.#answer(first, socket, connection);
    endIfCutOff(socket, request);
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
    if (hasSeveralHosts(request)) {
      fail(400, "A request names one host; any will do");
      return;
    }
    if (expectsTooMuch(request)) {
      fail(417, "Expect has no other value than 100-continue");
      return;
    }
    this.#handler(request, response, peer).catch((error: unknown) => {
      // There is no client left to report to.
      if (response.headersSent || socket.destroyed) socket.destroy();
      else fail(500, printableError(error));
    });
  }
}

/** Says once that there is no slot, and closes. */
function refuseNow(fd: OwnedFd, uid: number): void {
  try {
    send(fd.fd, new TextEncoder().encode(noSlot(uid)));
  } catch (error) {
    if (!isOsError(error)) throw error;
  }
  closeConnection(fd);
}

/**
 * Ends a connection whose client has gone, or says no more, in the middle of a
 * body: Node would wait for the rest.
 */
function endIfCutOff(
  socket: PacedConnection,
  { complete }: IncomingMessage,
): void {
  if (socket.readableEnded && !complete) socket.destroy();
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

/**
 * Returns 0 for a connection that is being answered or has a lease; else the
 * higher, the sooner another one may have its slot.
 */
function rankConnection(
  socket: PacedConnection,
  connection: Connection | undefined,
): number {
  if (connection === undefined) return 4;
  const { unanswered, isArriving, isComplete, since } = connection;
  if (socket.isEventStream) return 2;
  const isServed = unanswered.length > 0 && !isArriving && !isComplete;
  if (isServed) return 0;
  if (performance.now() - since < FRESH_MS) return 1;
  return unanswered.length > 0 ? 3 : 4;
}

/** The answer to a connection without a slot. */
function noSlot(uid: number): string {
  return "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n" +
    "content-type: application/json\r\nconnection: close\r\n\r\n" +
    JSON.stringify({
      error: {
        message:
          `Too many connections to this socket by user ${uid}, or by all`,
        hint: "Close some: event streams and leases hold one each",
      },
    });
}

const CLOSED_COMMENT =
  ": closed, since its user or all users have too many connections\n\n";

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\n" +
  "content-type: application/json\r\nconnection: close\r\n\r\n" +
  JSON.stringify({
    error: { message: "Invalid HTTP/1.1 request, or its head is too long" },
  });
