/**
 * Derives a tool's settings from its table of options: each entry names the
 * setting that it makes, and its type.
 *
 * @module
 */
import { type OptionSpec, readOptions } from "./options.ts";

type CamelCase<Name extends string> = Name extends
  `${infer First}-${infer Rest}` ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;

type KeyOf<Option extends OptionSpec> = Option extends
  { sets: infer Key extends string } ? Key : CamelCase<Option["long"]>;

type SettingOf<Option> = Option extends
  { read: (text: string, ...before: never[]) => infer Value }
  ? Value | undefined
  : Option extends { value: string } ? string | undefined
  : Option extends { to: infer Value } ? Value | undefined
  : boolean;

/** Options that print something instead of setting something. */
type Question = { readonly long: "help" | "version" };

/**
 * The settings of a table: false or undefined if not given, and the last value
 * of a repeated option.
 */
export type SettingsOf<Table extends readonly OptionSpec[]> = {
  readonly [
    Option in Exclude<Table[number], Question> as KeyOf<Option>
  ]: SettingOf<Option>;
};

/** Parsed command line: a request to print something, or settings. */
type Request<Table extends readonly OptionSpec[]> =
  | { readonly question: Question["long"] }
  | { readonly settings: SettingsOf<Table>; readonly operands: string[] };

/**
 * Reads a command line.
 *
 * @throws {UsageError} as {@linkcode readOptions} does.
 * @throws {ToolError} If an option has an invalid value.
 */
export function readRequest<const Table extends readonly OptionSpec[]>(
  table: Table,
  args: readonly string[],
): Request<Table> {
  const settings: Record<string, unknown> = {};
  for (const option of table) {
    if (findQuestion(option) !== undefined) continue;
    const isSwitch = option.value === undefined && option.to === undefined;
    settings[settingKey(option)] ??= isSwitch ? false : undefined;
  }
  let question: Question["long"] | undefined;
  const operands = readOptions(table, args, (option, text) => {
    question = findQuestion(option);
    if (question !== undefined) return true;
    const { value, to = true, read } = option;
    const key = settingKey(option);
    settings[key] = value === undefined
      ? to
      : read === undefined
      ? text
      : read(text, settings[key] as never);
    return false;
  });
  if (question !== undefined) return { question };
  return { settings: settings as SettingsOf<Table>, operands: operands! };
}

function findQuestion({ long }: OptionSpec): Question["long"] | undefined {
  return long === "help" || long === "version" ? long : undefined;
}

function settingKey({ long, sets }: OptionSpec): string {
  return sets ?? long.replaceAll(/-(.)/g, (_, letter) => letter.toUpperCase());
}
