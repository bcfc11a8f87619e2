/**
 * Keys of a terminal, out of the bytes that it sends.
 *
 * @module
 */

/** A key: a character, or one of these names. */
export type Key =
  | "up"
  | "down"
  | "left"
  | "right"
  | "page-up"
  | "page-down"
  | "home"
  | "end"
  | "enter"
  | "backspace"
  | "escape"
  | { readonly character: string };

const SEQUENCES: Readonly<Record<string, Key>> = {
  "A": "up",
  "B": "down",
  "C": "right",
  "D": "left",
  "H": "home",
  "F": "end",
  "1~": "home",
  "4~": "end",
  "5~": "page-up",
  "6~": "page-down",
  "7~": "home",
  "8~": "end",
};

// An escape sequence, a lone escape, or a character.
// deno-lint-ignore no-control-regex
const PIECE = /\x1b(?:\[|O)([0-9;]*[A-Za-z~])|\x1b|[^]/gu;

/** Returns the keys of a piece of input; unknown sequences are ignored. */
export function readKeys(text: string): Key[] {
  return [...text.matchAll(PIECE)].flatMap(([piece, sequence]): Key[] => {
    if (sequence !== undefined) {
      const key = SEQUENCES[sequence];
      return key === undefined ? [] : [key];
    }
    switch (piece) {
      case "\x1b":
        return ["escape"];
      case "\r":
      case "\n":
        return ["enter"];
      case "\x7f":
      case "\b":
        return ["backspace"];
      default:
        return piece! < " " ? [] : [{ character: piece! }];
    }
  });
}
