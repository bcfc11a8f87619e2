/**
 * The past of a line as a row of characters.
 *
 * @module
 */
import type { SignalValue } from "../../recording/recording.ts";

/** Edges that are kept of a line; older ones are forgotten. */
export const KEPT_EDGES = 4096;

/** Characters of a wave. */
const WAVE = {
  low: "▁",
  high: "▔",
  rising: "┌",
  falling: "┐",
  unknown: "·",
  /** Several edges within one character: no level is right. */
  dense: "▒",
} as const;

/** Edges of one line, in order of time. */
export class LineWave {
  readonly #times: number[] = [];
  readonly #values: SignalValue[] = [];
  /** Value before the first kept edge. */
  #first: SignalValue;
  #firstMs = -Infinity;

  /** Begins with a value that the line has since `sinceMs`. */
  constructor(value?: SignalValue, sinceMs = -Infinity) {
    this.#first = value;
    this.#firstMs = sinceMs;
  }

  /** Present value. */
  get value(): SignalValue {
    return this.#values.length === 0 ? this.#first : this.#values.at(-1);
  }

  /** Time of the last edge, in milliseconds; undefined without one. */
  get lastMs(): number | undefined {
    return this.#times.at(-1);
  }

  /** Adds an edge, not before the last one. */
  push(timeMs: number, value: SignalValue): void {
    if (this.value === value) return;
    this.#times.push(Math.max(timeMs, this.#times.at(-1) ?? -Infinity));
    this.#values.push(value);
    if (this.#times.length < 2 * KEPT_EDGES) return;
    this.#firstMs = this.#times[KEPT_EDGES - 1]!;
    this.#first = this.#values[KEPT_EDGES - 1];
    this.#times.splice(0, KEPT_EDGES);
    this.#values.splice(0, KEPT_EDGES);
  }

  /**
   * Returns a character for each of `columns` equal parts of the time between
   * `fromMs` and `toMs`.
   */
  text(fromMs: number, toMs: number, columns: number): string {
    let at = this.#after(fromMs);
    let value = at === 0
      ? fromMs < this.#firstMs ? undefined : this.#first
      : this.#values[at - 1];
    let isBefore = at === 0 && fromMs < this.#firstMs;
    let text = "";
    for (let column = 0; column < columns; column++) {
      const end = fromMs + (toMs - fromMs) * (column + 1) / columns;
      const before = value;
      let count = 0;
      if (isBefore && end > this.#firstMs) {
        isBefore = false;
        value = this.#first;
        if (value !== undefined) count++;
      }
      while (at < this.#times.length && this.#times[at]! < end) {
        value = this.#values[at++];
        count++;
      }
      text += count > 1 ? WAVE.dense : character(before, value);
    }
    return text;
  }

  /** Returns the index of the first edge after a time. */
  #after(timeMs: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#times[middle]! <= timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function character(before: SignalValue, after: SignalValue): string {
  if (after === undefined) return WAVE.unknown;
  if (before === undefined || before === after) {
    return after === 1 ? WAVE.high : WAVE.low;
  }
  return after === 1 ? WAVE.rising : WAVE.falling;
}
