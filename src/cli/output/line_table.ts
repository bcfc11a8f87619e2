/**
 * Rows of text in columns.
 *
 * @module
 */
import { printable } from "../../text/printable.ts";

/** Longest cell. **Units**: UTF-16 code units. */
const CELL_LIMIT = 1024;

/** Formats rows as aligned columns. */
export function table(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) =>
    row.map((cell) => printable(cell, CELL_LIMIT))
  );
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  ).join("\n");
}
