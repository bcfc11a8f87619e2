/**
 * `gpioagg install-tools`: makes gpiodetect, gpioget and the others in a
 * directory, as links to this program, which runs under all of these names.
 *
 * @module
 */
import { readLink } from "../../../ffi/files.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { replaceLink } from "../../../ffi/whole_file.ts";
import { jsonLine } from "../../tools/lines/line_text.ts";
import { LIBGPIOD_NAMES } from "../libgpiod_names.ts";
import { type ToolMain, toolMain } from "../../tools/program/command.ts";
import { printError, writeOut } from "../../tools/program/output.ts";
import { explainError, ToolError } from "../../tools/program/tool_error.ts";
import { HELP_OPTION, VERSION_OPTION } from "../../tools/program/usage.ts";

const TOOLS = Object.values(LIBGPIOD_NAMES);

const OPTIONS = [
  { long: "force", short: "f", help: ["replace what is there"] },
  { long: "json", help: ["print one JSON object a line"] },
  HELP_OPTION,
  VERSION_OPTION,
] as const;

/** The command line. */
export const USAGE = {
  operands: "<directory>",
  completes: "directory",
  about: [
    `Makes ${TOOLS.slice(0, -1).join(", ")}
and ${TOOLS.at(-1)} in a directory: links to this program.`,
    "From a checkout they are links to its scripts/gpioagg.",
  ],
  options: OPTIONS,
  chapters: [],
} as const;

/** Runs the command. */
export const main: ToolMain = toolMain(
  USAGE,
  ([directory, ...more], { force, json }, programName) => {
    if (directory === undefined || more.length > 0) {
      printError(programName, "one directory must be specified");
      printError(programName, `try ${programName} --help`);
      return 2;
    }
    for (const { path, target } of install(directory, force)) {
      writeOut(json ? jsonLine({ path, target }) : `${path} -> ${target}\n`);
    }
    return 0;
  },
);

/**
 * Makes the links; returns all of them.
 *
 * @throws {ToolError} If the directory cannot be written, or contains one of
 * the names; then no link is left that was not there.
 */
function install(
  directory: string,
  force: boolean,
): { readonly path: string; readonly target: string }[] {
  const program = ownProgram();
  const kind = fileStatus(directory)?.kind;
  if (kind !== "directory") {
    throw new ToolError(
      kind === undefined
        ? `directory '${directory}' does not exist: create it first`
        : `'${directory}' is a ${kind}, not a directory`,
    );
  }
  const paths = TOOLS.map((name) => `${directory.replace(/\/+$/, "")}/${name}`);
  const wanted = paths.filter((path) => readLink(path) !== program);
  const there = wanted.filter((path) =>
    fileStatus(path, { followLinks: false }) !== undefined
  );
  if (there.length > 0 && !force) {
    throw new ToolError([
      ...there.map((path) => `'${path}' exists already`),
      "nothing was changed: --force replaces them",
    ]);
  }
  const made: string[] = [];
  for (const path of wanted) {
    try {
      replaceLink(path, program);
      made.push(path);
    } catch (error) {
      for (const path of made) {
        if (!there.includes(path)) Deno.removeSync(path);
      }
      throw new ToolError(`unable to make '${path}': ${explainError(error)}`, {
        cause: error,
      });
    }
  }
  return paths.map((path) => ({ path, target: program }));
}

/**
 * Returns the target of the links: the executable, or the launcher of the
 * checkout.
 */
function ownProgram(): string {
  if (Deno.build.standalone) return Deno.execPath();
  return Deno.env.get("GPIOAGG_LAUNCHER") ??
    new URL("../../../scripts/gpioagg", import.meta.url).pathname;
}
