/**
 * vhost-user's in-flight log of a split ring: which entries the device took and
 * has not given back, kept in memory that outlives this process or the session.
 *
 * The event queue of virtio-gpio is out of order by nature: its buffers are
 * held until a line interrupts. Without this log a frontend that reconnects
 * cannot tell which buffers are still held, and armed interrupts are lost.
 *
 * The stores follow the order that the protocol documents, so that a process
 * killed between any two of them leaves a log that the next one can read.
 * Fields whose order matters are stored with `Atomics`, which keeps the engine
 * from merging or moving them.
 *
 * **Source**: vhost-user protocol, "Inflight I/O tracking", split virtqueue;
 * QEMU docs/interop/vhost-user.rst.
 *
 * @module
 */
import { bytes, layout, U16, U64, U8 } from "../../../ffi/layout.ts";
import { ENTRIES_PER_STEP, oldestFirst } from "./oldest_first.ts";
import { TakenHeads } from "./taken_heads.ts";

/** Head of one queue's part of the in-flight buffer (`QueueRegionSplit`). */
export const INFLIGHT_QUEUE_REGION = layout("QueueRegionSplit", 16, [
  ["features", U64], // none defined: 0
  ["version", U16], // 1; 0 means that the region is not in use yet
  ["desc_num", U16], // size of the queue
  ["last_batch_head", U16], // newest entry of the list of given-back heads
  ["used_idx", U16], // the ring's used.idx when the last batch was complete
]);

/** State that is kept per descriptor (`DescStateSplit`). */
const INFLIGHT_DESCRIPTOR_STATE = layout("DescStateSplit", 16, [
  ["inflight", U8], // 1 while the device has the head
  ["padding", bytes(5)],
  ["next", U16], // the head given back before this one
  ["counter", U64], // order in which heads were taken
]);

const VERSION = 1;
const REGION_ALIGNMENT = 64;
const WORDS = 2; // bytes of a Uint16Array element
const LONGS = 4; // bytes of a Uint32Array element
const AT_VERSION = INFLIGHT_QUEUE_REGION.at.version / WORDS;
const AT_SIZE = INFLIGHT_QUEUE_REGION.at.desc_num / WORDS;
const AT_LAST_BATCH_HEAD = INFLIGHT_QUEUE_REGION.at.last_batch_head / WORDS;
const AT_USED_INDEX = INFLIGHT_QUEUE_REGION.at.used_idx / WORDS;
const STATES_AT = INFLIGHT_QUEUE_REGION.size;
const STATE_SIZE = INFLIGHT_DESCRIPTOR_STATE.size;
const AT_INFLIGHT = STATES_AT + INFLIGHT_DESCRIPTOR_STATE.at.inflight;
const AT_NEXT = (STATES_AT + INFLIGHT_DESCRIPTOR_STATE.at.next) / WORDS;
const AT_COUNTER = (STATES_AT + INFLIGHT_DESCRIPTOR_STATE.at.counter) / LONGS;
const TWO_TO_32 = 2 ** 32;

/** State of a ring, as its log says it. */
export interface LogRecord {
  /** `used.idx` when the last batch was complete. */
  readonly usedIndex: number;
  /** Heads that the device has. */
  readonly taken: TakenHeads;
  /** True if the device has ever given a head back. */
  readonly hasGivenBack: boolean;
  /** Counter of the next head that is taken. */
  readonly nextCounter: number;
}

/** Does all steps now. */
function runToEnd<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** The in-flight log of one queue. */
export class InflightLog {
  readonly #size: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint16Array;
  readonly #longs: Uint32Array;
  // Our own copy of the batch: the shared list is the frontend's to scribble
  // on.
  readonly #batch: Uint16Array;
  #batchCount = 0;
  /** The heads that it was kept in step with from the first on. */
  #tracked: TakenHeads | undefined;
  // [0] is the next value of the global counter; a double that stays in place.
  readonly #counter = new Float64Array(1);

  private constructor(buffer: ArrayBuffer, byteOffset: number, size: number) {
    const length = InflightLog.bytesFor(size);
    this.#size = size;
    this.#bytes = new Uint8Array(buffer, byteOffset, length);
    this.#words = new Uint16Array(buffer, byteOffset, length / WORDS);
    this.#longs = new Uint32Array(buffer, byteOffset, length / LONGS);
    this.#batch = new Uint16Array(size);
  }

