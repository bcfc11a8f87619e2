/**
 * Text from outside (names, labels, peers, files) made fit for logs, messages
 * and terminals. The only place that decides which characters may pass.
 *
 * @module
 */
import { plainMessage } from "./plain_error.ts";

/**
 * Characters that act on a reader instead of being read: C0, DEL and C1
 * controls, line and paragraph separators, format characters (bidi controls,
 * joiners, tags) and lone surrogates.
 */
const ACTING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
/**
 * Characters of them that JSON leaves raw in strings; it escapes C0 by itself.
 */
const ALL_IN_JSON = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** The same, except what lays a block out: line feeds and tabs. */
const ALL_ACTING_IN_BLOCK = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const ELLIPSIS = "…";

/**
 * Longest text that {@linkcode printable} passes if no limit is given.
 * **Units**: UTF-16 code units.
 */
const PRINTABLE_LIMIT = 256;

/**
 * Returns `text` as one harmless line: acting characters escaped (`\n`, `\x1b`,
 * `\u202e`), and cut to `limit` with an ellipsis.
 *
 * Backslashes pass as they are, so that a text that went through already does
 * not change.
 *
 * @param limit Longest result. **Units**: UTF-16 code units.
 */
export function printable(text: string, limit = PRINTABLE_LIMIT): string {
  if (text.length <= limit && !ACTING.test(text)) return text;
  let result = "";
  // What does not fit is not looked at: an escape is never shorter.
  for (const character of text.slice(0, limit + 1)) {
    const shown = ACTING.test(character)
      ? escapeCharacter(character)
      : character;
    if (result.length + shown.length > limit) {
      return shorten(result, limit);
    }
    result += shown;
  }
  return result;
}

/**
 * Returns `text` with its acting characters escaped, except line feeds and tabs.
 * For blocks whose cells are texts that {@linkcode printable} passed.
 */
export function printableBlock(text: string): string {
  return text.replaceAll(ALL_ACTING_IN_BLOCK, escapeCharacter);
}

/**
 * Returns a thrown value's message as one harmless line.
 *
 * @param limit Longest result. **Units**: UTF-16 code units.
 */
export function printableError(error: unknown, limit = 1024): string {
  let text: string;
  try {
    text = error instanceof Error ? plainMessage(error.message) : String(error);
  } catch {
    // An object whose toString throws.
    text = "unknown error";
  }
  return printable(text, limit);
}

/**
 * Returns a value as JSON that is safe for a terminal: what `JSON.stringify`
 * leaves raw of the acting characters becomes `\uXXXX`, so that a parser reads
 * the same value.
 *
 * @param indent Blanks for each level; 0 puts all of it on one line.
 */
export function printableJson(value: unknown, indent = 0): string {
  // Outside of strings JSON is plain ASCII, and no control but line feeds.
  return JSON.stringify(value, undefined, indent).replaceAll(
    ALL_IN_JSON,
    escapeForJson,
  );
}

function shorten(text: string, limit: number): string {
  const kept: string[] = [];
  let length = 0;
  // By characters, and never through an escape.
  for (const [piece] of text.matchAll(PIECE)) {
    if (length + piece.length > limit - ELLIPSIS.length) break;
    kept.push(piece);
    length += piece.length;
  }
  return kept.join("") + ELLIPSIS;
}

const PIECE = /\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|u\{[0-9a-f]+\})|[^]/gu;

const SHORT: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function escapeCharacter(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0)!;
  // A byte of a name that is not UTF-8: see names.ts.
  if (code >= 0xdc80 && code <= 0xdcff) {
    return `\\x${(code - 0xdc00).toString(16)}`;
  }
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`;
}

function escapeForJson(character: string): string {
  let result = "";
  for (let i = 0; i < character.length; i++) {
    const hex = character.charCodeAt(i).toString(16);
    result += `\\u${hex.padStart(4, "0")}`;
  }
  return result;
}
