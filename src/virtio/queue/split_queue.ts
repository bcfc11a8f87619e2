/**
 * The device's side of a split virtqueue.
 *
 * The queue knows memory and numbers only: no file descriptor, no socket, no
 * device. Nothing that a guest writes makes it throw: a chain that cannot be
 * used comes out of `pop` with its fault named, to be refused; a ring that makes
 * no sense stops the queue until its next start.
 *
 * A request of the usual form allocates nothing. A chain of more than 16 parts
 * makes room for them, an indirect table across two regions a view of it, and an
 * answer of more than 64 bytes (the names) one of where it goes.
 *
 * **Source**: virtio 1.3, section 2.7 "Split Virtqueues".
 *
 * @module
 */
import { loadAcquire16, storeRelease16 } from "./atomic16.ts";
import { DescriptorChain } from "./descriptor_chain.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_INDIRECT_DESC_MASK,
} from "./features.ts";
import type { GuestMemory } from "./guest_memory.ts";
import type { InflightLog, LogRecord } from "./inflight.ts";
import {
  AVAIL_HEADER,
  type RingOptions,
  type RingViews,
  USED_ELEMENT,
  USED_HEADER,
  viewRing,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_USED_F_NO_NOTIFY,
  WORD,
} from "./ring_layout.ts";
import { TakenHeads } from "./taken_heads.ts";

const AVAIL_FLAGS = AVAIL_HEADER.at.flags / WORD;
const AVAIL_INDEX = AVAIL_HEADER.at.idx / WORD;
const AVAIL_RING = AVAIL_HEADER.size / WORD;
const USED_FLAGS = USED_HEADER.at.flags / WORD;
const USED_INDEX = USED_HEADER.at.idx / WORD;
const USED_HEADER_WORDS = USED_HEADER.size / WORD;
const INDEX_MASK = 0xffff;

/** Options of a {@linkcode SplitQueue}. */
export interface SplitQueueOptions extends RingOptions {
  /**
   * Index of the next entry to take from the available ring. With `inflight`
   * and without `resubmit` the log knows better (used.idx plus what is in
   * flight), and this is not used.
   */
  readonly nextAvail: number;
  /** Notifies the driver. **Blocking**: must not; called by `flush`. */
  readonly notify: () => void;
  /**
   * Heads an earlier run took and did not give back; `pop` yields them first. To
   * give them, be it none, says that where the ring stands is known. Those of a
   * queue that is closed become this queue's own.
   */
  readonly resubmit?: readonly number[] | TakenHeads;
  /**
   * Log that survives this process. Without `resubmit` it is recovered, and what
   * it knows to be in flight is resubmitted; with it, the log adopts that.
   */
  readonly inflight?: InflightLog;
  /**
   * Log that the queue keeps from {@linkcode SplitQueue.beginLog} on: until then
   * what it took and did not give back is what comes after the used index.
   */
  readonly laterLog?: InflightLog | undefined;
  /** Record of the log, if it was read before: it is not read again. */
  readonly record?: LogRecord | undefined;
  /** Called once, when the ring turns out to make no sense. */
  readonly onFault?: (fault: string) => void;
}

/**
 * The rule of `used_event` and `avail_event`: whether moving an index from
 * `oldIndex` to `newIndex` passes the entry that the other side waits for.
 *
 * @param mask The modulus of the indices minus one.
 *
 * **Source**: virtio 1.3, section 2.7.10, `vring_need_event`.
 */
export function crossesEvent(
  event: number,
  newIndex: number,
  oldIndex: number,
  mask = INDEX_MASK,
): boolean {
  return ((newIndex - event - 1) & mask) < ((newIndex - oldIndex) & mask);
}

/** One started split virtqueue. */
export class SplitQueue {
  /** The guest's memory. */
  readonly memory: GuestMemory;
  /** Entries of the ring. */
  readonly size: number;
  /** Called once with the fault that stops the queue; the transport sets it. */
  onFault: ((fault: string) => void) | undefined;

