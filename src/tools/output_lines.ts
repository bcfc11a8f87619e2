/**
 * Lines that are held as outputs, as those who set them see them.
 *
 * @module
 */
import type { Value } from "../gpio/line_settings.ts";
import { jsonLine } from "./line_text.ts";

/** Lines that are held as outputs. */
export interface OutputLines {
  /** How the user named them, in order. */
  readonly ids: readonly string[];
  /** Where the `index`-th line is. */
  placeOf(index: number): { readonly chip: string; readonly offset: number };
  /** What the `index`-th line is set to. */
  valueOf(index: number): Value;
  /** Sets some lines, by their indices. */
  setValues(values: ReadonlyMap<number, Value>): void;
}

/** One line that is set, as JSON. */
export function outputJson(lines: OutputLines, index: number): string {
  return jsonLine({
    line: lines.ids[index]!,
    ...lines.placeOf(index),
    value: lines.valueOf(index),
  });
}
