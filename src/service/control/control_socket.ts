/**
 * Server of the control socket, inside the reactor: describes lines and pulls
 * simulated ones while a guest uses them.
 *
 * @module
 */
import {
  descriptorLimit,
  descriptorShares,
} from "../../../ffi/descriptor_budget.ts";
import { EMFILE } from "../../../ffi/errno.ts";
import { EPOLLIN, EPOLLOUT } from "../../../ffi/epoll.ts";
import {
  closeElsewhere,
  isBehindWithCloses,
} from "../../../ffi/helper_thread.ts";
import { OsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { effectiveUserId } from "../../../ffi/sysfs.ts";
import {
  closeConnection,
  receiveBytes,
  refuseDescriptors,
  send,
  waitingBytes,
} from "../../../ffi/socket_message.ts";
import { peerCredentials } from "../../../ffi/unix_socket.ts";
import {
  acceptPresent,
  FRUITLESS_REST_MS,
  FruitlessConnections,
} from "../../peer/accept_present.ts";
import type {
  EventLoop,
  Timer,
  TimeShare,
  Watch,
} from "../../reactor/event_loop.ts";
import {
  type ControlRequest,
  MAX_REQUEST_BYTES,
  parseControlRequest,
} from "./control_protocol.ts";
import { ClientBudget } from "./client_budget.ts";
import { ConnectionSlots, slotLimits } from "../sockets/connection_slots.ts";
import type { ListenSocket } from "../sockets/listen_socket.ts";
import { printableError } from "../../text/printable.ts";

/**
 * Answers a request with the JSON text of the answer, in pieces of some
 * microseconds each (an empty piece is work without text). An exception before
 * the first text becomes an error answer.
 */
type ControlHandler = (request: ControlRequest) => Iterator<string>;

const NEWLINE = 10;
/** Size of the text that is sent at a time. **Units**: UTF-16 code units. */
const PIECE_LENGTH = 8192;
const NOTHING = new Uint8Array(0);
/** Limit of clients of a socket: guests need the process's fds. */
const MAX_CONNECTIONS = 16;
/** Number of fds that are kept for VMMs and the control API. */
const LEFT_TO_OTHERS = 4;
/**
 * Time after a request during which a client is not idle. **Units**:
 * milliseconds.
 */
const FRESH_MS = 250;
/** Lowest rank of idle clients. */
const IDLE_RANK = 2;
/**
 * Longest time without a request, or without reading an answer. **Units**: ms.
 */
const IDLE_LIMIT_MS = 10_000;
/**
 * Pause of the listener when the process has no fd left, or those of clients are
 * not closed yet. **Units**: ms.
 */
const REST_MS = 50;
/** The same pause after an idle client was disconnected. */
const SHORT_REST_MS = 5;

/** Serves one control socket. **Ownership**: owns its listening socket. */
export class ControlSocket implements Disposable {
  readonly #loop: EventLoop;
  readonly #socket: ListenSocket;
  readonly #handler: ControlHandler;
  /** One share for all clients: more connections bring no more time. */
  readonly #share: TimeShare;
  readonly #watch: Watch;
  readonly #connections = new Set<Connection>();
  readonly #slots: ConnectionSlots<Connection>;
  /** All of this isolate, which share the fds that are left. */
  static readonly #all = new Set<ControlSocket>();
  readonly #now: () => number;
  readonly #fruitless = new FruitlessConnections();
  readonly #budget: ClientBudget;
  #rest: Timer | undefined;

  /**
   * Serves `socket` in `loop` until disposed.
   *
   * @param now Monotonic milliseconds; tests bring their own clock.
   */
  constructor(
    loop: EventLoop,
    socket: ListenSocket,
    handler: ControlHandler,
    now: () => number = () => performance.now(),
  ) {
    this.#loop = loop;
    this.#now = now;
    this.#socket = socket;
    this.#handler = handler;
    refuseDescriptors(socket.listener.fd);
    this.#share = loop.share();
    this.#budget = new ClientBudget(loop, now);
    ControlSocket.#all.add(this);
    const own = effectiveUserId();
    this.#slots = new ConnectionSlots({
      limits: slotLimits(MAX_CONNECTIONS),
      isPrivileged: (uid) => uid === 0 || uid === own,
      rank: (one) => one.rank,
    });
    this.#watch = loop.watch(
      socket.listener.fd,
      EPOLLIN,
      () => this.#accept(),
      this.#share,
    );
  }

  /** Ends all connections, stops listening and removes the file. */
  [Symbol.dispose](): void {
    ControlSocket.#all.delete(this);
    for (const connection of this.#connections) connection.close();
    this.#rest?.[Symbol.dispose]();
    this.#budget[Symbol.dispose]();
    this.#watch[Symbol.dispose]();
    // Connections in its backlog may have brought descriptors.
    closeElsewhere([this.#socket.listener]);
    this.#socket[Symbol.dispose]();
  }

  #accept(): void {
    try {
      for (;;) {
        // Each that is accepted may bring more of them.
        if (isBehindWithCloses()) return this.#restFor(REST_MS);
        ControlSocket.#checkRoom();
        const fd = acceptPresent(this.#socket.listener, {
          share: this.#share,
          gone: this.#cameToNothing,
          isVain: isNoRequest,
          leave: LEFT_TO_OTHERS,
        });
        if (fd === undefined) return;
        // A client that connected before the listener began to refuse fds.
        refuseDescriptors(fd.fd);
        this.#begin(fd);
        // The others are reported again.
        if (this.#rest !== undefined || this.#share.isSpent) return;
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#restFor(ControlSocket.#closeOneIdle() ? SHORT_REST_MS : REST_MS);
    }
  }

  /** Counts a client that asked nothing; rests if there are many. */
  readonly #cameToNothing = (): void => {
    const isFlood = this.#fruitless.count(this.#now());
    if (isFlood) this.#restFor(FRUITLESS_REST_MS);
  };

  /** Accepts nothing for a while; a rest that has begun is not made longer. */
  #restFor(ms: number): void {
    if (this.#rest !== undefined) return;
    this.#watch.update(0);
    this.#rest = this.#loop.after(ms, () => {
      this.#rest = undefined;
      this.#watch.update(EPOLLIN);
    });
  }

  /**
   * Checks that there is room for one more client of all control sockets.
   *
   * @throws {OsError} EMFILE.
   */
  static #checkRoom(): void {
    let clients = 0;
    for (const socket of ControlSocket.#all) clients += socket.#slots.size;
    if (clients < descriptorShares(descriptorLimit()).control) return;
    throw new OsError("accept4", EMFILE, "a client of a control socket");
  }

  /**
   * Disconnects an idle client of the socket that has the most; false if none
   * is idle.
   */
  static #closeOneIdle(): boolean {
    const largestFirst = [...ControlSocket.#all]
      .sort((a, b) => b.#slots.size - a.#slots.size);
    for (const socket of largestFirst) {
      const idle = socket.#slots.displaceOne(IDLE_RANK);
      if (idle === undefined) continue;
      idle.refuse();
      return true;
    }
    return false;
  }

  #begin(fd: OwnedFd): void {
    let uid: number;
    try {
      ({ uid } = peerCredentials(fd.fd));
    } catch (error) {
      closeConnection(fd);
      if (!(error instanceof OsError)) throw error;
      return;
    }
    const connection = new Connection(
      this.#loop,
      fd,
      this.#share,
      this.#budget,
      this.#handler,
      (self) => {
        this.#connections.delete(self);
        this.#slots.release(self);
        if (!self.hasAsked) this.#cameToNothing();
      },
    );
    this.#connections.add(connection);
    const { isAdmitted, displaced } = this.#slots.admit(connection, uid);
    displaced?.refuse();
    if (!isAdmitted) connection.refuse();
    // Its slot may be needed soon: its request is answered first.
    else connection.serve();
  }
}

