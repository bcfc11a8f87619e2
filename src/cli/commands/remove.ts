/**
 * `gpioagg remove`.
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";
import { onlyName, readArguments } from "../arguments/arguments.ts";
import { writeOutput } from "../output/output.ts";
import { API_HELP, clientFor, withSuggestion } from "../service_client.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args, {
    help: "flag",
    api: "value",
    force: "flag",
  });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  const name = onlyName(given, "gpioagg remove NAME");
  await withSuggestion(
    await clientFor(name, given.api, "change"),
    name,
    async (client) => {
      if (!given.force) refuseConfigured(await client.show(name));
      await client.remove(name);
    },
  );
  return 0;
}

/** @throws {Error} If it would be made again by itself. */
function refuseConfigured({ name, lease }: AggregatorState): void {
  if (lease !== "service") return;
  throw Object.assign(
    new Error(
      `${name} belongs to the service's own configuration: it would return with ` +
        "the next start, and with a reload of a file that has it",
    ),
    { hint: "Remove it from the file and reload; --force ends it for now" },
  );
}

const HELP = `Usage: gpioagg remove NAME [--force]

Ends an aggregator of a running service, also another client's: its guest is
disconnected, its lines get their declared state and are released, its socket
or its kernel chip is removed.

An aggregator of the service's own configuration file or command line is only
removed with --force: it would return with the next start.

  --force     remove it in this case too
${API_HELP}
  -h, --help  this text`;
