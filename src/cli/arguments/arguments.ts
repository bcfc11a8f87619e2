/**
 * Options of gpioagg's own commands, on top of `@std/cli`, with error messages
 * for a shell's user. (The libgpiod-compatible tools follow GNU getopt's rules
 * and have a parser of their own.)
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { ConfigError } from "../../config/document/config_error.ts";
import { Problems } from "../../config/document/problems.ts";
import { readValue, type TextKind } from "../../config/values/values.ts";
import { nearest } from "../../text/nearest.ts";
import { type Options, valueText } from "../usage/usage.ts";

/**
 * Values of the options, by the same names. Those with an optional value are
 * read by their command before.
 */
export type Given<O extends Options> =
  & {
    [K in keyof O]: O[K]["kind"] extends "flag" ? boolean
      : O[K]["kind"] extends "value" ? string | undefined
      : O[K]["kind"] extends "values" ? string[]
      : never;
  }
  & { rest: string[] };

/**
 * Reads `args` by the table of a command. Nothing after `--` is read.
 *
 * @throws {ConfigError} On an unknown option or one without its value.
 */
export function readArguments<const O extends Options>(
  args: readonly string[],
  options: O,
): Given<O> {
  const names = Object.keys(options);
  const ofKind = (kind: string) =>
    names.filter((name) => options[name]!.kind === kind);
  const valued = [...ofKind("value"), ...ofKind("values")];
  checkValues(args, valued, flagWords(ofKind("flag"), options), options);
  const given: Record<string, unknown> = parseArgs(withDashes(args, valued), {
    boolean: ofKind("flag"),
    string: [...valued, "_"],
    // All occurrences: otherwise the last one would win silently.
    collect: valued,
    alias: Object.fromEntries(
      names.flatMap((name) => {
        const { short } = options[name]!;
        return short === undefined ? [] : [[name, short]];
      }),
    ),
    unknown: (arg: string) => {
      if (!arg.startsWith("-") || arg === "-") return true;
      throw unknownSwitch(arg, names);
    },
  });
  const result: Record<string, unknown> = { rest: given["_"] };
  for (const name of names) {
    const value = given[name];
    result[name] = options[name]!.kind === "value"
      ? single(name, value)
      : value;
  }
  return result as Given<O>;
}

/** Ties a value of `-` to its option: the parser would take it for an operand. */
function withDashes(
  args: readonly string[],
  valued: readonly string[],
): string[] {
  const tied: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") return [...tied, ...args.slice(i)];
    const isTied = args[i + 1] === "-" && arg.startsWith("--") &&
      valued.includes(arg.slice(2));
    tied.push(isTied ? `${arg}=-` : arg);
    if (isTied) i++;
  }
  return tied;
}

/** @throws {ConfigError} If there are arguments beside the options. */
export function noRest({ rest }: { rest: string[] }, how: string): void {
  const [stray] = rest;
  if (stray === undefined) return;
  throw new ConfigError(`unexpected argument "${stray}"`, { hint: how });
}

/**
 * Returns the argument beside the options, if there is one.
 *
 * @throws {ConfigError} If there are several.
 */
export function optionalName(
  { rest }: { rest: string[] },
  how: string,
): string | undefined {
  const [name, ...others] = rest;
  noRest({ rest: others }, how);
  return name;
}

/**
 * Returns the one argument beside the options.
 *
 * @throws {ConfigError} If there are none or several.
 */
export function onlyName({ rest }: { rest: string[] }, how: string): string {
  if (rest.length === 0) {
    throw new ConfigError("missing NAME argument", { hint: how });
  }
  return optionalName({ rest }, how)!;
}

/**
 * Returns the value of an argument.
 *
 * @param path Option, for messages.
 * @param shown Words for the argument in messages.
 * @throws {ConfigError} If it is invalid.
 */
export function parseArgument<T>(
  kind: TextKind<T>,
  text: string,
  path: string,
  shown?: string,
): T {
  const problems = new Problems();
  const value = readValue(kind, text, problems.at({ path }), shown);
  problems.throwFirst();
  return value!;
}

function single(name: string, values: unknown): unknown {
  if (!Array.isArray(values)) return values;
  if (values.length > 1) {
    throw new ConfigError("is given twice", { path: `--${name}` });
  }
  return values[0];
}

/** Returns the words of options without a value, in both forms. */
function flagWords(flags: readonly string[], options: Options): Set<string> {
  return new Set(flags.flatMap((name) => {
    const { short } = options[name]!;
    return short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];
  }));
}

function checkValues(
  args: readonly string[],
  valued: readonly string[],
  flags: ReadonlySet<string>,
  options: Options,
): void {
  for (const [i, arg] of args.entries()) {
    if (arg === "--") return;
    const equals = arg.indexOf("=");
    const word = equals < 0 ? arg : arg.slice(0, equals);
    if (equals >= 0 && flags.has(word)) {
      // The parser would take --force=no for --force.
      throw new ConfigError("takes no value", {
        path: word,
        hint: `Write ${word} alone, or omit it`,
      });
    }
    const [name, value] = arg.startsWith("--")
      ? arg.slice(2).split("=", 2)
      : [];
    if (name === undefined || !valued.includes(name)) continue;
    const next = args[i + 1];
    const missing = value === undefined
      ? next === undefined || next === "" || /^-./.test(next)
      : value === "";
    if (missing) {
      throw new ConfigError("needs a value", {
        path: `--${name}`,
        hint: `Write ${valueText(name, options[name]!)}`,
      });
    }
  }
}

function unknownSwitch(arg: string, names: readonly string[]): ConfigError {
  const name = arg.replace(/^-+/, "").split("=", 1)[0]!;
  const near = nearest(name, names);
  return new ConfigError(`unknown option ${arg}`, {
    hint: near === undefined
      ? "--help lists the options"
      : `Did you mean --${near}?`,
  });
}
