/**
 * Lines of limited width.
 *
 * @module
 */

/**
 * Breaks text between words.
 *
 * @param text The text, or its words.
 * @param width Most characters of a line.
 * @param first Beginning of the first line.
 * @param others Beginning of the other lines.
 */
export function wrapped(
  text: string | readonly string[],
  width: number,
  first: string,
  others: string,
): string {
  const words = typeof text === "string" ? text.split(" ") : text;
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of words) {
    if (isEmpty) line += word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = others + word;
    }
    isEmpty = false;
  }
  return [...lines, line].join("\n");
}
