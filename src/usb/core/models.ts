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

/**
 * Checks the number of lines of one adapter.
 *
 * @param title The model with its article, for messages.
 * @throws {RangeError} If there are no lines, or more than the model has.
 */
export function checkLineCount(
  model: UsbModel,
  title: string,
  lineCount: number,
): void {
  const limit = LINES_PER_ADAPTER[model];
  if (lineCount >= 1 && lineCount <= limit) return;
  throw new RangeError(
    `Cannot make ${title} of ${lineCount} lines: it has 1 to ${limit}`,
  );
}

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
