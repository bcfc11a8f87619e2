/**
 * Manual pages of the program and its commands.
 *
 * @module
 */
import type { CatalogCommand, CatalogOption } from "../usage/catalog.ts";
import {
  bold,
  escaped,
  filled,
  italic,
  page,
  paragraphs,
  section,
  tagged,
} from "./roff.ts";

/** A page as a file. */
export interface ManPage {
  /** Name of the file: `gpioagg-serve.1`. */
  readonly file: string;
  /** Its source. A link has none. */
  readonly text: string;
  /** File of the page that it is a link to. */
  readonly target?: string;
}

const STATUS: readonly (readonly [string, string])[] = [
  ["0", "Done."],
  [
    "1",
    "Failed; the error is on standard error. An aggregator, a line, a chip or a " +
    "service that is not there is a failure too.",
  ],
  ["2", "Wrong usage or configuration."],
];

const SEE_ALSO = ["gpioagg.yaml(5)", "gpioagg-spec(7)"];

/** Returns gpioagg(1). */
export function mainPage(
  commands: readonly CatalogCommand[],
  version: string,
): ManPage {
  const heading = {
    name: "gpioagg",
    section: 1,
    summary: "present GPIO lines to virtual machines and containers",
  };
  return {
    file: "gpioagg.1",
    text: page(heading, version, [
      section(
        "Synopsis",
        `${bold("gpioagg")} ${italic("COMMAND")} [${italic("ARGUMENT")}...]`,
      ),
      section(
        "Description",
        filled(
          "Presents chosen sets of this host's GPIO lines, from any chips, to " +
            "virtual machines, each set as one controller. Each command has a " +
            "page of its own.",
        ),
      ),
      section(
        "Commands",
        commands.map(({ name, summary, toolName }) =>
          tagged(
            bold(name),
            `${summary}; ${toolName ?? `gpioagg-${name}`}(1)`,
          )
        ).join("\n"),
      ),
      statusSection(STATUS),
      seeAlso(SEE_ALSO),
    ]),
  };
}

/** Returns the pages of a command: its own, and those that refer to it. */
export function commandPages(
  command: CatalogCommand,
  version: string,
): ManPage[] {
  const { name, toolName, summary, about, actions, options, chapters } =
    command;
  const title = toolName ?? `gpioagg-${name}`;
  const program = toolName ?? `gpioagg ${name}`;
  const heading = {
    name: title,
    section: 1,
    summary,
    aliases: toolName === undefined ? [] : [`gpioagg-${name}`],
  };
  const titled = chapters.map(([chapter, text]) =>
    section(chapter ?? "Notes", paragraphs(chapterText(chapter, text)))
  );
  const text = page(heading, version, [
    section("Synopsis", synopsis(program, command)),
    section("Description", paragraphs(about)),
    ...actions.map((action) =>
      section(
        action.name,
        `${filled(action.about)}\n${optionList(action.options)}`,
      )
    ),
    section("Options", optionList(options)),
    ...titled,
    ...toolName === undefined && !/Exit status/.test(about + titled.join(""))
      ? [statusSection(STATUS)]
      : [],
    seeAlso(["gpioagg(1)", ...SEE_ALSO]),
  ]);
  const file = `${title}.1`;
  if (toolName === undefined) return [{ file, text }];
  return [
    { file, text },
    { file: `gpioagg-${name}.1`, text: "", target: file },
  ];
}

/** Examples of a tool's output are not prose. */
function chapterText(chapter: string | undefined, text: string): string {
  const isTable = chapter === "JSON" || chapter === "Format";
  return isTable ? text.replaceAll(/^/gm, "  ") : text;
}

function synopsis(program: string, { synopsis }: CatalogCommand): string {
  return synopsis.map((form) => {
    const words = form.split(" ").filter((word) => word !== "").map(word);
    return [bold(program), ...words].join(" ");
  }).join("\n.br\n");
}

/** Placeholders are in capitals or in angles. */
function word(text: string): string {
  return text.split(/([A-Z][A-Z_|]*[A-Z]|\b[A-Z]\b|<[a-z=]+>)/).map((part, i) =>
    i % 2 === 1 ? italic(part.replaceAll(/[<>]/g, "")) : escaped(part)
  ).join("");
}

function optionList(options: readonly CatalogOption[]): string {
  // A title needs no paragraph behind it.
  return options.map(option).join("\n").replace(/^\.PP\n/, "");
}

function option(
  { long, short, value, isOptional, help, heading }: CatalogOption,
): string {
  const names = [
    ...short === undefined ? [] : [bold(`-${short}`)],
    bold(`--${long}`),
  ].join(", ");
  const shown = value?.replaceAll(/[<>]/g, "") ?? "";
  const argument = value === undefined
    ? ""
    : isOptional
    ? `[=${italic(shown)}]`
    : ` ${italic(shown)}`;
  return [
    ...heading === undefined
      ? []
      : [`.PP\n${filled(heading.replaceAll("\n", " "))}`],
    tagged(names + argument, help),
  ].join("\n");
}

function statusSection(
  values: readonly (readonly [string, string])[],
): string {
  return section(
    "Exit status",
    values.map(([value, text]) => tagged(bold(value), text)).join("\n"),
  );
}

function seeAlso(pages: readonly string[]): string {
  return section(
    "See also",
    pages.map((name) => {
      const [, title = "", number = ""] = /^(.*)(\(\d\))$/.exec(name) ?? [];
      return bold(title) + number;
    }).join(",\n"),
  );
}
