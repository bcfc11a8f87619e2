/**
 * Command-line options by the rules of GNU getopt_long, as libgpiod's tools
 * apply them: bundled short options, `--name=value`, unambiguous prefixes;
 * reading stops at the first operand or after `--`.
 *
 * This keeps `gpioset -- -5V=1` and a line named `-l` usable, and users of
 * those tools rely on it: options come first.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import { ToolError } from "./tool_error.ts";

/** One option of a tool. */
export interface OptionSpec {
  /** The long name, without dashes. */
  readonly long: string;
  /** The letter of the short form. */
  readonly short?: string;
  /** Name of the value in `--help`; absent if the option takes none. */
  readonly value?: string;
  /** Words that a shell completes as its value. */
  readonly completes?: Completes;
  /** The lines of `--help`. */
  readonly help: readonly string[];
  /**
   * Not one of libgpiod's: an abbreviation matches it only if no option of
   * libgpiod's starts like that, so that old abbreviations keep their meaning.
   */
  readonly extension?: true;
  /** Internal: not in `--help`. */
  readonly hidden?: true;
  /** The setting that it makes; default: `long` in camelCase. */
  readonly sets?: string;
  /** Value that it sets, if it takes none; default true. */
  readonly to?: unknown;
  /**
   * Returns the setting for its value and an earlier setting; absent: the text
   * itself.
   */
  readonly read?: (text: string, before: never) => unknown;
}

/**
 * An invalid option: the problem; the hint to `--help` is added when it is
 * printed.
 */
export class UsageError extends ToolError {
  override readonly name = "UsageError";
}

/** Meaning of one word of the command line. */
interface Match {
  readonly option: OptionSpec;
  /** The value within the same word. */
  readonly value: string | undefined;
  /** Name of the option in a message. */
  readonly shown: string;
}

/**
 * Reads options from the front of `args` and calls `apply` for each in order.
 * If it returns true, as for `--help`, reading ends.
 *
 * @returns The operands; undefined if reading was ended.
 * @throws {UsageError} On an unknown or ambiguous option, a missing or
 * unexpected value; and any error of `apply`.
 */
export function readOptions(
  table: readonly OptionSpec[],
  args: readonly string[],
  apply: (option: OptionSpec, value: string) => boolean,
): string[] | undefined {
  let at = 0;
  const take = ({ option, value, shown }: Match): boolean => {
    if (option.value === undefined) return apply(option, "");
    if (value !== undefined) return apply(option, value);
    const next = args[at++];
    if (next === undefined) {
      throw new UsageError(
        shown.startsWith("--")
          ? `option '${shown}' requires an argument`
          : `option requires an argument -- '${shown}'`,
      );
    }
    return apply(option, next);
  };
  while (at < args.length) {
    const word = args[at]!;
    if (word === "--") return args.slice(at + 1);
    if (!word.startsWith("-") || word === "-") break;
    at++;
    const matches = word.startsWith("--")
      ? [longOption(table, word)]
      : shortOptions(table, word);
    for (const match of matches) {
      if (take(match)) return undefined;
    }
  }
  return args.slice(at);
}

function longOption(table: readonly OptionSpec[], word: string): Match {
  const equals = word.indexOf("=");
  const name = word.slice(2, equals < 0 ? undefined : equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  const option = table.find((each) => each.long === name) ??
    abbreviated(table, name, word);
  const shown = `--${option.long}`;
  if (value !== undefined && option.value === undefined) {
    throw new UsageError(`option '${shown}' doesn't allow an argument`);
  }
  return { option, value, shown };
}

function abbreviated(
  table: readonly OptionSpec[],
  name: string,
  word: string,
): OptionSpec {
  const all = table.filter((each) => each.long.startsWith(name));
  const standard = all.filter((each) => !each.extension);
  const candidates = standard.length > 0 ? standard : all;
  if (candidates.length === 0) {
    throw new UsageError(`unrecognized option '${word}'`);
  }
  if (candidates.length > 1) {
    const names = candidates.map((each) => `'--${each.long}'`);
    const list = names.sort().join(" ");
    throw new UsageError(
      `option '${word}' is ambiguous; possibilities: ${list}`,
    );
  }
  return candidates[0]!;
}

function* shortOptions(
  table: readonly OptionSpec[],
  word: string,
): Generator<Match> {
  const letters = [...word.slice(1)];
  while (letters.length > 0) {
    const letter = letters.shift()!;
    const option = table.find((each) => each.short === letter);
    if (option === undefined) {
      throw new UsageError(`invalid option -- '${letter}'`);
    }
    const attached = option.value !== undefined && letters.length > 0;
    const value = attached ? letters.splice(0).join("") : undefined;
    yield { option, value, shown: letter };
  }
}

/** Returns the first operand that is written like an option of the table. */
export function misplacedOption(
  table: readonly OptionSpec[],
  operands: readonly string[],
): string | undefined {
  return operands.map((word) => word.replace(/=.*/s, "")).find((word) =>
    table.some(({ long, short, hidden }) =>
      hidden !== true &&
      (word === `--${long}` || short !== undefined && word === `-${short}`)
    )
  );
}
