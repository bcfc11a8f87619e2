/**
 * Starts and stops of a session's rings, and the guest that they belong to: a
 * ring that is started where no guest left it ends the former guest's state.
 *
 * @module
 */
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import { isOtherGuest, isSameGuest } from "./guest_comparison.ts";
import type { GuestState } from "./guest_state.ts";
import { LogReader } from "./log_reader.ts";
import { VHOST_USER_F_PROTOCOL_FEATURES_MASK } from "../messages/protocol.ts";
import type { RingStart } from "./ring_start.ts";
import type { RingHost, Vring } from "./vring.ts";

const RESTARTED = "it was restarted, or its driver was loaded again";

/** Needs of a starter, and of its rings. */
export interface RingStarterHost extends RingHost {
  /** The guest's state was discarded while the session goes on. */
  guestGone(reason: string): void;
  /** A guest that was given up goes on after all. */
  guestReturned(): void;
  /** Rings may have started that a request before had asked for. */
  startedLater(): void;
  /** The guest goes on from another session, and its interrupts do not. */
  interruptsLost(): void;
}

/** Parts of a session that its starter works with; all are lent. */
interface RingStarterParts {
  readonly host: RingStarterHost;
  readonly rings: readonly Vring[];
  readonly guest: GuestState;
  /** Memory of the guest; undefined while there is none. */
  readonly memory: () => GuestMemory | undefined;
}

/** Starts and stops the rings of one session. */
export class RingStarter {
  /** The features that were negotiated, the protocol's own bit among them. */
  features = 0n;
  /** Number of the device's run: it ends when the last ring stops. */
  run = 0;
  readonly #host: RingStarterHost;
  readonly #rings: readonly Vring[];
  /**
   * The last ring first: edges that requests of the first one lead to find the
   * buffers that the driver had queued before.
   */
  readonly #startOrder: readonly Vring[];
  readonly #guest: GuestState;
  readonly #memory: () => GuestMemory | undefined;
  readonly #logs: LogReader;
  /** True if the guest was served before, and no log says what it was given. */
  #isUnlogged = false;

  /** Begins with rings that are stopped. */
  constructor({ host, rings, guest, memory }: RingStarterParts) {
    this.#host = host;
    this.#rings = rings;
    this.#startOrder = rings.toReversed();
    this.#guest = guest;
    this.#memory = memory;
    this.#logs = new LogReader({
      share: host.share,
      ringCount: rings.length,
      read: () => {
        this.goOn();
        host.startedLater();
      },
      broke: (error) => host.ringBroke(0, error),
    });
  }

  /** True if any ring runs. While none does, the device is suspended. */
  get isAnyActive(): boolean {
    return this.#rings.some((ring) => ring.isActive);
  }

  /** Reads no more of the in-flight region, which is about to be unmapped. */
  cancel(): void {
    this.#logs.cancel();
  }

  /** Starts the rings that the memory lets run now. */
  goOn(): void {
    for (const ring of this.#startOrder) {
      const fault = this.start(ring);
      if (fault === undefined) continue;
      this.#host.ringFaulted(this.#rings.indexOf(ring), fault);
    }
  }

  /** Pauses a ring, for good (until its next kick) or until it is enabled. */
  stop(ring: Vring, isForGood: boolean): void {
    if (!ring.isActive && !isForGood) return;
    const wasAnyActive = this.isAnyActive;
    if (isForGood) ring.stop(this.run);
    else ring.pause(this.run);
    if (wasAnyActive && !this.isAnyActive) this.run++;
  }

  /** Starts all rings that are complete; returns why the first cannot run. */
  startAll(): string | undefined {
    let first: string | undefined;
    for (const ring of this.#startOrder) {
      const fault = this.start(ring);
      first ??= fault;
    }
    return first;
  }

  /** Starts a ring if it is complete; returns why it cannot run then. */
  start(ring: Vring): string | undefined {
    if (!ring.isWanted || ring.isActive) return undefined;
    const memory = this.#memory();
    if (memory === undefined) return undefined;
    if (!this.#logs.isReady(this.#guest.region)) return undefined;
    const start = ring.prepare(memory, this.features);
    if (typeof start === "string") return start;
    if (start.kind === "anew") {
      if (!this.isAnyActive) this.discardGuest(RESTARTED);
      else if (ring.pausedRun! < this.run && this.#isAnyResumed) {
        return this.#startAnew();
      }
    }
    if (!this.#guest.isKnown) this.#begin(start.kind, memory);
    const isTakenUp = this.#guest.begin(
      this.features & ~VHOST_USER_F_PROTOCOL_FEATURES_MASK,
      (region) =>
        start.kind === "first" && isSameGuest(this.#rings, memory, region),
    );
    if (isTakenUp) this.#host.guestReturned();
    const fault = ring.start(start, memory, this.#guest.region);
    // A ring that gives buffers back out of order: what it held is lost.
    const isLost = this.#isUnlogged && fault === undefined && ring.wasUsed &&
      this.#rings.indexOf(ring) > 0;
    if (isLost) {
      this.#isUnlogged = false;
      this.#host.interruptsLost();
    }
    return fault;
  }

  /** True if a running ring passed for one that went on after a pause. */
  get #isAnyResumed(): boolean {
    return this.#rings.some((ring) => ring.isResumed);
  }

  /**
   * Begins with another guest although some of its rings run already: those that
   * no guest had used look the same for any guest.
   */
  #startAnew(): string | undefined {
    const running = this.#rings.filter((ring) => ring.isActive);
    for (const ring of running) ring.pause(this.run);
    // What they have taken since is the new guest's.
    this.discardGuest(RESTARTED, running);
    return this.startAll();
  }

  /** Notifies the device whose rings are about to run. */
  #begin(kind: RingStart["kind"], memory: GuestMemory): void {
    const isNew = !this.#guest.isAbandoned &&
      (kind !== "first" ||
        isOtherGuest(this.#rings, memory, this.#guest.region));
    this.#host.device.guestBegins?.(isNew);
    // One of our own has seen nothing of a guest that it did not come with.
    this.#isUnlogged = !isNew && kind === "first" &&
      this.#guest.region?.isOwn !== false;
  }

  /**
   * Resets the device if a guest has used it; no ring may be active.
   *
   * @param reason Reported to the host; absent if the session ends.
   * @param others Rings that are the next guest's already.
   */
  discardGuest(reason?: string, others: readonly Vring[] = []): void {
    for (const ring of this.#rings) {
      if (!others.includes(ring)) ring.forget();
    }
    const wasKnown = this.#guest.discard();
    if (wasKnown && reason !== undefined) this.#host.guestGone(reason);
  }
}