/**
 * One client: lines in, lines out. A client that violates the protocol is
 * disconnected.
 */
class Connection {
  readonly #loop: EventLoop;
  readonly #fd: OwnedFd;
  readonly #share: TimeShare;
  readonly #budget: ClientBudget;
  readonly #watch: Watch;
  #limit: Timer;
  readonly #handler: ControlHandler;
  readonly #onClose: (self: Connection) => void;
  #input = new Uint8Array(4096);
  /** Start of the bytes that were read and not answered yet … */
  #begin = 0;
  /** … and their end. */
  #end = 0;
  /** No newline was found before this index. */
  #searched = 0;
  /** The answer in progress: nothing else is served meanwhile. */
  #answer: Iterator<string> | undefined;
  /**
   * Bytes that the client has not read yet. While there are any, nothing is
   * read.
   */
  #output = NOTHING;
  #events = EPOLLIN;
  /** The events that it waits for, unless it rests. */
  #wanted = EPOLLIN;
  /** There is work for it that waits for nothing of its own. */
  #hasMore = false;
  #hasAsked = false;
  /** Time of the last request or answer. **Units**: ms, monotonic. */
  #since = performance.now();

  constructor(
    loop: EventLoop,
    fd: OwnedFd,
    share: TimeShare,
    budget: ClientBudget,
    handler: ControlHandler,
    onClose: (self: Connection) => void,
  ) {
    this.#loop = loop;
    this.#fd = fd;
    this.#share = share;
    this.#budget = budget;
    this.#handler = handler;
    this.#onClose = onClose;
    this.#limit = this.#idleLimit();
    this.#watch = loop.watch(fd.fd, EPOLLIN, () => this.serve(), share);
  }

