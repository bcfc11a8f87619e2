/**
 * `gpioagg remove`.
 *
 * @module
 */
import { onlyName } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { clientFor, withSuggestion } from "../service_client.ts";

/** The command line. */
export const USAGE = {
  name: "remove",
  synopsis: ["NAME [--force]"],
  about:
    `Ends an aggregator of a running service, also another client's: its guest is
disconnected, its lines get their declared state and are released, its socket
or its kernel chip is removed.

An aggregator of the service's own configuration file or command line is only
removed with --force: it would return with the next start.`,
  operands: ["aggregator"],
  options: {
    force: { kind: "flag", help: "remove it in this case too" },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const name = onlyName(given, "gpioagg remove NAME");
  await withSuggestion(
    await clientFor(name, given.api, "change"),
    name,
    async (client) => {
      // Others are removed by services of earlier versions too.
      const isOwn = (await client.show(name)).lease === "service";
      if (isOwn && !given.force) throw configured(name);
      await client.remove(name, { isForced: isOwn });
    },
  );
  return 0;
}

/** Returns the error about one that would be made again by itself. */
function configured(name: string): Error {
  return Object.assign(
    new Error(
      `${name} belongs to the service's own configuration: it would return with ` +
        "the next start, and with a reload of a file that has it",
    ),
    { hint: "Remove it from the file and reload; --force ends it for now" },
  );
}
