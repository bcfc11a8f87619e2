/**
 * The rings of a frontend, each with the fds by which both sides notify each
 * other, and the index at which it goes on.
 *
 * @module
 */
import { DriverRing } from "./driver_ring.ts";
import type { FrontendMemory } from "./memory.ts";
import { CallPoint, KickPoint } from "./notifier.ts";
import type { Order } from "./orders.ts";

/** Point at which rings go on after the backend was lost. */
export type ResumePoint = "used" | "avail" | readonly number[];

/** One ring. */
interface FrontendQueue {
  readonly ring: DriverRing;
  readonly kick: KickPoint;
  readonly call: CallPoint;
  /** Next available index, for the backend's start. */
  base: number;
}

/** Settings of rings that are made together. */
interface QueueSettings {
  readonly memory: FrontendMemory;
  readonly order: Order;
  /** The backend's socket, whose end ends a wait for a call. */
  readonly socketFd: number;
  /** Entries of each ring. */
  readonly size: number;
  /** True if VIRTIO_F_EVENT_IDX is in force. */
  readonly eventIndex: boolean;
  /** Region in which each ring lies; the first by default. */
  readonly regions: readonly number[];
}

/** The rings, by queue number. **Ownership**: owns their fds. */
export class FrontendQueues implements Disposable {
  readonly #queues: FrontendQueue[] = [];
  readonly #fds = new DisposableStack();

  /** All of them. */
  get all(): readonly FrontendQueue[] {
    return this.#queues;
  }

  /** Makes rings. */
  add(count: number, settings: QueueSettings): void {
    const { memory, order, socketFd, size, eventIndex, regions } = settings;
    let shared: CallPoint | undefined;
    for (let index = 0; index < count; index++) {
      const call = shared ?? this.#fds.use(new CallPoint(order.call));
      if (shared === undefined) call.watchSocket(socketFd);
      if (order.sharedCall) shared = call;
      this.#queues.push({
        ring: DriverRing.create({
          memory,
          size,
          eventIndex,
          region: regions[index] ?? 0,
        }),
        kick: this.#fds.use(new KickPoint()),
        call,
        base: 0,
      });
    }
  }

  /**
   * Returns a ring.
   *
   * @throws {RangeError} If there is none of this number.
   */
  at(index: number): FrontendQueue {
    const queue = this.#queues[index];
    if (queue === undefined) {
      throw new RangeError(
        `There is no ring ${index}: ${this.#queues.length} are set up`,
      );
    }
    return queue;
  }

  /** Empties the rings: the next start is a fresh driver's. */
  reset(): void {
    for (const queue of this.#queues) {
      queue.ring.reset();
      queue.base = 0;
    }
  }

  /** Lets waits for calls end with the socket `fd`, or with none. */
  watchSocket(fd: number | undefined): void {
    for (const { call } of this.#queues) call.watchSocket(fd);
  }

  /** Sets where each ring goes on with the next backend. */
  resume(from: ResumePoint): void {
    for (const [index, queue] of this.#queues.entries()) {
      queue.base = from === "used"
        ? queue.ring.deviceUsedIndex
        : from === "avail"
        ? queue.ring.availIndex
        : from[index] ?? 0;
    }
  }

  /**
   * Sleeps until a ring has used entries.
   *
   * **Blocking**: for `timeoutMs` at most.
   *
   * @returns How many there are; 0 when the time was up.
   */
  waitUsed(index: number, timeoutMs: number): number {
    const { ring, call } = this.at(index);
    const deadline = performance.now() + timeoutMs;
    ring.enableCalls();
    for (;;) {
      const count = ring.usedCount();
      if (count > 0) return count;
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) return 0;
      call.wait(left);
    }
  }

  [Symbol.dispose](): void {
    this.#fds.dispose();
  }
}
