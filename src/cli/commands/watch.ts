/**
 * `gpioagg watch`.
 *
 * @module
 */
import type { ApiEvent } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { useOf } from "../output/aggregator_text.ts";
import { readArguments } from "../arguments/arguments.ts";
import { helpText } from "../usage/help_text.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeError, writeLine, writeOutput } from "../output/output.ts";
import { clientFor, clientOf } from "../service_client.ts";
import { nearest } from "../../text/nearest.ts";
import { printableJson } from "../../text/printable.ts";

/** The command line. */
export const USAGE = {
  name: "watch",
  synopsis: ["[NAME]"],
  about:
    `Prints the events of a running service, or of one of its aggregators, until
interrupted: added and removed aggregators, connected VMMs, changed lines,
faults. Changes of a line (edges, and each time that it was set) are collected
for 20 ms. Of a kernel chip only its creation and removal are reported: the
kernel serves its lines (gpioagg notify).`,
  operands: ["aggregator"],
  options: {
    json: { kind: "flag", help: "one JSON object a line" },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args, USAGE.options);
  if (given.help) {
    writeOutput(helpText(USAGE));
    return 0;
  }
  const [name, ...others] = given.rest;
  if (others.length > 0) {
    throw new ConfigError(`unexpected argument "${others[0]}"`, {
      hint: "gpioagg watch [NAME]",
    });
  }
  const client = name === undefined
    ? clientOf(given.api, "look")
    : await clientFor(name, given.api, "look");
  for await (const event of client.events(name)) {
    if (
      name !== undefined && event.event === "snapshot" &&
      event.aggregators.length === 0
    ) {
      const near = nearest(name, (await client.list()).map((one) => one.name));
      writeError(
        `waiting for aggregator "${name}", which does not exist yet` +
          (near === undefined ? "" : `; did you mean ${near}?`),
      );
    }
    if (given.json) writeOutput(printableJson(event));
    else for (const line of formatEvent(event)) writeLine(line);
  }
  writeError("the service has ended");
  return 1;
}

function formatEvent(event: ApiEvent): string[] {
  switch (event.event) {
    case "snapshot":
      return event.aggregators.map((one) => {
        const { name, lines } = one;
        const count = lines.length === 1 ? "1 line" : `${lines.length} lines`;
        return `${name}: ${count}, ${useOf(one)}`;
      });
    case "lines":
      return event.lines.map((
        { lineNumber, name, direction, value, changes },
      ) =>
        `${event.aggregator}: line ${lineNumber}${
          name === "" ? "" : ` ${name}`
        } ${direction} ${value ?? "?"}${
          changes > 1 ? ` (${changes} changes)` : ""
        }`
      );
    case "edges":
      return [];
    case "lost":
      return [`${event.count} events were lost: read faster`];
    default:
      return [
        `${event.aggregator}: ${event.event}${
          event.detail === "" ? "" : `: ${event.detail}`
        }`,
      ];
  }
}
