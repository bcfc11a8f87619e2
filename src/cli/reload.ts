/**
 * `gpioagg reload`.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { readArguments } from "./arguments.ts";
import { writeError, writeOutput } from "./output.ts";
import { reloadLines } from "./reload_text.ts";
import { API_HELP, clientOf } from "./service_client.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args, {
    help: "flag",
    json: "flag",
    api: "value",
  });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  const [stray] = given.rest;
  if (stray !== undefined) {
    throw new ConfigError(`cannot take the argument "${stray}"`, {
      hint: "gpioagg reload [--api PATH]: the service knows its file",
    });
  }
  const outcome = await clientOf(given.api).reload();
  if (given.json) writeOutput(JSON.stringify(outcome));
  else for (const line of reloadLines(outcome)) writeOutput(line);
  if (outcome.refused.length === 0) return 0;
  if (!given.json) writeError("some of it was not done");
  return 1;
}

const HELP = `Usage: gpioagg reload [--json]

Has a running gpioagg serve --config read its file again, as SIGHUP does. New
aggregators appear, old ones go, rules change under their guests; what a guest
would notice is refused with the reason, unless no guest is there. A file that
is not valid changes nothing.

${API_HELP}
  --json      what was done and what not, as JSON
  -h, --help  this text

Exit status: 0 all done, 1 some of it or all was refused.`;
