/**
 * A session's guest, as reported to its service: it starts, stops, is paused
 * for some time, and is gone.
 *
 * @module
 */
import type { PeerTimes } from "../peer/peer_process.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import type { BackendEvents } from "./events.ts";
import { GuestActivity } from "./guest/guest_activity.ts";
import { type PausedFor, PauseWatch } from "./pause_watch.ts";
import type { RingSet } from "./rings/ring_set.ts";

/** Options of a {@linkcode GuestPresence}. */
interface GuestPresenceOptions {
  readonly loop: EventLoop;
  /** Notified of `started`, `stopped` and `gone`. */
  readonly events: Pick<BackendEvents, "started" | "stopped" | "gone">;
  /** Time for which a stopped driver counts as paused, as it is by then. */
  readonly pausedFor: () => PausedFor;
  /** Reads the times of the VMM's process. */
  readonly peerTimes: () => PeerTimes | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Reports of one session's guest. Disposing it ends the watch of a pause. */
export class GuestPresence implements Disposable {
  readonly #options: GuestPresenceOptions;
  readonly #rings: () => RingSet;
  #pause: PauseWatch | undefined;
  #wasActive = false;
  /** Unusual property of the driver that starts. */
  #startDetail: string | undefined;
  /** Reason of a guest's end that is not reported yet. */
  #goneReason: string | undefined;
  #isOver = false;

  /** Reports the guest whose rings `rings` returns. */
  constructor(options: GuestPresenceOptions, rings: () => RingSet) {
    this.#options = options;
    this.#rings = rings;
  }

  /** Has the next report say that the guest is gone. */
  gone(reason: string): void {
    this.#goneReason = reason;
  }

  /** Has the report of the next start say something of the driver. */
  startsWith(detail: string): void {
    this.#startDetail = detail;
  }

  /** Reports what has changed since the last time. */
  report(): void {
    const { events } = this.#options;
    const isActive = this.#rings().isAnyActive;
    const isChanged = isActive !== this.#wasActive;
    this.#wasActive = isActive;
    if (isChanged && !isActive) events.stopped();
    const reason = this.#goneReason;
    if (reason !== undefined) {
      this.#goneReason = undefined;
      this.endPause();
      events.gone(reason);
    }
    if (!isChanged) return;
    if (isActive) {
      this.endPause();
      const detail = this.#startDetail;
      this.#startDetail = undefined;
      events.started(detail);
    } else this.awaitReturn();
  }

  /** A guest whose rings have stopped is paused, or gone after a while. */
  awaitReturn(): void {
    const rings = this.#rings();
    if (this.#isOver || rings.isAnyActive || !rings.isPaused) return;
    const { loop, now, peerTimes, pausedFor } = this.#options;
    const activity = new GuestActivity(peerTimes, now);
    this.endPause();
    this.#pause = new PauseWatch({
      loop,
      pausedFor: pausedFor(),
      look: () =>
        this.#rings().isAnyOverwritten()
          ? "the memory of its rings is used for something else"
          : activity.look(),
      onGone: (reason) => {
        if (!this.#rings().isPaused) return;
        this.#rings().abandonGuest();
        this.#options.events.gone(reason);
      },
    });
  }

  /** Ends the watch of a pause; what has happened is still reported. */
  endPause(): void {
    this.#pause?.[Symbol.dispose]();
    this.#pause = undefined;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.endPause();
  }
}
