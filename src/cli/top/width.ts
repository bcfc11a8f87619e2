/**
 * Text by the columns that it takes on a terminal.
 *
 * @module
 */

/** First of the characters that may be two columns wide. */
const FIRST_WIDE = 0x1100;
/** Box drawing and block elements, which are one column wide. */
const NARROW = [[0x2000, 0x2e7f]] as const;
const COMBINING = /\p{M}/u;

/** Returns the number of columns of a text without controls. */
export function measureWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** Returns as much of a text as fits into so many columns. */
export function cut(text: string, columns: number): string {
  if (text.length <= columns && text.length === measureWidth(text)) return text;
  let width = 0;
  let result = "";
  for (const character of text) {
    width += characterWidth(character);
    if (width > columns) break;
    result += character;
  }
  return result;
}

/** Returns a text of exactly so many columns; what is cut ends in a tilde. */
export function fill(text: string, columns: number): string {
  const width = measureWidth(text);
  if (width <= columns) return text + " ".repeat(columns - width);
  const kept = cut(text, columns - 1);
  return fill(`${kept}~`, columns);
}

function characterWidth(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0x300) return 1;
  if (COMBINING.test(character)) return 0;
  if (code < FIRST_WIDE) return 1;
  return NARROW.some(([from, to]) => code >= from && code <= to) ? 1 : 2;
}
