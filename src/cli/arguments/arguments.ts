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

/** The options of one command: name to kind. */
export type Switches = Readonly<
  Record<string, "flag" | "value" | "values">
>;

/** Values of the options, by the same names. */
export type Given<S extends Switches> =
  & {
    [K in keyof S]: S[K] extends "flag" ? boolean
      : S[K] extends "value" ? string | undefined
      : string[];
  }
  & { rest: string[] };

/**
 * Reads `args` by `switches`; `-h` is `--help`. Nothing after `--` is read.
 *
 * @throws {ConfigError} On an unknown option or one without its value.
 */
export function readArguments<const S extends Switches>(
  args: readonly string[],
  switches: S,
): Given<S> {
  const names = Object.keys(switches);
  const ofKind = (kind: string) =>
    names.filter((name) => switches[name] === kind);
  const valued = [...ofKind("value"), ...ofKind("values")];
  checkValues(args, valued);
  const given: Record<string, unknown> = parseArgs([...args], {
    boolean: ofKind("flag"),
    string: [...valued, "_"],
    // All occurrences: otherwise the last one would win silently.
    collect: valued,
    alias: names.includes("help") ? { help: "h" } : {},
    unknown: (arg: string) => {
      if (!arg.startsWith("-") || arg === "-") return true;
      throw unknownSwitch(arg, names);
    },
  });
  const result: Record<string, unknown> = { rest: given["_"] };
  for (const name of names) {
    const value = given[name];
    result[name] = switches[name] === "value" ? single(name, value) : value;
  }
  return result as Given<S>;
}

/** @throws {ConfigError} If there are arguments beside the options. */
export function noRest({ rest }: { rest: string[] }, how: string): void {
  const [stray] = rest;
  if (stray === undefined) return;
  throw new ConfigError(`unexpected argument "${stray}"`, { hint: how });
}

/**
 * Returns the one argument beside the options.
 *
 * @throws {ConfigError} If there are none or several.
 */
export function onlyName({ rest }: { rest: string[] }, how: string): string {
  const [name, ...others] = rest;
  if (name === undefined) {
    throw new ConfigError("missing NAME argument", { hint: how });
  }
  noRest({ rest: others }, how);
  return name;
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

function checkValues(args: readonly string[], valued: readonly string[]): void {
  for (const [i, arg] of args.entries()) {
    if (arg === "--") return;
    const [name, value] = arg.startsWith("--")
      ? arg.slice(2).split("=", 2)
      : [];
    if (name === undefined || !valued.includes(name)) continue;
    const next = args[i + 1];
    const missing = value === undefined
      ? next === undefined || next === "" || next.startsWith("--")
      : value === "";
    if (missing) {
      throw new ConfigError("needs a value", {
        path: `--${name}`,
        hint: `Write --${name} VALUE`,
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