  /**
   * Rank by which its slot is given to another client, the highest first; 0:
   * never.
   */
  get rank(): number {
    if (this.#answer !== undefined && this.#output.length === 0) return 0;
    if (performance.now() - this.#since >= FRESH_MS) {
      return this.#hasSent ? 1 : IDLE_RANK;
    }
    return this.#output.length > 0 ? 0 : 1;
  }

  /**
   * True if a client that is to be read has sent something: it waits for the
   * service, which may have been stopped meanwhile.
   */
  get #hasSent(): boolean {
    return this.#wanted === EPOLLIN && waitingBytes(this.#fd.fd) > 0;
  }

  /** True once it has sent a request. */
  get hasAsked(): boolean {
    return this.#hasAsked;
  }

  /** Disconnects a client that gets no slot, or loses it, with the reason. */
  refuse(): void {
    const text = errorText("too many clients of this socket: try again later");
    try {
      // In an answer that it has read in part it would be no line.
      if (this.#output.length === 0) {
        send(this.#fd.fd, new TextEncoder().encode(`${text}\n`));
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
    }
    this.close();
  }

  close(): void {
    if (this.#fd.closed) return;
    this.#budget.forget(this);
    this.#limit[Symbol.dispose]();
    this.#watch[Symbol.dispose]();
    closeConnection(this.#fd);
    this.#onClose(this);
  }

  /** Reads, answers and sends while the share has time left. */
  serve(): void {
    const begin = this.#budget.now;
    let hasMore: boolean;
    try {
      if (this.#wanted === EPOLLIN && !this.#read()) return this.close();
      do hasMore = this.#serveOne(); while (hasMore && !this.#share.isSpent);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return this.close();
    }
    this.#hasMore = hasMore;
    // Who waits for each answer is as slow as the service.
    if (hasMore) this.#budget.add(begin);
    // Writability is reported as long as there is room: the rest follows then.
    this.#wanted = hasMore || this.#output.length > 0 ? EPOLLOUT : EPOLLIN;
    this.#watchFor(hasMore && this.#budget.delay(this) ? 0 : this.#wanted);
  }

  /**
   * Ends it later, within the share: descriptors that it sent count there. One
   * that waits for an answer may stay.
   */
  #idleLimit(): Timer {
    const end = () => {
      if (!this.#hasMore || this.#fd.closed) return this.close();
      this.#limit[Symbol.dispose]();
      this.#limit = this.#idleLimit();
    };
    return this.#loop.after(IDLE_LIMIT_MS, () => this.#share.defer(end));
  }

  /** Is served again, after a rest. */
  goOn(): void {
    this.#watchFor(this.#wanted);
  }

  #watchFor(events: number): void {
    if (events === this.#events) return;
    this.#events = events;
    this.#watch.update(events);
  }

  /** Does the next piece of work; false if there is none now. */
  #serveOne(): boolean {
    if (this.#output.length > 0) {
      const sent = send(this.#fd.fd, this.#output);
      if (sent > 0) this.#output = this.#output.subarray(sent);
      return this.#output.length === 0;
    }
    if (this.#answer !== undefined) this.#goOn(this.#answer);
    else if (!this.#takeRequest()) return false;
    return true;
  }

  /** False at the end of the stream. */
  #read(): boolean {
    if (this.#begin > 0) {
      this.#input.copyWithin(0, this.#begin, this.#end);
      this.#end -= this.#begin;
      this.#searched -= this.#begin;
      this.#begin = 0;
    }
    if (this.#end === this.#input.length) {
      const larger = new Uint8Array(this.#input.length * 2);
      larger.set(this.#input);
      this.#input = larger;
    }
    const count = receiveBytes(this.#fd.fd, this.#input.subarray(this.#end));
    if (count > 0) this.#end += count;
    return count !== 0;
  }

  /** Begins to answer the next request; false if no complete one is there. */
  #takeRequest(): boolean {
    const found = this.#input.subarray(this.#searched, this.#end)
      .indexOf(NEWLINE);
    const end = this.#searched + found;
    const length = (found < 0 ? this.#end : end) - this.#begin;
    if (length >= MAX_REQUEST_BYTES) {
      const left = found < 0 ? this.#end : end + 1;
      this.#begin = this.#searched = left;
      this.#reply(errorText(
        `a request must have at most ${MAX_REQUEST_BYTES} bytes`,
      ));
      return true;
    }
    if (found < 0) {
      this.#searched = this.#end;
      return false;
    }
    const text = new TextDecoder().decode(
      this.#input.subarray(this.#begin, end),
    );
    this.#begin = this.#searched = end + 1;
    this.#hasAsked = true;
    this.#since = performance.now();
    try {
      this.#answer = this.#handler(parseControlRequest(text));
    } catch (error) {
      this.#reply(errorText(error));
    }
    return true;
  }

  /** Produces more of the answer while the share has time left. */
  #goOn(answer: Iterator<string>): void {
    let text = "";
    try {
      do {
        const { done, value } = answer.next();
        if (done === true) {
          this.#answer = undefined;
          return this.#reply(text);
        }
        text += value;
      } while (text.length < PIECE_LENGTH && this.#share.take(1));
    } catch (error) {
      // Nothing was sent yet: text comes after all that can fail.
      this.#answer = undefined;
      return this.#reply(errorText(error));
    }
    this.#output = new TextEncoder().encode(text);
  }

  /** Completes an answer. */
  #reply(text: string): void {
    this.#since = performance.now();
    this.#limit[Symbol.dispose]();
    this.#limit = this.#idleLimit();
    this.#output = new TextEncoder().encode(text + "\n");
  }
}

function errorText(error: unknown): string {
  const text = typeof error === "string" ? error : printableError(error);
  return JSON.stringify({ error: text });
}

/** True if a client that is gone has left no whole request. */
function isNoRequest(sent: Uint8Array, isAll: boolean): boolean {
  return isAll && !sent.includes(NEWLINE);
}
