/**
 * Checks of the placeholders of `gpioagg run`: with a mistake the VM would run
 * without its lines.
 *
 * @module
 */
import { ConfigError } from "../config/document/config_error.ts";
import { nearest } from "../text/nearest.ts";
import { PLACEHOLDERS } from "./vmm_arguments.ts";

/** `{word}` or `{word:name}`, but not a shell's `${word}`. */
const PLACEHOLDER = /(?<!\$)\{([A-Za-z][\w-]*)(?::[^{}]*)?\}/g;
/** Can be part of an argument; all others become several arguments. */
const SOCKET = "socket";
const WORDS = new Set(
  Object.keys(PLACEHOLDERS).map((text) => text.slice(1, -1).split(":")[0]!),
);

/**
 * Checks for unknown placeholders, and for a VMM that gets none.
 *
 * @param args The VMM's arguments, as they were written.
 * @param isSocketPrivate True if only a placeholder can pass the socket to the
 * VMM.
 * @throws {ConfigError} If a placeholder is unknown or missing.
 */
export function checkPlaceholders(
  args: readonly string[],
  isSocketPrivate: boolean,
): void {
  let isTold = false;
  for (const arg of args) {
    for (const [text, word = ""] of arg.matchAll(PLACEHOLDER)) {
      if (WORDS.has(word)) {
        if (word !== SOCKET && arg !== `{${word}}`) throw notAlone(arg, word);
        isTold = true;
      } else refuseSlip(text, word);
    }
  }
  if (isTold || !isSocketPrivate) return;
  throw new ConfigError("the VMM is not given its lines' socket", {
    hint: "Add {qemu} or {socket} or the like to its arguments (gpioagg " +
      "run --help), or give the path that it uses with --socket-path PATH",
  });
}

function notAlone(arg: string, word: string): ConfigError {
  return new ConfigError(`{${word}} stands for several arguments`, {
    path: arg,
    hint: `Write {${word}} as an argument of its own; {socket} can be a part`,
  });
}

/** @throws {ConfigError} If `word` looks like a typo of a known one. */
function refuseSlip(text: string, word: string): void {
  const lower = word.toLowerCase();
  const near = nearest(lower, WORDS);
  if (near === undefined) return;
  // With three letters one typo is too many: {xml} and {url} are not {uml}.
  const sortLetters = (text: string) => [...text].sort().join("");
  if (near.length <= 3 && sortLetters(near) !== sortLetters(lower)) return;
  throw new ConfigError(`${text} is not a placeholder`, {
    hint: `Did you mean {${near}}?`,
  });
}
