/**
 * All commands in one form, for completion and manual pages.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import type { Usage } from "../../tools/program/usage.ts";
import type { Commands } from "./command.ts";
import type { CommandUsage, Options } from "./usage.ts";

/** An option in the common form. */
export interface CatalogOption {
  readonly long: string;
  readonly short: string | undefined;
  /** Placeholder of the value; undefined if it takes none. */
  readonly value: string | undefined;
  /** True if the value may be omitted. */
  readonly isOptional: boolean;
  /** True if the option can be repeated. */
  readonly isRepeated: boolean;
  readonly completes: Completes | undefined;
  readonly help: string;
  readonly heading: string | undefined;
}

/** An action of a command, in the common form. */
interface CatalogAction {
  readonly name: string;
  readonly about: string;
  readonly options: readonly CatalogOption[];
  readonly operands: readonly Completes[];
}

/** A command in the common form. */
export interface CatalogCommand extends CatalogAction {
  /** Name among libgpiod's tools. */
  readonly toolName: string | undefined;
  readonly summary: string;
  /** Forms of its arguments. */
  readonly synopsis: readonly string[];
  readonly actions: readonly CatalogAction[];
  /** Further text: titles (undefined for none) and paragraphs. */
  readonly chapters: readonly (readonly [string | undefined, string])[];
}

/** Returns all commands that are not internal. */
export async function buildCatalog(
  commands: Commands,
): Promise<CatalogCommand[]> {
  const shown = Object.entries(commands).filter(([, { isHidden }]) =>
    isHidden !== true
  );
  return await Promise.all(
    shown.map(async ([name, { summary, toolName, load }]) => {
      const { USAGE } = await load();
      if (USAGE === undefined) throw new TypeError(`No usage of ${name}`);
      const common = {
        name,
        // Without the name among the tools.
        summary: summary.replace(/ \(gpio[a-z]+\)$/, ""),
        toolName,
      };
      return "synopsis" in USAGE
        ? ownCommand(common, USAGE)
        : tool(common, USAGE);
    }),
  );
}

type Common = Pick<CatalogCommand, "name" | "summary" | "toolName">;

function ownCommand(common: Common, usage: CommandUsage): CatalogCommand {
  return {
    ...common,
    synopsis: usage.synopsis,
    about: usage.about,
    options: ownOptions(usage.options),
    operands: usage.operands ?? [],
    actions: Object.entries(usage.actions ?? {}).map((
      [name, { about, options, operands = [] }],
    ) => ({ name, about, options: ownOptions(options), operands })),
    chapters: usage.after === undefined ? [] : [[undefined, usage.after]],
  };
}

function ownOptions(options: Options): CatalogOption[] {
  return Object.entries(options).map(([long, option]) => ({
    long,
    short: option.short,
    value: option.kind === "flag" ? undefined : option.value ?? "VALUE",
    isOptional: option.kind === "optional",
    isRepeated: option.kind === "values",
    completes: option.completes,
    help: option.help,
    heading: option.heading,
  }));
}

function tool(common: Common, usage: Usage): CatalogCommand {
  return {
    ...common,
    synopsis: [`[OPTIONS] ${usage.operands}`],
    about: usage.about.join("\n\n"),
    options: usage.options.filter(({ hidden }) => hidden !== true).map((
      { long, short, value, completes, help },
    ) => ({
      long,
      short,
      value: value === undefined ? undefined : `<${value}>`,
      isOptional: false,
      isRepeated: false,
      completes,
      help: help.join(" "),
      heading: undefined,
    })),
    operands: [usage.completes],
    actions: [],
    chapters: usage.chapters,
  };
}
