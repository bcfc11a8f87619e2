/**
 * `gpioagg reload`.
 *
 * @module
 */
import { ServiceError } from "../../client/client.ts";
import type { ConfigProblem, ReloadState } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { INVALID_FILE, writeConfigErrors } from "../output/config_errors.ts";
import { writeError, writeLine, writeOutput } from "../output/output.ts";
import { reloadLines } from "../output/reload_text.ts";
import { selectClient } from "../service_client.ts";
import { printableJson } from "../../text/printable.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** The command line. */
export const USAGE = {
  name: "reload",
  synopsis: ["[--json]"],
  about:
    `Makes a running gpioagg serve --config read its file again, as SIGHUP does. New
aggregators are added, missing ones removed, rules change under their guests. A
change that a guest would notice is refused with the reason, unless no guest is
connected. An invalid file changes nothing.`,
  operands: [],
  options: {
    api: API_OPTION,
    json: {
      kind: "flag",
      help: "print what was done and refused, or errors of the file, as JSON",
    },
    help: HELP_OPTION,
  },
  after:
    "Exit status: 0 all done, 1 some or all changes were refused, 2 the file is\n" +
    "not valid.",
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg reload [--api PATH]: the file is the service's");
  let outcome: ReloadState;
  try {
    outcome = await selectClient(given.api, "change").reload();
  } catch (error) {
    if (!(error instanceof ServiceError) || error.errors.length === 0) {
      throw error;
    }
    tellInvalid(error.errors, given.json);
    return 2;
  }
  if (given.json) writeOutput(printableJson(outcome));
  else for (const line of reloadLines(outcome)) writeLine(line);
  if (outcome.refused.length === 0) return 0;
  if (!given.json) writeError("some changes were refused");
  return 1;
}

/** Prints why the service's file is not valid. */
function tellInvalid(errors: readonly ConfigProblem[], isJson: boolean): void {
  if (isJson) return writeOutput(printableJson({ errors }));
  writeConfigErrors(
    errors.map(({ problem, ...others }) => new ConfigError(problem, others)),
  );
  writeError(INVALID_FILE);
}
