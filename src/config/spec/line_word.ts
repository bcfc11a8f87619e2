/**
 * A line of a chip in one word, as all commands read it: `CHIP/OFFSETS` or
 * `CHIP/NAME`.
 *
 * `\xNN` is a byte, and a backslash before a comma, slash or backslash makes it a
 * part of the name. The last other slash ends the chip.
 *
 * @module
 */
import { nameOfText } from "../../text/names.ts";

/** An offset, or a range of offsets. */
export const OFFSETS_ITEM = /^\d+(-\d+)?$/;

/** A word with a slash. */
interface ChipWord {
  /** The chip, as it is written: escapes are still in it. */
  readonly chip: string;
  /** The text behind the slash, as it is written. */
  readonly tail: string;
}

/**
 * Splits a word at its last slash that is not escaped; undefined if there is no
 * such slash, or it is the first character.
 */
export function splitChipWord(word: string): ChipWord | undefined {
  for (let at = word.length - 1; at > 0; at--) {
    if (word[at] !== "/" || isEscaped(word, at)) continue;
    return { chip: word.slice(0, at), tail: word.slice(at + 1) };
  }
  return undefined;
}

/** Returns true if an odd number of backslashes stands before a character. */
function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === "\\") backslashes++;
  return backslashes % 2 === 1;
}

/** Splits a text at separators that are not escaped; the escapes stay. */
export function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== separator || isEscaped(text, at)) continue;
    parts.push(text.slice(start, at));
    start = at + 1;
  }
  return [...parts, text.slice(start)];
}

/** The text without its escapes. */
export function unescapeWord(text: string): string {
  return nameOfText(text);
}
