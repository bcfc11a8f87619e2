/**
 * Whether a VMM is told of its lines: mistakes among the placeholders of
 * `gpioagg run` would give a VM that runs without them.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { nearest } from "../config/nearest.ts";
import { PLACEHOLDERS } from "./vmm_arguments.ts";

/** `{word}` or `{word:name}`, but not a shell's `${word}`. */
const PLACEHOLDER = /(?<!\$)\{([A-Za-z][\w-]*)(?::[^{}]*)?\}/g;
/** Can be a part of an argument; all others become several arguments. */
const SOCKET = "socket";
const WORDS = new Set(
  Object.keys(PLACEHOLDERS).map((text) => text.slice(1, -1).split(":")[0]!),
);

/**
 * Looks for placeholders that nothing is put in for, and for a VMM that is told
 * of nothing.
 *
 * @param args The VMM's arguments, as they were written.
 * @param isSocketPrivate Whether the VMM can know the socket in no other way.
 * @throws {ConfigError} If there is one, or it is.
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
  throw new ConfigError("the VMM is not told of its lines' socket", {
    hint: "Write {qemu} or {socket} or the like among its arguments (gpioagg " +
      "run --help), or say with --socket-path PATH where it looks for it",
  });
}

function notAlone(arg: string, word: string): ConfigError {
  return new ConfigError(`{${word}} stands for several arguments`, {
    path: arg,
    hint: `Write {${word}} as an argument of its own; {socket} can be a part`,
  });
}

/** @throws {ConfigError} If `word` looks like a slip of a known one. */
function refuseSlip(text: string, word: string): void {
  const lower = word.toLowerCase();
  const near = nearest(lower, WORDS);
  if (near === undefined) return;
  // Of three letters one is too many: {xml} and {url} are no slips of {uml}.
  const lettersOf = (text: string) => [...text].sort().join("");
  if (near.length <= 3 && lettersOf(near) !== lettersOf(lower)) return;
  throw new ConfigError(`${text} is nothing that can be put in`, {
    hint: `Did you mean {${near}}?`,
  });
}
