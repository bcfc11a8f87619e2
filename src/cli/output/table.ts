/**
 * Rows of text in columns.
 *
 * @module
 */
import { printable } from "../../text/printable.ts";

/** Longest cell. **Units**: UTF-16 code units. */
const CELL_LIMIT = 1024;

/** Formats rows as aligned columns; a row may have fewer cells than others. */
export function formatTable(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) =>
    row.map((cell) => printable(cell, CELL_LIMIT))
  );
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  ).join("\n");
}
