/**
 * One client's connection: a VMM that has the card as a PCI device.
 *
 * - A message whose form is wrong ends the connection. A request that cannot be
 *   done is answered with an error number, and the connection goes on.
 * - Nothing is read of a client that gives descriptors faster than they can be
 *   closed.
 * - Nothing here reads or writes guest memory: descriptors that come with
 *   DMA_MAP are closed at once, and the commands by which a server could ask for
 *   memory are never sent.
 *
 * @module
 */
import { EPOLLET, EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { isBehindWithCloses } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { PciCard } from "../pci/pci_card.ts";
import { CloseWait } from "../peer/close_wait.ts";
import type { PeerSession } from "../peer/peer_server.ts";
import {
  CARD_PARTS,
  SessionPart,
  type SessionStore,
} from "../peer/session_store.ts";
import type { PeerTimes } from "../peer/peer_process.ts";
import { ProtocolError } from "../peer/protocol_error.ts";
import type { EventLoop, TimeShare, Watch } from "../reactor/event_loop.ts";
import { SessionMemory } from "./session_memory.ts";
import { ConfigSpace } from "./config_space.ts";
import { Intx } from "./intx.ts";
import { MessageStream } from "./message_stream.ts";
import { ProgrammingCheck } from "./programming_check.ts";
import { Requests } from "./requests.ts";

/** Options of a session. */
interface SessionOptions {
  readonly loop: EventLoop;
  readonly share: TimeShare;
  readonly card: PciCard;
  /** The connected, nonblocking socket. **Ownership**: taken over. */
  readonly connection: OwnedFd;
  /** Receives what the client or its guest does wrong. */
  readonly fault: (error: ProtocolError) => void;
  /** Reads the times of the client's process. */
  readonly peerTimes: () => PeerTimes | undefined;
  readonly onEnd: (reason: string, hasDetained: boolean) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Keeps what the session needs to outlive this process. */
  readonly store?: SessionStore | undefined;
  /** Parts of this session that an earlier process kept. */
  readonly resumed?: ResumedSession | undefined;
}

/** A session of an earlier process. **Ownership**: of both, the session's. */
export interface ResumedSession {
  readonly memory: SessionMemory;
  /** The eventfd of INTx, if interrupts are on. */
  readonly trigger: OwnedFd | undefined;
}

/** A connected client. **Ownership**: owns the connection and its interrupt. */
export class Session implements PeerSession {
  readonly #options: SessionOptions;
  readonly #stream: MessageStream;
  readonly #requests: Requests;
  readonly #intx: Intx;
  readonly #check: ProgrammingCheck;
  readonly #watch: Watch;
  readonly #memory: SessionMemory;
  readonly #closes: CloseWait;
  #isOver = false;
  #hasDetained = false;

  /**
   * Begins to serve a client.
   *
   * @throws {OsError} If the connection cannot be watched; it is closed then.
   */
  constructor(options: SessionOptions) {
    this.#options = options;
    const { card, connection, store, loop, resumed, share } = options;
    try {
      this.#memory = resumed?.memory ??
        SessionMemory.create(card.stateWords, store !== undefined);
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#stream = new MessageStream(connection, this.#memory);
    const config = new ConfigSpace(card, this.#memory.config);
    this.#intx = new Intx(
      loop,
      () => card.isInterrupting && !config.isIntxDisabled,
      () => loop.defer(this.#endDetaining),
    );
    this.#requests = new Requests({
      card,
      config,
      intx: this.#intx,
      stream: this.#stream,
      progress: this.#memory.progress,
      store,
    });
    this.#closes = new CloseWait(options, {
      closed: () => this.#watch.update(EPOLLIN),
      late: (fault) => this.#endFaulty(fault),
    });
    try {
      this.#watch = loop.watch(this.#stream.fd, EPOLLIN, this.#onReady, share);
    } catch (error) {
      this.#stream[Symbol.dispose]();
      this.#memory[Symbol.dispose]();
      throw error;
    }
    this.#check = new ProgrammingCheck({
      loop,
      peerTimes: options.peerTimes,
      isProgrammed: () => config.isProgrammed,
      report: (text) => options.fault(new ProtocolError("the guest", text)),
    });
    card.begin(this.#memory.card, resumed !== undefined);
    card.onInterrupt = () => this.#intx.update();
    store?.keep(SessionPart.Connection, connection.fd);
    store?.keep(SessionPart.Memory, this.#memory.fd!);
    if (resumed !== undefined) this.#resume(resumed);
  }

  #resume({ trigger }: ResumedSession): void {
    // Unmasked: an interrupt too many does no harm; one that was lost would.
    if (trigger !== undefined) this.#requests.setTrigger(trigger);
    // What was under way lies in the memory, not in the socket.
    this.#options.share.defer(this.#onReady);
  }

  /** True while the client has not agreed on a version. */
  get isIdle(): boolean {
    return !this.#requests.isNegotiated;
  }

  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch[Symbol.dispose]();
    this.#check[Symbol.dispose]();
    this.#closes[Symbol.dispose]();
    const { card, store, onEnd } = this.#options;
    card.onInterrupt = () => {};
    try {
      this.#intx[Symbol.dispose]();
      card.disconnect();
    } finally {
      for (const part of CARD_PARTS) store?.drop(part);
      this.#stream[Symbol.dispose]();
      this.#memory[Symbol.dispose]();
      onEnd(reason, this.#hasDetained);
    }
  }

  [Symbol.dispose](): void {
    this.end("the server ended");
  }

  readonly #endDetaining = (): void => {
    this.#hasDetained = true;
    this.#endFaulty(
      new ProtocolError("an interrupt", "its eventfd must not block"),
    );
  };

  readonly #onReady = (): void => {
    if (this.#isOver) return;
    try {
      this.#serve();
    } catch (cause) {
      if (isOsError(cause, "EPIPE", "ECONNRESET")) {
        this.end("the VMM closed the connection");
      } else {
        this.#endFaulty(
          new ProtocolError("the connection", "it failed", { cause }),
        );
      }
    }
  };

  #serve(): void {
    if (this.#closes.isWaiting) return;
    const stream = this.#stream;
    if (stream.isBlocked) {
      if (!stream.send()) return;
      this.#watch.update(EPOLLIN);
    }
    // What is left when the time is up is reported again.
    do {
      if (isBehindWithCloses()) {
        this.#watch.update(EPOLLET);
        this.#closes.begin();
        return;
      }
      const outcome = stream.read();
      if (outcome === "waiting") return;
      if (outcome === "ended") {
        this.end("the VMM closed the connection");
        return;
      }
      const fault = outcome === "message" ? this.#requests.serve() : outcome;
      if (fault !== undefined) {
        this.#endFaulty(fault);
        return;
      }
      if (this.#isOver) return;
      stream.served();
      if (!stream.send()) {
        this.#watch.update(EPOLLOUT);
        return;
      }
    } while (this.#options.share.take(1));
  }

  #endFaulty(error: ProtocolError): void {
    if (this.#isOver) return;
    this.#options.fault(error);
    this.end(error.message);
  }
}
