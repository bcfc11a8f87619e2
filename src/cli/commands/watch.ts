/**
 * `gpioagg watch`.
 *
 * @module
 */
import { clockNs } from "../../../ffi/clock.ts";
import { type ServiceClient, ServiceError } from "../../client/client.ts";
import type { Edge } from "../../client/edges.ts";
import type { ApiEvent } from "../../client/protocol.ts";
import { describeUse } from "../output/aggregator_text.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeError, writeLine, writeOutput } from "../output/output.ts";
import { clientFor, selectClient } from "../service_client.ts";
import { ReadEdges, readPages, serviceEdges } from "../live/edge_source.ts";
import { causeText } from "../live/line_recorder.ts";
import { localText } from "../../tools/events/timestamps.ts";
import { nearest } from "../../text/nearest.ts";
import { printableJson } from "../../text/printable.ts";
import { optionalName } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { readSince } from "../arguments/moment.ts";

/** Edges of the past that are printed as one JSON object. */
const EDGES_PER_EVENT = 256;
const NS_PER_MS = 1_000_000n;

/** The command line. */
export const USAGE = {
  name: "watch",
  synopsis: ["[NAME] [--since TIME]"],
  about:
    `Prints the events of a running service, or of one of its aggregators, until
interrupted: added and removed aggregators, connected VMMs, faults, and each edge
of a line with its time and cause (world, guest, rule, operator, follow). Of a
service that records no edges, changes of a line are collected for 20 ms. Of a
kernel chip only its creation and removal are reported: the kernel serves its
lines (gpioagg notify).`,
  operands: ["aggregator"],
  options: {
    since: {
      kind: "value",
      value: "TIME",
      help:
        "print the edges since this time first: 10m ago, or 15:00, or a date",
    },
    json: { kind: "flag", help: "one JSON object a line" },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const name = optionalName(given, "gpioagg watch [NAME]");
  const fromNs = given.since === undefined
    ? undefined
    : readSince(given.since, "--since", clockNs("realtime"));
  const client = name === undefined
    ? selectClient(given.api, "look")
    : await clientFor(name, given.api, "look");
  const watch = { client, name, fromNs, isJson: given.json };
  try {
    await printEvents(watch, true);
  } catch (error) {
    const isOff = error instanceof ServiceError && error.status === 409;
    if (!isOff || fromNs !== undefined) throw error;
    await printEvents(watch, false);
  }
  writeError("the service has ended");
  return 1;
}

/** Choice of what is watched. */
interface Watch {
  readonly client: ServiceClient;
  readonly name: string | undefined;
  /** Begin of the past that is printed. **Units**: nanoseconds since 1970. */
  readonly fromNs: bigint | undefined;
  readonly isJson: boolean;
}

async function printEvents(
  { client, name, fromNs, isJson }: Watch,
  hasEdges: boolean,
): Promise<void> {
  const read = new ReadEdges();
  const print = (event: ApiEvent) => {
    // The edges tell each of these changes.
    if (!isJson && hasEdges && event.event === "lines") return;
    if (isJson) writeOutput(printableJson(event));
    else for (const line of formatEvent(event)) writeLine(line);
  };
  const options = hasEdges ? { edges: true } : {};
  for await (const event of client.events(name, options)) {
    if (event.event === "edges") {
      const edges = event.edges.filter((edge) => !read.has(edge));
      if (edges.length > 0) print({ ...event, edges });
      continue;
    }
    if (event.event !== "snapshot") {
      print(event);
      continue;
    }
    // By time: the past, the present, and what happened while that was read.
    const later = fromNs === undefined
      ? []
      : await printPast(client, name, fromNs, event.time, read, print);
    print(event);
    printEdges(later, print);
    if (name !== undefined && event.aggregators.length === 0) {
      await reportAbsent(client, name);
    }
  }
}

async function reportAbsent(client: ServiceClient, name: string) {
  const near = nearest(name, (await client.list()).map((one) => one.name));
  writeError(
    `waiting for aggregator "${name}", which does not exist yet` +
      (near === undefined ? "" : `; did you mean ${near}?`),
  );
}

/**
 * Prints the edges of the past, and returns those after `untilMs`. **Units**:
 * milliseconds since 1970.
 */
async function printPast(
  client: ServiceClient,
  name: string | undefined,
  fromNs: bigint,
  untilMs: number | undefined,
  read: ReadEdges,
  print: (event: ApiEvent) => void,
): Promise<Edge[]> {
  const query = { from: String(fromNs) };
  const isLater = ({ time }: Edge) =>
    untilMs !== undefined && BigInt(time) / NS_PER_MS > untilMs;
  const later: Edge[] = [];
  for await (const page of readPages(serviceEdges(client), query)) {
    read.add(page);
    if (page.lost > 0) print({ event: "lost", count: page.lost });
    const edges = page.edges.filter(({ aggregator }) =>
      name === undefined || aggregator === name
    );
    printEdges(edges.filter((edge) => !isLater(edge)), print);
    for (const edge of edges) if (isLater(edge)) later.push(edge);
  }
  return later;
}

function printEdges(
  edges: readonly Edge[],
  print: (event: ApiEvent) => void,
): void {
  for (let i = 0; i < edges.length; i += EDGES_PER_EVENT) {
    print({ event: "edges", edges: edges.slice(i, i + EDGES_PER_EVENT) });
  }
}

function formatEvent(event: ApiEvent): string[] {
  const at = timeText(BigInt(event.time ?? Date.now()) * NS_PER_MS);
  switch (event.event) {
    case "snapshot":
      return event.aggregators.map((one) => {
        const { name, lines } = one;
        const count = lines.length === 1 ? "1 line" : `${lines.length} lines`;
        return `${at} ${name}: ${count}, ${describeUse(one)}`;
      });
    case "edges":
      return event.edges.map(edgeText);
    case "lines":
      return event.lines.map((
        { lineNumber, name, direction, value, changes },
      ) =>
        `${at} ${event.aggregator}: line ${lineNumber}${
          name === "" ? "" : ` ${name}`
        } ${direction} ${value ?? "?"}${
          changes > 1 ? ` (${changes} changes)` : ""
        }`
      );
    case "lost":
      return [`${at} ${event.count} events were lost`];
    default:
      return [
        `${at} ${event.aggregator}: ${event.event}${
          event.detail === "" ? "" : `: ${event.detail}`
        }`,
      ];
  }
}

function edgeText(edge: Edge): string {
  const { aggregator, lineNumber, line, present, direction, value } = edge;
  const name = line === String(lineNumber) ? "" : ` ${line}`;
  const state = present ? `${direction} ${value ?? "?"}` : "absent";
  return `${timeText(BigInt(edge.time))} ${aggregator}: ` +
    `line ${lineNumber}${name} ${state} (${causeText(edge)})`;
}

/** Returns a time of the day: `17:14:01.123`. */
function timeText(ns: bigint): string {
  return localText(ns).slice("2026-11-29T".length, -"456789".length);
}
