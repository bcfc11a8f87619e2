/**
 * `gpioagg list`.
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";
import { accessPath, describeUse } from "../output/aggregator_text.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { formatTable } from "../output/table.ts";
import { writeError, writeOutput } from "../output/output.ts";
import { selectClients } from "../service_client.ts";
import { printableJson } from "../../text/printable.ts";

/** The command line. */
export const USAGE = {
  name: "list",
  synopsis: ["[--json]"],
  about:
    `Lists the aggregators of the running services (gpioagg serve --api PATH, units
gpioagg and gpioagg@NAME): their use, their lifetime (their creator's stream,
none, or the service), and their socket or device node. With several services
each row names its own.`,
  operands: [],
  options: {
    json: {
      kind: "flag",
      help: "one JSON array on standard output; with several services each " +
        "element names its own (service)",
    },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg list");
  const services = selectClients(given.api, "look");
  const areSeveral = services.length > 1;
  const found: { service: string; one: AggregatorState }[] = [];
  let status = 0;
  for (const { name: service, client } of services) {
    try {
      for (const one of await client.list()) found.push({ service, one });
    } catch (error) {
      // A service that has just ended, or is stopped, does not hide the others.
      if (!areSeveral || !(error instanceof Error)) throw error;
      writeError(error.message);
      status = 1;
    }
  }
  if (given.json) {
    writeOutput(printableJson(
      found.map(({ service, one }) => areSeveral ? { service, ...one } : one),
    ));
    return status;
  }
  const rows = found.map(({ service, one }) => [
    service,
    one.name,
    String(one.lines.length),
    describeUse(one),
    one.lease,
    accessPath(one) ?? "-",
  ]);
  const head = ["SERVICE", "NAME", "LINES", "STATE", "LEASE", "AT"];
  writeOutput(
    formatTable([head, ...rows].map((row) => row.slice(areSeveral ? 0 : 1))),
  );
  return status;
}
