/**
 * `gpioagg watch`.
 *
 * @module
 */
import type { ApiEvent } from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import { useOf } from "./aggregator_text.ts";
import { readArguments } from "./arguments.ts";
import { writeError, writeOutput } from "./output.ts";
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
  const [name, ...others] = given.rest;
  if (others.length > 0) {
    throw new ConfigError(`cannot take the argument "${others[0]}"`, {
      hint: "gpioagg watch [NAME]",
    });
  }
  for await (const event of clientOf(given.api).events(name)) {
    if (
      name !== undefined && event.event === "snapshot" &&
      event.aggregators.length === 0
    ) writeError(`there is no aggregator "${name}" yet; it is waited for`);
    if (given.json) writeOutput(JSON.stringify(event));
    else for (const line of told(event)) writeOutput(line);
  }
  writeError("the service is gone");
  return 1;
}

function told(event: ApiEvent): string[] {
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

const HELP = `Usage: gpioagg watch [NAME]

Tells what happens in a running service, or to one of its aggregators, until
interrupted: aggregators and VMMs that come and go, lines that change, faults.
Changes of a line (edges, and times that it was set, to whatever) are gathered
for 20 ms. Of a kernel chip it is told that it was made, and that it is gone; its
lines are the kernel's (gpioagg notify).

  --json      one JSON object a line
${API_HELP}
  -h, --help  this text`;