  /**
   * Bytes that one queue of `size` entries takes in the in-flight buffer, and
   * so the distance between two queues of that size.
   */
  static bytesFor(size: number): number {
    const exact = STATES_AT + size * STATE_SIZE;
    return Math.ceil(exact / REGION_ALIGNMENT) * REGION_ALIGNMENT;
  }

  /**
   * Opens the log of a queue of `size` entries at `byteOffset` of `buffer`.
   * Nothing is read or written before {@linkcode InflightLog.recover}.
   *
   * @returns The log, or why there cannot be one there.
   */
  static open(
    buffer: ArrayBuffer,
    byteOffset: number,
    size: number,
  ): InflightLog | string {
    if (!Number.isInteger(size) || size < 1 || size > 32768) {
      return `Cannot open an in-flight log for a queue of ${size} entries: ` +
        "a queue has 1 to 32768";
    }
    if (!Number.isSafeInteger(byteOffset) || byteOffset % 8 !== 0) {
      return `Cannot open an in-flight log at offset ${byteOffset}: ` +
        "it must be a multiple of 8";
    }
    const length = InflightLog.bytesFor(size);
    if (byteOffset < 0 || byteOffset + length > buffer.byteLength) {
      return `Cannot open an in-flight log at offset ${byteOffset}: its ` +
        `${length} bytes end beyond the ${buffer.byteLength} of the buffer`;
    }
    return new InflightLog(buffer, byteOffset, size);
  }

  /** Size of the queue. */
  get size(): number {
    return this.#size;
  }

