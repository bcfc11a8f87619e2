/**
 * A bounded ring of edges in memory that a reactor and the reader of its edges
 * share: one writer, which never waits and allocates nothing, and any number of
 * readers, which notice what was overwritten before they came.
 *
 * The memory begins with a header of 64 bytes: the number of edges so far (64
 * bits, low word first), and the next free line id. A table follows with the
 * latest state of each line, which outlives its edges: a word for each 32768th
 * line id, with the newest of these lines that had an edge (4 bits of state, then
 * the upper bits of the id plus one). Records of 16 bytes come after that: time
 * (64-bit float, nanoseconds of CLOCK_MONOTONIC), line id, edge.
 *
 * @module
 */
import { type LineState, stateAfter } from "./record.ts";

const HEADER_BYTES = 64;
const RECORD_BYTES = 16;
const LOW = 0;
const HIGH = 1;
const NEXT_ID = 2;
const STATES_AT = HEADER_BYTES / 4;
const STATE_SLOTS = 1 << 15;
const STATE_SLOT_BITS = 15;
const STATE_BITS = 4;
const RECORDS_AT_BYTES = HEADER_BYTES + 4 * STATE_SLOTS;
const RECORDS_AT = RECORDS_AT_BYTES / 4;
const TIMES_AT = RECORDS_AT_BYTES / 8;
const WORDS = RECORD_BYTES / 4;
const TIMES = RECORD_BYTES / 8;
const ID = 2;
const BITS = 3;
const TWO_32 = 2 ** 32;
/** Bits of the upper word that count: numbers of edges stay exact. */
const HIGH_MASK = 0xfffff;
/** Latest time of an edge: 285 years after the boot. **Units**: nanoseconds. */
export const MAX_TIME = 9e18;
/** Looks at a head that changes meanwhile. */
const MAX_LOOKS = 64;

/** Edges of a ring unless that is set: 16 MB, which fill up as edges come. */
export const DEFAULT_EDGES = 1_000_000;

/** Returns the size of the memory for so many edges. **Units**: bytes. */
export function ringBytes(edges: number): number {
  return RECORDS_AT_BYTES + edges * RECORD_BYTES;
}

/** Memory of a ring: of a file that several map, or of this process. */
export type RingMemory = ArrayBuffer | SharedArrayBuffer;

/** Writer of a ring. There is one at a time. */
export class EdgeWriter {
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #size: number;
  /** Slot of the next edge. */
  #slot: number;
  #low: number;

  /** Goes on behind what `memory` has. */
  constructor(memory: RingMemory) {
    const words = new Int32Array(memory);
    this.#words = words;
    this.#times = new Float64Array(memory);
    this.#size = countRecords(memory);
    this.#low = Atomics.load(words, LOW);
    this.#slot = readHead(words) % this.#size;
  }

  /** Takes ids for so many lines; returns the first. */
  takeIds(count: number): number {
    const first = this.#words[NEXT_ID]!;
    this.#words[NEXT_ID] = first + count;
    return first;
  }

  /**
   * Writes an edge.
   *
   * @param stamp Array whose first element is the time: a number on its way
   * would be an object. **Units**: nanoseconds, monotonic.
   */
  write(stamp: Float64Array, lineId: number, bits: number): void {
    const words = this.#words;
    const slot = this.#slot;
    const at = RECORDS_AT + slot * WORDS;
    this.#times[TIMES_AT + slot * TIMES] = stamp[0]!;
    words[at + ID] = lineId;
    words[at + BITS] = bits;
    this.#slot = slot + 1 === this.#size ? 0 : slot + 1;
    const low = (this.#low + 1) | 0;
    this.#low = low;
    if (low === 0) Atomics.add(words, HIGH, 1);
    Atomics.store(words, LOW, low);
    // After the number: a reader of this state sees the edge, or that it is gone.
    const stateAt = STATES_AT + (lineId & (STATE_SLOTS - 1));
    const upper = (lineId >>> STATE_SLOT_BITS) + 1;
    if (words[stateAt]! >>> STATE_BITS <= upper) {
      Atomics.store(words, stateAt, upper << STATE_BITS | stateAfter(bits));
    }
  }
}

/** One edge as a ring has it. */
interface RawEdge {
  /** Order number, from 0. */
  number: number;
  /** **Units**: nanoseconds, monotonic. */
  time: number;
  lineId: number;
  /** See `record.ts`. */
  bits: number;
}

/** Reader of a ring. */
export class EdgeReader {
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  /** Number of edges that it has room for. */
  readonly size: number;

