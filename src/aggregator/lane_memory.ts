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
  /** Last value seen, or -1. */
  value: 5,
  /** Edges since the start, modulo 2^32. */
  rises: 6,
  falls: 7,
  /** The value after the last edge. */
  lastEdge: 8,
  /** The asking side wants the line closed. */
  closing: 9,
  /** Whether the line's chip is away. */
  absent: 10,
  /** What the line is to be made once its chip is there, when `remember` is 1. */
  rememberOperation: 11,
  rememberArgument: 12,
  remember: 13,
  /** Whether an earlier process had the line, and the edges it asked for. */
  kept: 14,
  keptEdges: 15,
  /** Edges that the kernel dropped. */
  lost: 16,
} as const;
const SLOT_FIELDS = 17;

/** State of a slot. */
export const SlotState = { Idle: 0, Asked: 1, Answered: 2 } as const;

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

  /** Reads a field. */
  get(field: keyof typeof FIELDS): number {
    return Atomics.load(this.#fields, FIELDS[field]);
  }

  /** Writes a field. */
  set(field: keyof typeof FIELDS, value: number): void {
    Atomics.store(this.#fields, FIELDS[field], value);
  }

  /** Adds one to a counter. */
  count(field: "rises" | "falls"): void {
    Atomics.add(this.#fields, FIELDS[field], 1);
  }
}