  readonly #chain: DescriptorChain;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  // The used ring's elements: id, len, id, len, …
  readonly #usedRing: Uint32Array;
  readonly #hasEventIndex: boolean;
  readonly #usedEvent: number;
  readonly #availEvent: number;
  readonly #notify: () => void;
  #inflight: InflightLog | undefined;
  readonly #laterLog: InflightLog | undefined;
  /** The heads taken and not given back. */
  readonly taken: TakenHeads;
  /** The next head to resubmit, or the size of the ring. */
  #resubmit: number;
  #nextAvail: number;
  /** The driver's index as read last: entries before it need no new load. */
  #seenAvail: number;
  #nextUsed: number;
  #publishedUsed: number;
  /** Published index up to which the driver was notified, where it wanted that. */
  #notifiedUsed: number;
  #fault: string | undefined;
  #isClosed = false;
  #isPolled = false;

  private constructor(
    options: SplitQueueOptions,
    rings: RingViews,
    nextAvail: number,
    nextUsed: number,
    taken: TakenHeads,
  ) {
    this.memory = options.memory;
    this.size = options.size;
    this.onFault = options.onFault;
    this.#avail = rings.avail;
    this.#used = rings.used;
    this.#usedRing = rings.usedRing;
    this.#hasEventIndex = (options.features & VIRTIO_F_EVENT_IDX_MASK) !== 0n;
    this.#usedEvent = AVAIL_RING + this.size;
    this.#availEvent = USED_HEADER_WORDS +
      this.size * (USED_ELEMENT.size / WORD);
    this.#notify = options.notify;
    this.#inflight = options.inflight;
    this.#laterLog = options.laterLog;
    this.#nextAvail = nextAvail;
    this.#seenAvail = nextAvail;
    this.#nextUsed = nextUsed;
    this.#publishedUsed = nextUsed;
    this.#notifiedUsed = nextUsed;
    this.taken = taken;
    this.#resubmit = taken.oldest();
    this.#chain = new DescriptorChain(
      this.memory,
      rings.descriptors,
      this.size,
      (options.features & VIRTIO_F_INDIRECT_DESC_MASK) !== 0n,
    );
  }

  /**
   * Starts a queue on rings in guest memory. Guest memory is only read.
   *
   * @returns The queue, or why these rings cannot be used.
   */
  static create(options: SplitQueueOptions): SplitQueue | string {
    const rings = viewRing(options);
    if (typeof rings === "string") return rings;
    const { size, inflight } = options;
    const usedIndex = loadAcquire16(rings.used, USED_INDEX);
    let nextAvail = options.nextAvail;
    if (!Number.isInteger(nextAvail) || nextAvail < 0 || nextAvail > 0xffff) {
      return `Cannot start the queue: ${nextAvail} is no ring index`;
    }
    if (inflight !== undefined && inflight.size !== size) {
      return `Cannot start the queue of ${size} entries with an in-flight ` +
        `log for ${inflight.size}`;
    }
    const known = options.resubmit;
    const taken = toTakenHeads(
      known ?? inflight?.recover(usedIndex, options.record) ?? [],
      size,
    );
    if (typeof taken === "string") return taken;
    if (known === undefined) inflight?.track(taken);
    else inflight?.adopt(usedIndex, taken);
    if (inflight !== undefined && known === undefined) {
      // What was taken is either used or in flight. Frontends differ in what
      // base they set after a crash (used.idx, or avail.idx); neither is right
      // for a queue that completes out of order.
      nextAvail = (usedIndex + taken.count) & INDEX_MASK;
    }
    return new SplitQueue(options, rings, nextAvail, usedIndex, taken);
  }

  /** Index of the next entry to take from the available ring. */
  get nextAvail(): number {
    return this.#nextAvail;
  }

  /** Why the queue stands still until its next start; undefined if it runs. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /**
   * True if `pop` would yield an entry without looking at the shared index
   * again: more of the batch that it saw last.
   */
  get hasBuffered(): boolean {
    return this.#nextAvail !== this.#seenAvail ||
      this.#resubmit !== this.size;
  }

  /** The heads taken and not given back, oldest first. */
  inFlightHeads(): number[] {
    return this.taken.list();
  }

  /**
   * Keeps the log from now on, if it has one that it does not keep yet: an entry
   * that was taken is about to be overtaken by others.
   */
  beginLog(): void {
    const log = this.#laterLog;
    if (log === undefined || this.#inflight !== undefined) return;
    // What is used and not published would count as not taken.
    this.flush();
    log.adopt(this.#publishedUsed, this.taken);
    this.#inflight = log;
  }

  /** The log that it keeps. */
  get log(): InflightLog | undefined {
    return this.#inflight;
  }

  /**
   * Takes the next chain: what is to be resubmitted first, then what the driver
   * made available.
   *
   * @returns The queue's one chain object, filled anew (look at its `fault`
   * first), or undefined when there is no entry or the queue stands still.
   */
  pop(): DescriptorChain | undefined {
    if (this.#resubmit !== this.size) {
      return this.#popResubmitted();
    }
    const nextAvail = this.#nextAvail;
    if (nextAvail === this.#seenAvail && !this.#look()) return undefined;
    const head = this.#avail[AVAIL_RING + (nextAvail & (this.size - 1))]!;
    if (head >= this.size) {
      return this.#stop(
        `the available ring names descriptor ${head} of ${this.size}`,
      );
    }
    if (this.taken.has(head)) {
      // Giving it back twice would corrupt the driver's free list, ignoring it
      // would hide that it already is corrupt.
      return this.#stop(
        `descriptor ${head} was made available while the device has it`,
      );
    }
    this.#nextAvail = (nextAvail + 1) & INDEX_MASK;
    this.taken.add(head);
    if (this.#inflight !== undefined) this.#inflight.take(head);
    this.#chain.load(head);
    return this.#chain;
  }

  #popResubmitted(): DescriptorChain {
    // Its head counts as taken since the start, in the log as well.
    const head = this.#resubmit;
    this.#resubmit = this.taken.after(head);
    this.#chain.load(head);
    return this.#chain;
  }

  /** Loads the driver's index; whether there are entries. */
  #look(): boolean {
    if (this.#isHalted()) return false;
    const index = loadAcquire16(this.#avail, AVAIL_INDEX);
    const count = (index - this.#nextAvail) & INDEX_MASK;
    if (count > this.size) {
      this.#stop(
        `the available index ${index} is ${count} entries ahead of ` +
          `${this.#nextAvail}, in a ring of ${this.size}`,
      );
      return false;
    }
    this.#seenAvail = index;
    return count !== 0;
  }

  #stop(reason: string): undefined {
    this.#fault = `The ring is malformed: ${reason}`;
    this.#forgetEntries();
    this.onFault?.(this.#fault);
  }

  /** There is nothing more to pop. */
  #forgetEntries(): void {
    this.#seenAvail = this.#nextAvail;
    this.#resubmit = this.size;
  }

  /**
   * Gives a chain back; the driver sees it after the next `flush`. A head that
   * is not taken, or a queue that stands still, is left alone.
   *
   * @param writtenBytes Bytes written from the start of the writable part.
   */
  push(head: number, writtenBytes: number): void {
    if (!this.taken.has(head) || this.#isHalted()) return;
    // A driver that makes entries available before it saw them used could
    // otherwise lap the index that it waits for.
    if (((this.#nextUsed - this.#notifiedUsed) & INDEX_MASK) >= this.size) {
      this.flush();
    }
    const at = (this.#nextUsed & (this.size - 1)) * 2;
    this.#usedRing[at] = head;
    this.#usedRing[at + 1] = writtenBytes;
    this.#nextUsed = (this.#nextUsed + 1) & INDEX_MASK;
    if (head === this.#resubmit) this.#resubmit = this.taken.after(head);
    this.taken.delete(head);
    if (this.#inflight !== undefined) this.#inflight.markUsed(head);
  }

  #isHalted(): boolean {
    return this.#fault !== undefined || this.#isClosed;
  }

  /**
   * Shows the driver what was pushed, by one store of the used index. It is
   * notified by the next `flush`. What was pushed before a fault is published as
   * well.
   */
  publish(): void {
    const newIndex = this.#nextUsed;
    if (newIndex === this.#publishedUsed || this.#isClosed) return;
    this.#publishedUsed = newIndex;
    storeRelease16(this.#used, USED_INDEX, newIndex);
    if (this.#inflight !== undefined) this.#inflight.published(newIndex);
  }

  /**
   * Publishes what was pushed, and decides once whether the driver wants to be
   * notified of all that was published since the last time.
   */
  flush(): void {
    this.publish();
    const newIndex = this.#publishedUsed;
    const oldIndex = this.#notifiedUsed;
    if (newIndex === oldIndex || this.#isClosed) return;
    this.#notifiedUsed = newIndex;
    if (this.#hasEventIndex) {
      const event = loadAcquire16(this.#avail, this.#usedEvent);
      if (crossesEvent(event, newIndex, oldIndex)) this.#notify();
    } else {
      const flags = loadAcquire16(this.#avail, AVAIL_FLAGS);
      if ((flags & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0) this.#notify();
    }
  }

  /**
   * Asks the driver for a kick with its next entry, then looks for entries that
   * came before it could know.
   *
   * @returns Whether there are entries to take now.
   */
  rearm(): boolean {
    if (this.#isHalted()) return false;
    if (!this.#isPolled) this.#askForKicks();
    return this.#resubmit !== this.size || this.#look();
  }

  #askForKicks(): void {
    if (this.#hasEventIndex) {
      storeRelease16(this.#used, this.#availEvent, this.#nextAvail);
    } else if (this.#used[USED_FLAGS] !== 0) {
      // An earlier owner of the ring may have switched kicks off.
      storeRelease16(this.#used, USED_FLAGS, 0);
    }
  }

  /**
   * Asks the driver for no kicks until {@linkcode SplitQueue.endPolling}: its
   * index is looked at instead. A driver may kick all the same, and does once in
   * 2^16 entries with EVENT_IDX.
   */
  beginPolling(): void {
    if (this.#isHalted()) return;
    this.#isPolled = true;
    if (this.#hasEventIndex) {
      // The driver is beyond this entry.
      const event = (this.#nextAvail - 1) & INDEX_MASK;
      storeRelease16(this.#used, this.#availEvent, event);
    } else storeRelease16(this.#used, USED_FLAGS, VIRTQ_USED_F_NO_NOTIFY);
  }

  /**
   * Asks the driver for kicks again; entries that came before it knew are found
   * by {@linkcode SplitQueue.rearm}.
   */
  endPolling(): void {
    if (!this.#isPolled) return;
    this.#isPolled = false;
    if (!this.#isHalted()) this.#askForKicks();
  }

  /** True if the driver has made entries available since the last look. */
  get hasNews(): boolean {
    return !this.#isHalted() &&
      loadAcquire16(this.#avail, AVAIL_INDEX) !== this.#seenAvail;
  }

  /**
   * Ends all access to guest memory through this queue; what it knows can still
   * be asked. Call it before memory is unmapped.
   */
  close(): void {
    this.#isClosed = true;
    this.#forgetEntries();
  }
}

/** Heads to begin with, or why a ring of this size has none such. */
function toTakenHeads(
  heads: readonly number[] | TakenHeads,
  size: number,
): TakenHeads | string {
  if (heads instanceof TakenHeads) {
    return heads.size === size
      ? heads
      : `Cannot start the queue of ${size} entries with heads of one of ` +
        `${heads.size}`;
  }
  const taken = new TakenHeads(size);
  for (const head of heads) {
    const isTwice = taken.has(head);
    if (isTwice || !Number.isInteger(head) || head < 0 || head >= size) {
      return `Cannot start the queue of ${size} entries: there is no head ` +
        `${head} to resubmit${isTwice ? " twice" : ""}`;
    }
    taken.add(head);
  }
  return taken;
}
