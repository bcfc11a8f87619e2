/**
 * Models of adapters, and the split of lines over several of one model.
 *
 * @module
 */

/** Models of adapters, by the names of their Linux drivers. */
export type UsbModel = "ljca" | "cp2112";

/** Lines of one adapter, at most. */
export const LINES_PER_ADAPTER: Readonly<Record<UsbModel, number>> = {
  ljca: 64,
  cp2112: 8,
};

/** Consecutive lines that one adapter has. */
export interface AdapterLines {
  readonly firstLine: number;
  readonly lineCount: number;
}

/** Returns the lines of each adapter, in order: all are full but the last. */
export function splitLines(model: UsbModel, lineCount: number): AdapterLines[] {
  const size = LINES_PER_ADAPTER[model];
  return Array.from({ length: Math.ceil(lineCount / size) }, (_, i) => ({
    firstLine: i * size,
    lineCount: Math.min(size, lineCount - i * size),
  }));
}
