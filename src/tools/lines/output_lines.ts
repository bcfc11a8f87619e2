/**
 * Interface to lines that are held as outputs.
 *
 * @module
 */
import type { Value } from "../../line/value.ts";
import { jsonLine } from "./line_text.ts";

/** Lines that are held as outputs. */
export interface OutputLines {
  /** Names that the user gave, in order. */
  readonly ids: readonly string[];
  /** Returns the chip and offset of the `index`-th line. */
  hostLine(index: number): { readonly chip: string; readonly offset: number };
  /** Returns the value of the `index`-th line. */
  outputValue(index: number): Value;
  /** Sets some lines, by their indices. */
  setValues(values: ReadonlyMap<number, Value>): void;
}

/** Formats one set line as JSON. */
export function outputJson(lines: OutputLines, index: number): string {
  return jsonLine({
    line: lines.ids[index]!,
    ...lines.hostLine(index),
    value: lines.outputValue(index),
  });
}
