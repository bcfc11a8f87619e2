/**
 * `gpioagg list`.
 *
 * @module
 */
import { placeOf, useOf } from "./aggregator_text.ts";
import { noRest, readArguments } from "./arguments.ts";
import { table } from "./line_table.ts";
import { writeOutput } from "./output.ts";
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
  noRest(given, "gpioagg list");
  const aggregators = await clientOf(given.api).list();
  writeOutput(
    given.json ? JSON.stringify(aggregators) : table([
      ["NAME", "LINES", "STATE", "LEASE", "AT"],
      ...aggregators.map((one) => [
        one.name,
        String(one.lines.length),
        useOf(one),
        one.lease,
        placeOf(one) ?? "-",
      ]),
    ]),
  );
  return 0;
}

const HELP = `Usage: gpioagg list

Lists the aggregators of a running service (gpioagg serve --api PATH): whether
somebody uses them, what their life is tied to (their maker's stream, none, or
the service), and the socket or device node that they are used by.

  --json      one JSON array on standard output
${API_HELP}
  -h, --help  this text`;
