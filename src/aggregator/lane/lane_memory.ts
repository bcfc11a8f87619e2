/**
 * The memory that a lane and the reactor share: one slot per line, in which an
 * operation is asked and answered, and edges are counted.
 *
 * A lane is a thread of its own for a chip that takes milliseconds per ioctl.
 * The asking side writes the arguments, then the state; the answering side
 * writes the result, then the state; so each sees all that the other wrote.
 *
 * @module
 */

const FIELDS = {
  state: 0,
  operation: 1,
  argument: 2,
  result: 3,
  direction: 4,
  /** Last value seen, or `FAILED` if it is not known. */
  value: 5,
  /** Edges since the start, modulo 2^32. */
  rises: 6,
  falls: 7,
  /** The value after the last edge. */
  lastEdge: 8,
  /** The asking side wants the line closed: a `LaneClosing` value. */
  closing: 9,
  /** Set while the line's chip is away. */
  absent: 10,
  /**
   * Operation that the line gets once its chip is there, when `remember` is 1.
   */
  rememberOperation: 11,
  rememberArgument: 12,
  remember: 13,
  /**
   * Set if an earlier process had the line, and the edges that it requested.
   */
  kept: 14,
  keptEdges: 15,
  /** Edges that the kernel dropped. */
  lost: 16,
  /** Error number of the last operation that failed. */
  errno: 17,
  /** Set if a driver had the line as an interrupt. */
  interrupt: 18,
  /** Set if the lane could not start the line: the asking side goes on with it. */
  unstarted: 19,
  /** Set while no lane serves the slot, since the last one died. */
  unserved: 20,
  /**
   * State in which operations left the line, for the next lane: a `SlotUse`,
   * the value that is driven, and the edges that are reported.
   */
  use: 21,
  driven: 22,
  edges: 23,
} as const;
const SLOT_FIELDS = 24;

/** State of a slot. */
export const SlotState = { Idle: 0, Asked: 1, Answered: 2 } as const;

/** Last use of a line. */
export const SlotUse = {
  AsFound: 0,
  Input: 1,
  Output: 2,
  Released: 3,
} as const;

/** Ways in which the asking side wants a line closed. */
export const LaneClosing = {
  No: 0,
  /** Its rules are in force, or it was notified that they are not. */
  Served: 1,
  /** The asking side never had it: the lane has to see to its rules. */
  Unused: 2,
} as const;

/** Bytes that a lane of so many lines shares. */
export function laneMemoryBytes(lineCount: number): number {
  return lineCount * SLOT_FIELDS * Int32Array.BYTES_PER_ELEMENT;
}

/** One line's slot. Every access is atomic: the sides are different threads. */
export class LaneSlot {
  readonly #fields: Int32Array;

  /** Looks at slot `index` of the shared memory. */
  constructor(memory: ArrayBuffer, index: number) {
    this.#fields = new Int32Array(
      memory,
      laneMemoryBytes(index),
      SLOT_FIELDS,
    );
  }

  /** Returns a slot with the same fields in memory that nothing shares. */
  copy(): LaneSlot {
    const own = new LaneSlot(new ArrayBuffer(laneMemoryBytes(1)), 0);
    for (const field of Object.keys(FIELDS) as (keyof typeof FIELDS)[]) {
      own.set(field, this.get(field));
    }
    return own;
  }

  /** Reads a field. */
  get(field: keyof typeof FIELDS): number {
    return Atomics.load(this.#fields, FIELDS[field]);
  }

  /** Writes a field. */
  set(field: keyof typeof FIELDS, value: number): void {
    Atomics.store(this.#fields, FIELDS[field], value);
  }

  /** Writes a field if it is `expected`; returns true if it was. */
  exchange(
    field: keyof typeof FIELDS,
    expected: number,
    value: number,
  ): boolean {
    const at = FIELDS[field];
    return Atomics.compareExchange(this.#fields, at, expected, value) ===
      expected;
  }

  /** Adds one to a counter. */
  count(field: "rises" | "falls"): void {
    Atomics.add(this.#fields, FIELDS[field], 1);
  }
}
