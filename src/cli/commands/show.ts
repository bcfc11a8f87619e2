/**
 * `gpioagg show`.
 *
 * @module
 */
import { describeUse } from "../output/aggregator_text.ts";
import { onlyName } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";
import { ruleTexts } from "../output/line_facts.ts";
import { formatTable } from "../output/table.ts";
import { writeLine, writeOutput } from "../output/output.ts";
import { clientFor, withSuggestion } from "../service_client.ts";
import { printable, printableJson } from "../../text/printable.ts";
import { localText } from "../../tools/events/timestamps.ts";

/** The command line. */
export const USAGE = {
  name: "show",
  synopsis: ["NAME"],
  about:
    `Shows an aggregator of a running service, with its lines' present values, what
drives them since when, their sources and rules, and the lines that exclude them.`,
  operands: ["aggregator"],
  options: { json: JSON_OPTION, api: API_OPTION, help: HELP_OPTION },
} as const satisfies CommandUsage;

/** Returns a time of this host's zone, in milliseconds. */
function timeText(ms: number): string {
  return localText(BigInt(ms) * 1_000_000n).slice(0, 23);
}

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const name = onlyName(given, "gpioagg show NAME");
  const state = await withSuggestion(
    await clientFor(name, given.api, "look"),
    name,
    (client) => client.show(name),
  );
  if (given.json) {
    writeOutput(printableJson(state));
    return 0;
  }
  const { presentation, lease, lines, startedSince } = state;
  writeLine(`${state.name}: ${describeUse(state)}`);
  writeLine(`  served  ${presentation}`);
  writeLine(`  lease   ${lease}`);
  if (startedSince !== undefined) {
    writeLine(`  guest   started ${timeText(startedSince)}`);
  }
  writeOutput(formatTable([
    [
      ...["LINE", "NAME", "DIRECTION", "VALUE", "DRIVEN BY", "SINCE"],
      ...["SOURCE", "RULES", "EXCLUDES"],
    ],
    ...lines.map((line) => [
      String(line.lineNumber),
      line.name || "-",
      line.direction,
      line.value === undefined ? "?" : String(line.value),
      line.drivenBy ?? "-",
      line.since === undefined ? "-" : timeText(line.since),
      line.source,
      ruleTexts(line).join(",") || "-",
      line.interlocks?.join(",") ?? "-",
    ]),
  ]));
  for (const { lineNumber, name, pendingRule, forced } of lines) {
    if (forced !== undefined) {
      const { value, until, by, reason } = forced;
      writeOutput(
        `line ${name || lineNumber}: forced to ${value} until ` +
          `${timeText(until)} by user ${by}: ${printable(reason)}`,
      );
    }
    if (pendingRule === undefined) continue;
    const { rule, reason, since } = pendingRule;
    writeOutput(
      `line ${name || lineNumber}: its rule (${rule}) does not hold since ` +
        `${new Date(since).toISOString()}: ${reason}`,
    );
  }
  return 0;
}
