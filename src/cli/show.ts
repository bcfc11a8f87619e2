/**
 * `gpioagg show`.
 *
 * @module
 */
import { useOf } from "./aggregator_text.ts";
import { onlyName, readArguments } from "./arguments.ts";
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
  const name = onlyName(given, "gpioagg show NAME");
  const state = await clientOf(given.api).show(name);
  if (given.json) {
    writeOutput(JSON.stringify(state));
    return 0;
  }
  const { presentation, lease, lines } = state;
  writeOutput(`${state.name}: ${useOf(state)}
  served  ${presentation}
  lease   ${lease}`);
  writeOutput(table([
    ["LINE", "NAME", "DIRECTION", "VALUE", "SOURCE"],
    ...lines.map(({ lineNumber, name, direction, value, source }) => [
      String(lineNumber),
      name || "-",
      direction,
      value === undefined ? "?" : String(value),
      source,
    ]),
  ]));
  return 0;
}

const HELP = `Usage: gpioagg show NAME

Shows an aggregator of a running service, with its lines' present values.

  --json      one JSON object on standard output
${API_HELP}
  -h, --help  this text`;
