/**
 * Comma-separated values as RFC 4180 has them, with the line ends of Unix.
 *
 * @module
 */

/** One row; fields with commas, quotes or line ends are quoted. */
export function csvRow(fields: readonly (string | number)[]): string {
  const cells = fields.map((field) => {
    const text = `${field}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return cells.join(",") + "\n";
}
