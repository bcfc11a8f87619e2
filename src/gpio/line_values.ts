/**
 * Values of a request's lines, as the kernel reads and writes them.
 *
 * **Source**: `struct gpio_v2_line_values`, Linux 5.10.
 *
 * @module
 */
import { LINE_VALUES } from "../../ffi/gpio_v2.ts";
import { describe, requireValue } from "../text/arguments.ts";
import type { Value } from "../line/value.ts";

const BITS = LINE_VALUES.at.bits / 4;
const MASK = LINE_VALUES.at.mask / 4;

/** Values of some lines of a request, by their bits. Allocates once. */
export class LineValues {
  /** The structure, for the ioctls. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(LINE_VALUES.size);
  readonly #words = new Uint32Array(this.bytes.buffer);

  /** Selects lines, all inactive. */
  select(bits: readonly number[]): void {
    const words = this.#words;
    words.fill(0);
    for (const bit of bits) words[MASK + (bit >>> 5)]! |= 1 << (bit & 31);
  }

  /** Selects one line, with a value. */
  selectOne(bit: number, value: Value): void {
    const words = this.#words;
    const high = bit >>> 5;
    words[BITS] = 0;
    words[BITS + 1] = 0;
    words[MASK] = 0;
    words[MASK + 1] = 0;
    words[MASK + high] = 1 << (bit & 31);
    words[BITS + high] = value << (bit & 31);
  }

  /** Makes a selected line active. */
  activate(bit: number): void {
    this.#words[BITS + (bit >>> 5)]! |= 1 << (bit & 31);
  }

  /** Returns the value of a line that was selected. */
  valueAt(bit: number): Value {
    return (this.#words[BITS + (bit >>> 5)]! >>> (bit & 31) & 1) as Value;
  }
}

/**
 * Checks values that a program gives by offset, as a map or a plain object.
 *
 * @throws {TypeError} If it is neither, or a value is neither 0 nor 1.
 */
export function valuesByOffset(
  values: ReadonlyMap<number, Value> | Readonly<Record<number, Value>>,
): [offset: number, value: Value][] {
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new TypeError(
      `values must be a map or an object, not ${describe(values)}`,
    );
  }
  const entries: [number, Value][] = values instanceof Map
    ? [...values]
    : Object.entries(values).map(([offset, value]) => [
      Number(offset),
      value as Value,
    ]);
  for (const [offset, value] of entries) {
    if (value !== 0 && value !== 1) {
      requireValue(`the value of line ${offset}`, value);
    }
  }
  return entries;
}
