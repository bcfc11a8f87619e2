/**
 * Comma-separated values by RFC 4180, with Unix line ends.
 *
 * @module
 */

/** Formats one row; fields with commas, quotes or line ends are quoted. */
export function csvRow(fields: readonly (string | number)[]): string {
  const cells = fields.map((field) => {
    const text = `${field}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return cells.join(",") + "\n";
}
