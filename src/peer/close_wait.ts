/**
 * A rest for a peer whose descriptors are not closed in time.
 *
 * @module
 */
import { isBehindWithCloses } from "../../ffi/helper_thread.ts";
import type { EventLoop, Timer, TimeShare } from "../reactor/event_loop.ts";
import { ProtocolError } from "./protocol_error.ts";

/** Time between two looks at descriptors that are not closed. **Units**: ms. */
const CLOSES_LOOK_MS = 20;
/** Time after which a session with too many of them ends. **Units**: ms. */
const CLOSES_LIMIT_MS = 2000;

/** Outcomes of a rest. */
interface CloseWaitEvents {
  /** Enough of them are closed. */
  closed(): void;
  /** They were not in time. */
  late(fault: ProtocolError): void;
}

/**
 * Waits until enough of the descriptors that a peer gave are closed, while
 * nothing is read from it. Each would be one more that its files keep from being
 * closed.
 */
export class CloseWait implements Disposable {
  readonly #loop: EventLoop;
  readonly #share: TimeShare;
  readonly #now: () => number;
  readonly #events: CloseWaitEvents;
  #timer: Timer | undefined;
  #endMs = 0;
  #isOver = false;

  /** Waits for nothing yet. */
  constructor(
    { loop, share, now }: {
      loop: EventLoop;
      share: TimeShare;
      now: () => number;
    },
    events: CloseWaitEvents,
  ) {
    this.#loop = loop;
    this.#share = share;
    this.#now = now;
    this.#events = events;
  }

  /** True while it waits. */
  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** Begins to wait. */
  begin(): void {
    this.#endMs = this.#now() + CLOSES_LIMIT_MS;
    this.#lookSoon();
  }

  /** Stops waiting, without a report. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
  }

  #lookSoon(): void {
    // Within the share, which knows the descriptors of this peer.
    this.#timer = this.#loop.after(
      CLOSES_LOOK_MS,
      () => this.#share.defer(this.#look),
    );
  }

  readonly #look = (): void => {
    if (this.#isOver) return;
    if (!isBehindWithCloses()) {
      this.#timer = undefined;
      this.#events.closed();
    } else if (this.#now() < this.#endMs) this.#lookSoon();
    else {
      this.#events.late(
        new ProtocolError(
          "its descriptors",
          "too many of those that it gave cannot be closed: their files " +
            "keep the kernel waiting",
        ),
      );
    }
  };
}
