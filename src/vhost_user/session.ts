/**
 * One frontend's connection, from the first message to the last: what each
 * request does, and what is answered.
 *
 * **What happens to a request that is wrong**
 * - Its form is (version, flags, size, number of fds), or it is only legal with
 *   a protocol feature that was not negotiated, or it is in the specification
 *   and not offered here: the connection ends. A frontend that waits for a reply
 *   that never comes would hang with all of its guest.
 * - It cannot be done (a ring that is not there, overlapping memory): a failure
 *   is acknowledged where the frontend wants one and the connection goes on,
 *   otherwise it ends, since the frontend would take it as done.
 * - Its number is unknown: a failure is acknowledged where one is wanted;
 *   otherwise it is ignored, since newer frontends may report things that older
 *   back ends need not know.
 * - SET_CONFIG is never done (all fields are read-only), and never ends the
 *   connection: with some VMMs a guest can cause it.
 *
 * Whatever fds came with it are closed in each of these cases.
 *
 * @module
 */
import { EPOLLET, EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { closeElsewhere, isBehindWithCloses } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type {
  EventLoop,
  PollSettings,
  TimeShare,
  Watch,
} from "../reactor/event_loop.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import { encodeU64 } from "./messages/codec.ts";
import { REQUEST_FORMS } from "./messages/request_forms.ts";
import {
  LOST_INTERRUPTS,
  MISSING_PAGE,
  NOTIFIER_WAITED,
  refusedChain,
  RETURNED,
  TAKES_PAGES,
  tooManyDescriptors,
} from "./memory/advice.ts";
import type { SessionKeeper } from "../peer/session_keeper.ts";
import { KeptSession, type ResumedSession } from "./kept_session.ts";
import { NamedFds } from "./messages/named_fds.ts";
import { Outbox } from "./outbox.ts";
import { FdName } from "./session_record.ts";
import { CloseWait } from "../peer/close_wait.ts";
import { ProtocolError } from "../peer/protocol_error.ts";
import { FrontendRequests } from "./frontend_requests.ts";
import type { BackendEvents } from "./events.ts";
import { GuestPresence } from "./guest_presence.ts";
import { SharingCheck } from "./memory/sharing_check.ts";
import { type Message, MessageStream } from "./messages/message_stream.ts";
import type { PageBudget } from "./memory/page_budget.ts";
import type { PausedFor } from "./pause_watch.ts";
import type { PeerTimes } from "../peer/peer_process.ts";
import {
  FrontendRequest,
  isKnownRequest,
  NEED_REPLY_MASK,
  requestName,
} from "./messages/protocol.ts";
import { RingSet } from "./rings/ring_set.ts";

const ACK_SUCCESS = 0n;
const ACK_FAILURE = 1n;

/** Options of a session. */
interface SessionOptions {
  /** The loop that it lives in. */
  readonly loop: EventLoop;
  /** The frontend's time in the loop: of its messages and of its rings. */
  readonly share: TimeShare;
  /** The device it presents. */
  readonly device: VirtioDevice;
  /** The connected, nonblocking socket. **Ownership**: taken over. */
  readonly connection: OwnedFd;
  /** Descriptors that it may have, those of a message included. */
  readonly descriptors: { readonly most: number; readonly ofLimit: number };
  /** Pages that may be allocated because of the aggregator's frontends. */
  readonly pages: PageBudget;
  /** Notified of `started`, `stopped`, `gone` and `fault`. */
  readonly events: Pick<
    BackendEvents,
    "started" | "stopped" | "gone" | "fault"
  >;
  /** Time for which a stopped driver counts as paused, as it is by then. */
  readonly pausedFor: () => PausedFor;
  /** Time for which its rings are looked at after a request; absent: never. */
  readonly polling?: PollSettings | undefined;
  /** Reads the times of the VMM's process. */
  readonly peerTimes: () => PeerTimes | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Keeps the session for the next process; absent: it ends with this one. */
  readonly keeper?: SessionKeeper | undefined;
  /** An earlier process's session, which goes on. **Ownership**: taken over. */
  readonly resumed?: ResumedSession | undefined;
  /**
   * Called once the session is over and all that it had is released.
   *
   * @param hasDetained True if the frontend made the loop wait.
   */
  readonly onEnd: (reason: string, hasDetained: boolean) => void;
}

/** A connected frontend. **Ownership**: owns the connection and all it brings. */
export class Session implements Disposable {
  readonly #options: SessionOptions;
  readonly #stream: MessageStream;
  #rings: RingSet;
  readonly #watch: Watch;
  readonly #presence: GuestPresence;
  readonly #sharingCheck: SharingCheck;
  readonly #memoryCheck: Disposable;
  readonly #requests: FrontendRequests;
  #hasReported = false;
  #hasDetained = false;
  #isOver = false;
  readonly #closes: CloseWait;
  readonly #kept: KeptSession | undefined;
  readonly #named: NamedFds;
  readonly #outbox: Outbox;
  #isPartial = false;
  #isResuming: boolean;

  /**
   * Begins to serve a frontend.
   *
   * @throws {OsError} If the connection cannot be watched; it is closed then.
   */
  constructor(options: SessionOptions) {
    this.#options = options;
    const { device, keeper, resumed } = options;
    this.#stream = new MessageStream(options.connection);
    this.#named = resumed?.named ?? new NamedFds();
    this.#isResuming = resumed !== undefined;
    try {
      this.#kept = keeper && KeptSession.begin(keeper, device, resumed);
    } catch (error) {
      this.#stream[Symbol.dispose]();
      throw error;
    }
    this.#outbox = new Outbox(
      this.#stream,
      this.#kept,
      () => this.end("the frontend is gone"),
    );
    this.#presence = new GuestPresence(options, () => this.#rings);
    this.#sharingCheck = new SharingCheck(
      options.loop,
      () => this.#rings,
      (advice) => options.events.fault(new ProtocolError("the guest", advice)),
    );
    this.#requests = new FrontendRequests({
      device: options.device,
      rings: () => this.#rings,
      reply: (request, payload, fds) => this.#outbox.add(request, payload, fds),
      renew: () => this.#renew(),
      pagesTaken: this.#takePages,
    });
    this.#closes = new CloseWait(options, {
      closed: () => this.#watch.update(EPOLLIN),
      late: (fault) => this.#endFaulty(fault),
    });
    this.#rings = this.#newRings();
    try {
      this.#watch = options.loop.watch(
        this.#stream.fd,
        EPOLLIN,
        this.#onReady,
        options.share,
      );
    } catch (error) {
      this.#stream[Symbol.dispose]();
      this.#kept?.[Symbol.dispose]();
      throw error;
    }
    this.#memoryCheck = options.loop.onMemoryFault(this.#checkMemory);
    if (resumed !== undefined) options.share.defer(() => this.#resume(resumed));
  }

  /** Goes on in the midst of an earlier process's session. */
  #resume({ record, fds }: ResumedSession): void {
    this.#isResuming = false;
    if (this.#isOver) {
      closeElsewhere(fds.values());
      return;
    }
    let fault: string | undefined;
    try {
      const channel = fds.get(FdName.Channel);
      fds.delete(FdName.Channel);
      fault = this.#requests.resume(record, channel) ??
        this.#rings.resume(record, fds);
    } catch (error) {
      if (!isOsError(error)) throw error;
      fault = error.message;
    } finally {
      closeElsewhere(fds.values());
    }
    if (fault === undefined) {
      this.#reportActivity();
      this.#presence.awaitReturn();
    } else {
      this.#endFaulty(
        new ProtocolError("its session of before the restart", fault),
      );
      // Whatever of it was not taken over yet.
      this.#options.device.reset();
    }
  }

  #newRings(): RingSet {
    const { device, loop, polling, share } = this.#options;
    return new RingSet({
      device,
      loop,
      polling,
      share,
      ringFaulted: (index, fault) =>
        this.#report(new ProtocolError(`ring ${index}`, fault)),
      notifierWaited: (index) =>
        this.#endDetaining(`ring ${index}`, NOTIFIER_WAITED),
      ringBroke: (index, error) => this.#endBroken(`ring ${index}`, error),
      guestGone: (reason) => this.#presence.gone(reason),
      guestReturned: () => this.#presence.startsWith(RETURNED),
      startedLater: () => this.#reportActivity(),
      pagesTaken: this.#takePages,
      chainRefused: (index, fault) =>
        this.#options.events.fault(
          new ProtocolError(`ring ${index}`, refusedChain(fault)),
        ),
      interruptsLost: () =>
        this.#options.events.fault(
          new ProtocolError("the guest's interrupts", LOST_INTERRUPTS),
        ),
      state: this.#kept?.state,
      named: this.#named,
    });
  }

  readonly #takePages = (pages: number): void => {
    if (this.#options.pages.take(pages)) return;
    this.#endDetaining("guest memory", TAKES_PAGES);
  };

  /** See {@linkcode FrontendRequests.configChanged}. */
  configChanged(): boolean {
    return this.#requests.configChanged();
  }

  /** True while the frontend has neither sent SET_OWNER nor started a ring. */
  get isIdle(): boolean {
    return !this.#requests.isOwned && !this.#rings.isAnyStarted;
  }

  /** Ends the session; `onEnd` gets `reason`. Idempotent. */
  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch[Symbol.dispose]();
    this.#presence[Symbol.dispose]();
    this.#sharingCheck[Symbol.dispose]();
    this.#memoryCheck[Symbol.dispose]();
    this.#closes[Symbol.dispose]();
    this.#kept?.forget();
    try {
      this.#rings[Symbol.dispose]();
    } finally {
      this.#stream[Symbol.dispose]();
      this.#kept?.[Symbol.dispose]();
      this.#requests[Symbol.dispose]();
      this.#reportActivity();
      this.#options.onEnd(reason, this.#hasDetained);
    }
  }

  /** Ends the session because the backend itself ends. */
  [Symbol.dispose](): void {
    this.end("the backend ended");
  }

  readonly #onReady = (): void => {
    try {
      this.#serve();
    } catch (error) {
      this.#endBroken("the connection", error);
    }
  };

  #serve(): void {
    if (this.#closes.isWaiting || this.#isResuming) return;
    if (this.#stream.isBlocked) {
      if (!this.#outbox.flush()) return;
      this.#watch.update(EPOLLIN);
    }
    // What is left when the time is up is reported again.
    do {
      if (isBehindWithCloses()) {
        this.#watch.update(EPOLLET);
        this.#closes.begin();
        return;
      }
      const message = this.#stream.read();
      if (message === "waiting") {
        this.#awaitMore(this.#stream.hasPart);
        return;
      }
      this.#awaitMore(false);
      if (message === "ended") {
        this.end("the frontend closed the connection");
        return;
      }
      if (message instanceof ProtocolError) {
        this.#endFaulty(message);
        return;
      }
      this.#handle(message);
      if (this.#isOver) return;
      this.#reportActivity();
      if (this.#stream.isBlocked) {
        this.#watch.update(EPOLLOUT);
        return;
      }
    } while (!this.#options.share.isSpent);
  }

  /** Has a part of a message, which stays in the socket, wake nothing. */
  #awaitMore(isPartial: boolean): void {
    if (isPartial === this.#isPartial) return;
    this.#isPartial = isPartial;
    this.#watch.update(isPartial ? EPOLLIN | EPOLLET : EPOLLIN);
  }

  /** The message is served: its effect is stored before the reply. */
  #served(request: number): void {
    if (!this.#isOver) {
      const parts = { requests: this.#requests, rings: this.#rings };
      this.#kept?.keepAfter(request, parts, this.#stream.fd);
    }
    this.#named.forget();
    if (this.#isOver) this.#outbox.drop();
    else this.#outbox.send();
  }

  #handle(message: Message): void {
    const { request, flags } = message.header;
    const form = REQUEST_FORMS.get(request);
    const wantsAck = () =>
      // Asked afterwards: the message that negotiates REPLY_ACK may want one.
      (flags & NEED_REPLY_MASK) !== 0 &&
      this.#requests.hasAcks;
    try {
      if (form === undefined) {
        this.#handleUnserved(request, wantsAck());
        return;
      }
      const broken = this.#requests.broken(message, form) ??
        this.#tooManyDescriptors(message.fds.length);
      if (broken !== undefined) {
        this.#endFaulty(new ProtocolError(requestName(request), broken));
        return;
      }
      const fault = this.#requests.execute(message);
      if (this.#isOver) return;
      if (fault !== undefined) this.#report(fault);
      if (!form.hasReply && wantsAck()) {
        const value = fault === undefined ? ACK_SUCCESS : ACK_FAILURE;
        this.#outbox.add(request, encodeU64(value));
      } else if (
        fault !== undefined && request !== FrontendRequest.SET_CONFIG
      ) {
        this.#endFaulty(fault);
      }
    } finally {
      this.#served(request);
      closeElsewhere(message.fds);
    }
  }

  #tooManyDescriptors(coming: number): string | undefined {
    if (coming === 0) return undefined;
    const held = 1 + this.#requests.descriptors;
    if (held + coming <= this.#options.descriptors.most) return undefined;
    return tooManyDescriptors(coming, held, this.#options.descriptors);
  }

  /** A request that is not in the table. */
  #handleUnserved(request: number, wantsAck: boolean): void {
    const isKnown = isKnownRequest(request);
    const fault = new ProtocolError(
      requestName(request),
      isKnown ? "what it belongs to was not offered" : "unknown request",
    );
    if (isKnown && !wantsAck) {
      this.#endFaulty(fault);
      return;
    }
    this.#report(fault);
    if (wantsAck) this.#outbox.add(request, encodeU64(ACK_FAILURE));
  }

  /**
   * SET_OWNER again: a session begins anew. libkrun says the first one late, and
   * that is fine; what came before it stays. QEMU says it again on the same
   * connection when a device is added where another was removed: nothing of that
   * one is left then, but for the protocol features and the channel, which it
   * has set again before.
   */
  #renew(): void {
    const wasPaused = this.#rings.isPaused || this.#rings.isAnyActive;
    this.#presence.endPause();
    this.#sharingCheck.renew();
    this.#rings[Symbol.dispose]();
    this.#kept?.state.clear();
    this.#rings = this.#newRings();
    this.#hasReported = false;
    if (wasPaused) this.#presence.gone("its VMM began a new session");
  }

  #reportActivity(): void {
    if (!this.#isOver && this.#rings.isAnyStarted) this.#sharingCheck.begin();
    this.#presence.report();
  }

  readonly #checkMemory = (): void => {
    const fault = this.#memoryFault();
    if (fault !== undefined) this.#endFaulty(fault);
  };

  #memoryFault(): ProtocolError | undefined {
    const missing = this.#rings.missingMemory;
    if (missing === undefined) return undefined;
    return new ProtocolError(missing, MISSING_PAGE);
  }

  #report(fault: ProtocolError): void {
    if (this.#hasReported) return;
    this.#hasReported = true;
    // A ring full of zeros is malformed too, but that is not the reason.
    this.#options.events.fault(this.#memoryFault() ?? fault);
  }

  #endFaulty(fault: ProtocolError): void {
    this.#report(fault);
    this.end(fault.message);
  }

  /**
   * Ends the session once what is under way, which may be a ring, is done. The
   * socket rests then.
   */
  #endDetaining(subject: string, rule: string): void {
    if (this.#hasDetained) return;
    this.#hasDetained = true;
    this.#options.loop.defer(() =>
      this.#endFaulty(new ProtocolError(subject, rule))
    );
  }

  /** Something threw that must not: a bug here, which must not stop the loop. */
  #endBroken(where: string, cause: unknown): void {
    const what = cause instanceof Error ? cause.message : String(cause);
    this.#endFaulty(
      new ProtocolError(where, `an internal error came up: ${what}`, { cause }),
    );
  }
}
