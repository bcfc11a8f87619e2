/**
 * One device at one socket, for one peer after another: the part of a back end
 * that does not depend on its protocol.
 *
 * While a peer is served, others that connect wait. A VM that is respawned often
 * connects before the old one's socket is seen to be closed: it is served a
 * moment later, where a refusal would make its VMM give up. A peer that waits
 * longer is reported, and a connection that has sent nothing for some seconds
 * makes room for it.
 *
 * @module
 */
import { EPOLLIN } from "../../ffi/epoll.ts";
import {
  type SessionDescriptors,
  sessionDescriptors,
} from "../../ffi/descriptor_budget.ts";
import { EMFILE } from "../../ffi/errno.ts";
import { closeElsewhere, isBehindWithCloses } from "../../ffi/helper_thread.ts";
import { isOsError, OsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type {
  EventLoop,
  Timer,
  TimeShare,
  Watch,
} from "../reactor/event_loop.ts";
import {
  acceptPresent,
  FRUITLESS_REST_MS,
  FruitlessConnections,
} from "./accept_present.ts";
import { PeerProcess } from "./peer_process.ts";
import { ProtocolError } from "./protocol_error.ts";
import { MAX_WAITING, WaitingLine } from "./waiting_line.ts";

/**
 * Time for which a listener rests when the process has no fd left. **Units**:
 * ms.
 */
const ACCEPT_RETRY_MS = 1000;
/** Interval at which waiting peers are examined. **Units**: ms. */
const LOOK_EVERY_MS = 1000;
/** Time for which a peer may send nothing while others wait. **Units**: ms. */
const IDLE_LIMIT_MS = 5000;

/**
 * Time for which a listener rests after a peer that made the loop wait: such a
 * peer can take one part in five hundred of the others' time. **Units**: ms.
 */
const DETAINED_REST_MS = 10_000;
/** A session that ends this soon came to nothing. **Units**: ms. */
const BRIEF_MS = 50;

/** Source of peers. **Ownership**: the server takes the fd over. */
export type PeerEndpoint =
  /** A listening, nonblocking socket: one peer after another. */
  | { readonly listener: OwnedFd }
  /** A connected, nonblocking socket: this peer, and no other. */
  | { readonly connection: OwnedFd };

/** A peer that is served. Disposing ends its session. */
export interface PeerSession extends Disposable {
  /** True while the peer has not begun to use the device. */
  readonly isIdle: boolean;
  /** Ends the session; idempotent. */
  end(reason: string): void;
}

/** A peer whose session begins. */
interface Arrival {
  /** The connected, nonblocking socket. **Ownership**: the session's. */
  readonly connection: OwnedFd;
  readonly peer: PeerProcess;
  /** Time in the loop: one share for all peers of the socket. */
  readonly share: TimeShare;
  /** Descriptors that the session may have, of those of the process. */
  readonly descriptors: { readonly most: number; readonly ofLimit: number };
  /**
   * To be called once the session is over and everything of it is released.
   *
   * @param hasDetained True if the peer made the loop wait.
   */
  readonly onEnd: (reason: string, hasDetained: boolean) => void;
}

/** Options of a {@linkcode PeerServer}. */
interface PeerServerOptions<S extends PeerSession> {
  readonly loop: EventLoop;
  /** The peers' time in the loop; absent: a share of their own. */
  readonly share?: TimeShare;
  readonly endpoint: PeerEndpoint;
  readonly events: {
    connected(): void;
    disconnected(reason: string): void;
    /** A peer waits; `who` names it and the peer that is served. */
    waiting(who: string): void;
    fault(error: ProtocolError): void;
  };
  /**
   * Begins a session.
   *
   * @throws {OsError} If it cannot; the connection is closed then.
   */
  begin(arrival: Arrival): S;
  /**
   * Connection of an earlier process whose session goes on: the first to be
   * served. **Ownership**: taken over.
   */
  readonly resumed?: OwnedFd | undefined;
  /** Descriptors of all peers; tests bring their own. */
  readonly descriptors?: SessionDescriptors;
  /** Monotonic milliseconds; tests bring their own clock. */
  readonly now?: () => number;
}

/** **Ownership**: owns the endpoint's fd and the session. */
export class PeerServer<S extends PeerSession> implements Disposable {
  readonly #options: PeerServerOptions<S>;
  /** One for all peers: connecting again brings no more time. */
  readonly #share: TimeShare;
  readonly #descriptors: SessionDescriptors;
  readonly #listener: OwnedFd | undefined;
  readonly #fruitless = new FruitlessConnections();
  #watch: Watch | undefined;
  #retry: Timer | undefined;
  #session: S | undefined;
  #isDisposed = false;
  readonly #line: WaitingLine;
  #look: Timer | undefined;
  /** Time at which the served peer connected, and the name of its process. */
  #begunAt = 0;
  #userTitle = "";

  /**
   * Begins to serve.
   *
   * @throws {OsError} If the endpoint cannot be watched; it is closed then.
   */
  constructor(options: PeerServerOptions<S>) {
    this.#options = options;
    this.#share = options.share ?? options.loop.share();
    this.#descriptors = options.descriptors ?? sessionDescriptors();
    this.#line = new WaitingLine(
      options.loop,
      this.#share,
      () => this.#listenAgain(),
    );
    const { endpoint } = options;
    if ("connection" in endpoint) {
      this.#beginGiven(endpoint.connection);
      return;
    }
    this.#listener = endpoint.listener;
    try {
      this.#listen();
      if (options.resumed !== undefined) this.#beginGiven(options.resumed);
    } catch (error) {
      this.#rest();
      endpoint.listener.close();
      throw error;
    }
  }

  /** The session of the peer that is served, if any. */
  get session(): S | undefined {
    return this.#session;
  }

  /** Ends the session, if there is one; the next peer is accepted. */
  endSession(reason: string): void {
    this.#session?.end(reason);
  }

  /** Ends the session, if there is one, and stops listening. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#rest();
    this.#retry?.[Symbol.dispose]();
    this.#look?.[Symbol.dispose]();
    this.#line[Symbol.dispose]();
    this.#session?.[Symbol.dispose]();
    // Connections in its backlog may have brought descriptors.
    if (this.#listener !== undefined) closeElsewhere([this.#listener]);
  }

  #listen(): void {
    this.#watch = this.#options.loop.watch(
      this.#listener!.fd,
      EPOLLIN,
      this.#accept,
      this.#share,
    );
  }

  #rest(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  readonly #accept = (): void => {
    if (isBehindWithCloses()) {
      this.#pauseListening(
        new Error("too many descriptors of earlier ones are not closed yet"),
      );
      return;
    }
    const isServed = this.#session !== undefined;
    const room = isServed ? this.#descriptors.reserve(1) : this.#reserve();
    if (room === undefined) {
      this.#pauseListening(this.#noDescriptors());
      return;
    }
    using reserved = new DisposableStack();
    reserved.use(room);
    try {
      const connection = acceptPresent(this.#listener!, {
        share: this.#share,
        gone: this.#cameToNothing,
        isVain: this.#fruitless.isFlood(this.#now())
          ? isAnythingVain
          : undefined,
      });
      if (connection === undefined) return;
      if (isServed) this.#wait(connection, room);
      else this.#begin(connection, room);
      reserved.move();
    } catch (cause) {
      if (!isOsError(cause)) throw cause;
      this.#pauseListening(cause);
    }
  };

  /** Begins the session of a connection that was not accepted here. */
  #beginGiven(connection: OwnedFd): void {
    const room = this.#reserve();
    if (room === undefined) {
      connection.close();
      throw new OsError("accept4", EMFILE, "a connection that was given");
    }
    using reserved = new DisposableStack();
    reserved.use(room);
    this.#begin(connection, room);
    reserved.move();
  }

  /** Reserves the descriptors of a session. */
  #reserve(): Disposable | undefined {
    return this.#descriptors.reserve(this.#descriptors.perSession);
  }

  #noDescriptors(): Error {
    const { limit, perSession } = this.#descriptors;
    return new Error(
      `the descriptors of other VMMs leave none: each has ${perSession} of ` +
        `the ${limit} of the process (LimitNOFILE=, ulimit -n)`,
    );
  }

  /** Lets a peer wait until the one that is served has gone. */
  #wait(connection: OwnedFd, room: Disposable): void {
    const line = this.#line;
    line.add(connection, PeerProcess.of(connection.fd), this.#now(), room);
    if (line.members.length >= MAX_WAITING) this.#rest();
    this.#look ??= this.#options.loop.after(LOOK_EVERY_MS, this.#lookAtLine);
  }

  readonly #lookAtLine = (): void => {
    // Within the share: what is hung up on is closed on the peer's account.
    this.#share.defer(this.#tendLine);
  };

  readonly #tendLine = (): void => {
    this.#look = undefined;
    if (this.#isDisposed) return;
    const line = this.#line;
    const now = this.#now();
    for (const waiting of line.members) {
      if (waiting.isReported || now - waiting.since < LOOK_EVERY_MS) continue;
      waiting.isReported = true;
      this.#options.events.waiting(
        `${waiting.peer.title}, while the device is in use by ${this.#userTitle}`,
      );
    }
    const [silent] = line.members.filter(({ hasSpoken }) => !hasSpoken);
    const isAnySpoken = line.members.some(({ hasSpoken }) => hasSpoken);
    if (isAnySpoken && now - this.#begunAt >= IDLE_LIMIT_MS) {
      // One that has sent nothing is no VMM, or one that does not need the device yet.
      if (this.#session?.isIdle === true) {
        this.#session.end(
          `${this.#userTitle} sent nothing for ${
            IDLE_LIMIT_MS / 1000
          } s while another VMM waited`,
        );
      }
    } else if (
      silent !== undefined && line.members.length >= MAX_WAITING &&
      now - silent.since >= IDLE_LIMIT_MS
    ) line.drop(silent);
    this.#listenAgain();
    if (line.members.length > 0) {
      this.#look ??= this.#options.loop.after(LOOK_EVERY_MS, this.#lookAtLine);
    }
  };

  /** Listens if there is room for another peer, and nothing forbids it. */
  #listenAgain(): void {
    const isWanted = this.#listener !== undefined && !this.#isDisposed &&
      this.#watch === undefined && this.#retry === undefined &&
      this.#line.members.length < MAX_WAITING;
    if (isWanted) this.#listen();
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }

  /** Most likely the process has no fd left: accepts again a little later. */
  #pauseListening(cause: Error): void {
    this.#options.events.fault(
      new ProtocolError(
        "a new connection",
        `${cause.message}; it is tried again every second`,
        { cause },
      ),
    );
    this.#restFor(ACCEPT_RETRY_MS);
  }

  /** Counts a peer that came for nothing; rests if there are many. */
  readonly #cameToNothing = (): void => {
    const isFlood = this.#fruitless.count(this.#now());
    if (isFlood && this.#retry === undefined) this.#restFor(FRUITLESS_REST_MS);
  };

  #restFor(ms: number): void {
    this.#rest();
    this.#retry?.[Symbol.dispose]();
    this.#retry = this.#options.loop.after(ms, () => {
      this.#retry = undefined;
      this.#listenAgain();
      this.#next();
    });
  }

  #begin(
    connection: OwnedFd,
    room: Disposable,
    peer: PeerProcess = PeerProcess.of(connection.fd),
  ): void {
    const { begin, events, loop } = this.#options;
    this.#begunAt = this.#now();
    this.#userTitle = peer.title;
    const { limit, perSession } = this.#descriptors;
    const arrival: Arrival = {
      connection,
      peer,
      share: this.#share,
      descriptors: { most: perSession, ofLimit: limit },
      onEnd: (reason, hasDetained) => {
        room[Symbol.dispose]();
        this.#session = undefined;
        events.disconnected(reason);
        if (this.#isDisposed) return;
        if (this.#listener !== undefined) {
          if (hasDetained) this.#restFor(DETAINED_REST_MS);
          else if (this.#now() - this.#begunAt < BRIEF_MS) {
            this.#cameToNothing();
          }
        }
        // Not from inside the session that ends.
        loop.defer(this.#next);
      },
    };
    // A session of an earlier process has a guest from its first moment on.
    events.connected();
    try {
      this.#session = begin(arrival);
    } catch (error) {
      events.disconnected("it could not be served");
      throw error;
    }
  }

  readonly #next = (): void => {
    if (this.#isDisposed || this.#session !== undefined) return;
    if (this.#retry !== undefined) return;
    if (this.#line.members.length === 0) {
      this.#listenAgain();
      return;
    }
    const room = this.#reserve();
    if (room === undefined) {
      this.#pauseListening(this.#noDescriptors());
      return;
    }
    using reserved = new DisposableStack();
    reserved.use(room);
    const next = this.#line.take()!;
    this.#listenAgain();
    try {
      this.#begin(next.connection, room, next.peer);
      reserved.move();
    } catch (cause) {
      if (!isOsError(cause)) throw cause;
      this.#pauseListening(cause);
    }
  };
}

/** Of a flood, not even what was sent counts: each peer waits for an answer. */
function isAnythingVain(): boolean {
  return true;
}
