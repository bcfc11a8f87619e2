/**
 * `gpioagg man`: shows a manual page without its installation, or writes all of
 * them for one.
 *
 * @module
 */
import settings from "../../../deno.json" with { type: "json" };
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { replaceFile, replaceLink } from "../../../ffi/whole_file.ts";
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { nearest } from "../../text/nearest.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import type { Commands } from "../usage/command.ts";
import { commandPages, mainPage, type ManPage } from "../man/command_pages.ts";
import { filePage, specPage } from "../man/format_pages.ts";
import { writeOutput } from "../output/output.ts";
import { makePrivateDirectory } from "../private_directory.ts";
import { buildCatalog } from "../usage/catalog.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";

const HOW = "gpioagg man [PAGE]";
const PAGE_MODE = 0o644;

/** The command line. */
export const USAGE = {
  name: "man",
  synopsis: ["[PAGE] [--roff]", "--output DIR"],
  about:
    `Shows a manual page: of a command (serve, or gpioagg-serve), of a GPIO tool
(gpioget), gpioagg.yaml for the configuration file, spec for SPECs; without PAGE
that of gpioagg. It is shown by man(1); where that cannot, and with --roff, its
source is printed.

With --output all pages are written into man1, man5 and man7 of DIR.`,
  operands: ["page"],
  options: {
    roff: { kind: "flag", help: "print the source of the page" },
    output: {
      kind: "value",
      value: "DIR",
      help: "write all pages below DIR, such as /usr/local/share/man",
      completes: "directory",
    },
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(
  args: readonly string[],
  _programName: string,
  commands: Commands,
): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const [name, ...others] = given.rest;
  noRest({ rest: others }, HOW);
  const pages = await allPages(commands);
  if (given.output !== undefined) {
    if (name !== undefined) {
      throw new ConfigError("writes all pages", {
        path: "--output",
        hint: `Omit ${name}`,
      });
    }
    surviveFileSizeLimit();
    writePages(given.output, pages);
    return 0;
  }
  const page = findPage(name ?? "gpioagg", pages);
  if (given.roff) {
    writeOutput(page.text.trimEnd());
    return 0;
  }
  return await show(page);
}

async function allPages(commands: Commands): Promise<ManPage[]> {
  const { version } = settings;
  const catalog = await buildCatalog(commands);
  const serve = catalog.find(({ name }) => name === "serve")!;
  const notes = serve.chapters.map(([, text]) => text).join("\n\n");
  return [
    mainPage(catalog, version),
    ...catalog.flatMap((command) => commandPages(command, version)),
    filePage(version),
    specPage(version, grammarIn(notes)),
  ];
}

/** Returns the notes on SPECs without the keys, which have a list of their own. */
function grammarIn(notes: string): string {
  return notes.slice(notes.indexOf("A SPEC names"))
    .replace(/ The keys:\n(?: {2}.*\n)+/, "\n");
}

/** @throws {ConfigError} If there is no such page. */
function findPage(name: string, pages: readonly ManPage[]): ManPage {
  const titles = new Map(
    pages.map((page) => [page.file.replace(/\.\d$/, ""), page]),
  );
  const wanted = name.replace(/\(\d\)$|\.\d$/, "");
  const found = titles.get(wanted) ?? titles.get(`gpioagg-${wanted}`) ??
    titles.get(`gpioagg.${wanted}`);
  const page = found?.target === undefined
    ? found
    : pages.find(({ file }) => file === found.target);
  if (page !== undefined) return page;
  const words = [...titles.keys()].map((title) =>
    title.replace(/^gpioagg-/, "")
  );
  const near = nearest(wanted, words);
  throw new ConfigError(`no manual page "${name}"`, {
    hint: near === undefined
      ? "gpioagg --help lists the commands"
      : `Did you mean ${near}?`,
  });
}

/**
 * Shows a page by man(1), which knows the terminal and its pager; prints its
 * source where man cannot: it is missing, is BusyBox', which takes no file, or no
 * directory can be written.
 */
async function show(page: ManPage): Promise<number> {
  const status = await callMan(page);
  if (status !== undefined) return status;
  writeOutput(page.text.trimEnd());
  return 0;
}

/** Returns the exit status of man(1); undefined if it shows nothing. */
async function callMan(
  { file, text }: ManPage,
): Promise<number | undefined> {
  let directory: string;
  try {
    directory = makePrivateDirectory("gpioagg-man-");
  } catch {
    return undefined;
  }
  try {
    const path = `${directory}/${file}`;
    replaceFile(path, text, PAGE_MODE);
    const { success, signal, code } = await new Deno.Command("man", {
      // The name of this option that man-db and mandoc share.
      args: ["-l", path],
      stdin: "inherit",
      stdout: "inherit",
      stderr: "null",
    }).spawn().status;
    return success || signal !== null ? code : undefined;
  } catch (error) {
    // There is no man, or no room for the page.
    if (!(error instanceof Deno.errors.NotFound) && !isOsError(error)) {
      throw error;
    }
    return undefined;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** @throws {Error} If the directory cannot be written. */
function writePages(directory: string, pages: readonly ManPage[]): void {
  const status = fileStatus(directory);
  if (status !== undefined && status.kind !== "directory") {
    throw new Error(`${directory} is a ${status.kind}, not a directory`);
  }
  for (const { file, text, target } of pages) {
    const place = `${directory}/man${file.at(-1)}`;
    Deno.mkdirSync(place, { recursive: true });
    // An older page may be open.
    if (target === undefined) {
      replaceFile(`${place}/${file}`, text, PAGE_MODE);
      continue;
    }
    replaceLink(`${place}/${file}`, target);
  }
}