  /** Reads `memory`, which another thread or process writes. */
  constructor(memory: RingMemory) {
    this.#words = new Int32Array(memory);
    this.#times = new Float64Array(memory);
    this.size = countRecords(memory);
  }

  /** Number of the next edge: so many were written. */
  get head(): number {
    return readHead(this.#words);
  }

  /** Number of the oldest edge that can still be read. */
  get tail(): number {
    // The one that is overwritten just now is not read.
    return Math.max(0, this.head - this.size + 1);
  }

  /**
   * Reads at most `count` edges from number `from` on.
   *
   * @returns The edges in order. The first has a larger number than `from` if
   * those before it were overwritten.
   */
  read(from: number, count: number): RawEdge[] {
    const { head } = this;
    const begin = Math.max(from, head - this.size + 1, 0);
    const end = Math.min(head, begin + count);
    const edges: RawEdge[] = [];
    for (let number = begin; number < end; number++) {
      edges.push(this.#at(number));
    }
    // The writer may have caught up meanwhile.
    const { tail } = this;
    return tail <= begin ? edges : edges.filter(({ number }) => number >= tail);
  }

  /**
   * Calls `see` for the `count` edges from number `from` on that can be read,
   * without objects.
   *
   * @returns Number of the edge after the last one. Edges that were overwritten
   * meanwhile may be wrong: the caller looks at {@linkcode EdgeReader.tail}.
   */
  scan(
    from: number,
    count: number,
    see: (lineId: number, bits: number) => void,
  ): number {
    const begin = Math.max(from, this.tail);
    const end = Math.min(this.head, Math.max(begin, from + count));
    let at = RECORDS_AT + (begin % this.size) * WORDS;
    const over = RECORDS_AT + this.size * WORDS;
    for (let number = begin; number < end; number++) {
      see(this.#words[at + ID]!, this.#words[at + BITS]!);
      at += WORDS;
      if (at === over) at = RECORDS_AT;
    }
    return end;
  }

  /**
   * Returns the state of a line after its latest edge, which may be overwritten;
   * "none" if it had no edge; undefined if that is not known: a line that began
   * much later has its place.
   */
  latestState(lineId: number): LineState | "none" | undefined {
    const at = STATES_AT + (lineId & (STATE_SLOTS - 1));
    const word = Atomics.load(this.#words, at);
    const upper = (lineId >>> STATE_SLOT_BITS) + 1;
    const known = word >>> STATE_BITS;
    if (known < upper) return "none";
    return known === upper ? stateAfter(word) : undefined;
  }

  /** Time of an edge that can still be read. **Units**: nanoseconds. */
  edgeTime(number: number): number {
    return this.#at(number).time;
  }

  /**
   * Returns the number of the first edge that is not earlier than `time`.
   * **Units**: nanoseconds, monotonic.
   *
   * Edges of the kernel have the kernel's times, and may be out of order by
   * their delay: the result may be off by as much.
   */
  firstSince(time: number): number {
    let low = this.tail;
    let high = this.head;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (this.#at(middle).time < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #at(number: number): RawEdge {
    const slot = number % this.size;
    const at = RECORDS_AT + slot * WORDS;
    return {
      number,
      time: soundTime(this.#times[TIMES_AT + slot * TIMES]!),
      lineId: this.#words[at + ID]!,
      bits: this.#words[at + BITS]!,
    };
  }
}

/** Returns a time; 0 for a number that none of a kernel's can be. */
function soundTime(time: number): number {
  return time >= 0 && time <= MAX_TIME ? time : 0;
}

function countRecords(memory: RingMemory): number {
  return Math.floor((memory.byteLength - RECORDS_AT_BYTES) / RECORD_BYTES);
}

/** A number of another process: it may be nonsense, and change without end. */
function readHead(words: Int32Array): number {
  let low = 0;
  let high = Atomics.load(words, HIGH);
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    low = Atomics.load(words, LOW) >>> 0;
    const again = Atomics.load(words, HIGH);
    if (again === high) break;
    high = again;
  }
  return (high & HIGH_MASK) * TWO_32 + low;
}