  /**
   * Reads what the log says, in steps that each `yield` ends. Writes nothing.
   */
  *read(): Generator<void, LogRecord> {
    const usedIndex = this.#words[AT_USED_INDEX]!;
    const heads = new Uint16Array(this.#size);
    const low = new Uint32Array(this.#size);
    const high = new Uint32Array(this.#size);
    let count = 0;
    let hasGivenBack = false;
    let newest = 0;
    for (let head = 0; head < this.#size; head++) {
      if (head % ENTRIES_PER_STEP === 0) yield;
      const counter = this.#readCounter(head);
      if (counter > newest) newest = counter;
      if (this.#bytes[AT_INFLIGHT + head * STATE_SIZE] !== 1) {
        hasGivenBack ||= counter !== 0;
        continue;
      }
      const at = AT_COUNTER + head * (STATE_SIZE / LONGS);
      heads[count] = head;
      low[count] = this.#longs[at]!;
      high[count] = this.#longs[at + 1]!;
      count++;
    }
    // Heads are counted as they are taken: more than are in flight came back.
    hasGivenBack ||= newest > count;
    const order = yield* oldestFirst({ count, heads, low, high });
    const taken = new TakenHeads(this.#size);
    for (let i = 0; i < count; i++) {
      if (i % ENTRIES_PER_STEP === 0) yield;
      taken.add(heads[order[i]!]!);
    }
    const last = order.at(-1);
    const nextCounter = last === undefined
      ? 1
      : high[last]! * TWO_TO_32 + low[last]! + 1;
    return { usedIndex, taken, hasGivenBack, nextCounter };
  }

  /**
   * Brings the log in step with the ring and says what is in flight.
   *
   * A batch that was published in the ring, but not yet struck off here, is
   * struck off now. A region that is not in use, or that belongs to a ring of
   * another size, is begun afresh.
   *
   * @param usedIndex The ring's `used.idx`, as read from guest memory.
   * @param known The record of this log, if it was read before. Becomes the
   * queue's.
   * @returns The heads that were taken and not given back, oldest first.
   */
  recover(usedIndex: number, known?: LogRecord): TakenHeads {
    const words = this.#words;
    this.#batchCount = 0;
    this.#counter[0] = 1;
    if (!this.#isWritten) {
      this.#begin(usedIndex);
      return new TakenHeads(this.#size);
    }
    const record = known ?? runToEnd(this.read());
    const published = (usedIndex - words[AT_USED_INDEX]!) & 0xffff;
    if (published !== 0) {
      let head = words[AT_LAST_BATCH_HEAD]!;
      // More than the ring holds is not a batch of ours; the walk ends anyhow.
      const batch = Math.min(published, this.#size);
      for (let i = 0; i < batch && head < this.#size; i++) {
        Atomics.store(this.#bytes, AT_INFLIGHT + head * STATE_SIZE, 0);
        if (record.taken.has(head)) record.taken.delete(head);
        head = words[AT_NEXT + head * (STATE_SIZE / WORDS)]!;
      }
      Atomics.store(words, AT_USED_INDEX, usedIndex);
    }
    this.#counter[0] = record.nextCounter;
    return record.taken;
  }

  /**
   * Makes the log say that exactly these heads are in flight, for a queue that
   * knows it. A log that says so already is only read, and one that was kept in
   * step with these very heads is not even read, but for its head.
   *
   * @param usedIndex The ring's `used.idx`, as read from guest memory.
   * @param taken Heads, each at most once, oldest first.
   */
  adopt(usedIndex: number, taken: TakenHeads | readonly number[]): void {
    this.#batchCount = 0;
    const isInStep = taken === this.#tracked && this.#isWritten &&
      this.#words[AT_USED_INDEX] === usedIndex;
    if (isInStep) return;
    const isList = taken instanceof TakenHeads;
    this.#tracked = isList ? taken : undefined;
    const heads = isList ? taken.list() : taken;
    this.#counter[0] = 1;
    if (this.#agrees(usedIndex, heads)) {
      let newest = 0;
      for (const head of heads) {
        newest = Math.max(newest, this.#readCounter(head));
      }
      this.#counter[0] = newest + 1;
      return;
    }
    this.#begin(usedIndex);
    for (const head of heads) this.take(head);
  }

  /** The heads that it says are in flight are these, from now on. */
  track(taken: TakenHeads): void {
    this.#tracked = taken;
  }

  get #isWritten(): boolean {
    return this.#words[AT_VERSION] === VERSION &&
      this.#words[AT_SIZE] === this.#size;
  }

  #agrees(usedIndex: number, heads: readonly number[]): boolean {
    if (!this.#isWritten || this.#words[AT_USED_INDEX] !== usedIndex) {
      return false;
    }
    const bytes = this.#bytes;
    const end = AT_INFLIGHT + this.#size * STATE_SIZE;
    let count = 0;
    for (let at = AT_INFLIGHT; at < end; at += STATE_SIZE) {
      count += bytes[at]! & 1;
    }
    if (count !== heads.length) return false;
    for (const head of heads) {
      if (bytes[AT_INFLIGHT + head * STATE_SIZE] !== 1) return false;
    }
    return true;
  }

  /** Begins a log of nothing in flight. */
  #begin(usedIndex: number): void {
    const words = this.#words;
    this.#bytes.fill(0);
    words[AT_SIZE] = this.#size;
    Atomics.store(words, AT_USED_INDEX, usedIndex);
    Atomics.store(words, AT_VERSION, VERSION);
  }

  #readCounter(head: number): number {
    const at = AT_COUNTER + head * (STATE_SIZE / LONGS);
    return this.#longs[at + 1]! * TWO_TO_32 + this.#longs[at]!;
  }

  /** The device took `head` from the available ring. */
  take(head: number): void {
    const at = AT_COUNTER + head * (STATE_SIZE / LONGS);
    const counter = this.#counter[0]!;
    this.#longs[at] = counter; // modulo 2^32
    this.#longs[at + 1] = counter / TWO_TO_32;
    this.#counter[0] = counter + 1;
    Atomics.store(this.#bytes, AT_INFLIGHT + head * STATE_SIZE, 1);
  }

  /**
   * The device put `head` into the used ring; `used.idx` does not show it yet.
   */
  markUsed(head: number): void {
    const words = this.#words;
    words[AT_NEXT + head * (STATE_SIZE / WORDS)] = words[AT_LAST_BATCH_HEAD]!;
    Atomics.store(words, AT_LAST_BATCH_HEAD, head);
    if (this.#batchCount < this.#size) this.#batch[this.#batchCount++] = head;
  }

  /**
   * `used.idx` was published as `usedIndex`: the batch is the driver's again.
   */
  published(usedIndex: number): void {
    for (let i = 0; i < this.#batchCount; i++) {
      Atomics.store(
        this.#bytes,
        AT_INFLIGHT + this.#batch[i]! * STATE_SIZE,
        0,
      );
    }
    this.#batchCount = 0;
    Atomics.store(this.#words, AT_USED_INDEX, usedIndex);
  }
}
