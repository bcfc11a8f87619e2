/**
 * Abilities of the terminal, as its user's environment names them.
 *
 * @module
 */
import { measureWidth } from "./width.ts";

/** A source of variables. */
type Variables = (name: string) => string | undefined;

/** Kind of a terminal. */
interface TerminalKind {
  /** True for one that cannot move its cursor. */
  readonly isDumb: boolean;
  /** False for one that reports another character set than UTF-8. */
  readonly hasUtf8: boolean;
  /** Requested width without a terminal, if any. */
  readonly columns: number | undefined;
}

/** Narrowest and widest picture. */
const MIN_COLUMNS = 20;
const MAX_COLUMNS = 1000;

/** Returns the kind of the terminal that `variables` describe. */
export function terminalKind(
  variables: Variables = (name) => Deno.env.get(name),
): TerminalKind {
  // The first that is not empty counts, as in setlocale(3); without one, a
  // terminal of today has UTF-8.
  const locale = variables("LC_ALL") || variables("LC_CTYPE") ||
    variables("LANG") || "UTF-8";
  return {
    isDumb: variables("TERM") === "dumb",
    hasUtf8: /utf-?8/i.test(locale),
    columns: columnsIn(variables("COLUMNS")),
  };
}

function columnsIn(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined;
  const columns = Number(text);
  if (columns === 0) return undefined;
  return Math.min(Math.max(columns, MIN_COLUMNS), MAX_COLUMNS);
}

const ASCII: Readonly<Record<string, string>> = {
  "▁": "_",
  "▔": "=",
  "┌": "/",
  "┐": "\\",
  "·": ".",
  "▒": "%",
  "●": "*",
  "○": "o",
  "…": "~",
};

/** Returns a text in ASCII, of the same width. */
export function asciiText(text: string): string {
  return text.replaceAll(
    /[^\0-\x7f]/gu,
    (character) => ASCII[character] ?? "?".repeat(measureWidth(character)),
  );
}
