/**
 * `gpioagg remove`.
 *
 * @module
 */
import { onlyName, readArguments } from "./arguments.ts";
import { writeOutput } from "./output.ts";
import { API_HELP, clientOf } from "./service_client.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args, { help: "flag", api: "value" });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  const name = onlyName(given, "gpioagg remove NAME");
  await clientOf(given.api).remove(name);
  return 0;
}

const HELP = `Usage: gpioagg remove NAME

Ends an aggregator of a running service, whoever made it: its guest is
disconnected, its lines get their declared state and are released, its socket
or its kernel chip is removed.

${API_HELP}
  -h, --help  this text`;
