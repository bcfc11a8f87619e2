/**
 * `gpioagg wait`.
 *
 * @module
 */
import { type ServiceClient, ServiceError } from "../../client/client.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { nearest } from "../../text/nearest.ts";
import { readPeriodUs } from "../../text/period.ts";
import { printableJson } from "../../text/printable.ts";
import {
  Conditions,
  type ConditionState,
  type ConditionText,
  parseCondition,
} from "../live/conditions.ts";
import { findLine, listSplits } from "../live/line_names.ts";
import { LiveLines } from "../live/live_lines.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import { writeError, writeOutput } from "../output/output.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** Exit status if the conditions are not met in time. */
const NOT_IN_TIME = 3;
/** Longest time of a timer. **Units**: milliseconds. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The command line. */
export const USAGE = {
  name: "wait",
  synopsis: ["NAME.LINE=VALUE... [--any] [--timeout TIME]"],
  about:
    `Waits until lines of a running service have values, or edges happen. LINE is a
name or number; VALUE is 0, 1 (active), rising, falling or edge. Of several
conditions all must hold at one moment; an edge counts once it has happened. An
aggregator may be created meanwhile.`,
  operands: ["line-condition"],
  options: {
    any: { kind: "flag", help: "one of the conditions is enough" },
    timeout: {
      kind: "value",
      value: "TIME",
      help: "wait this long, such as 500ms or 10s; 0: only look (default: no " +
        "limit)",
    },
    json: JSON_OPTION,
    api: API_OPTION,
    help: HELP_OPTION,
  },
  after:
    "Exit status: 0 the conditions are met, 1 failed (the service has ended, …), " +
    "2 wrong\nusage, 3 they are not met in time.",
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  if (given.rest.length === 0) {
    throw new ConfigError("missing NAME.LINE=VALUE argument", {
      hint: "gpioagg wait press.READY=1 --timeout 10s",
    });
  }
  const texts = given.rest.map(parseCondition);
  const timeoutMs = readTimeout(given.timeout);
  const client = await serviceOfLines(
    texts.map(({ line }) => line),
    given.api,
    "look",
  );
  const startMs = performance.now();
  const conditions = new Conditions(texts, !given.any);
  const wait = { client, conditions, texts, timeoutMs };
  const outcome = await waitFor({ ...wait, hasEdges: true }).catch((error) => {
    if (!(error instanceof ServiceError) || error.status !== 409) throw error;
    // A service that records no edges reports values, a moment later.
    return waitFor({ ...wait, hasEdges: false });
  });
  if (outcome === "ended") {
    writeError("the service has ended");
    return 1;
  }
  if (given.json) {
    writeOutput(printableJson({
      reached: outcome === "met",
      afterMs: Math.round(performance.now() - startMs),
      conditions: conditions.states.map(({ line, wanted, value, isMet }) => ({
        line,
        wanted,
        ...(value === undefined ? {} : { value }),
        met: isMet,
      })),
    }));
  }
  if (outcome === "met") return 0;
  for (const state of conditions.states) {
    if (!state.isMet) writeError(`not in time: ${formatCondition(state)}`);
  }
  return NOT_IN_TIME;
}

function readTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const us = readPeriodUs(text);
  if (us === undefined || us / 1000 > MAX_TIMEOUT_MS) {
    throw new ConfigError(`"${text}" is not a valid time`, {
      path: "--timeout",
      hint: "Write 500ms, 10s or 2m; at most 596h",
    });
  }
  return us / 1000;
}

function formatCondition({ line, wanted, value }: ConditionState): string {
  const now = value === undefined ? "its value is not known" : `it is ${value}`;
  return `${line}=${wanted} (${now})`;
}

interface Wait {
  readonly client: ServiceClient;
  readonly conditions: Conditions;
  readonly texts: readonly ConditionText[];
  readonly timeoutMs: number | undefined;
  /** True to ask for each edge. */
  readonly hasEdges: boolean;
}

async function waitFor(
  { client, conditions, texts, timeoutMs, hasEdges }: Wait,
): Promise<"met" | "late" | "ended"> {
  const abort = new AbortController();
  const lines = new LiveLines(client, hasEdges);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let indices = new Map<string, number[]>();
  try {
    for await (
      const event of client.events(undefined, {
        signal: abort.signal,
        ...(hasEdges ? { edges: true } : {}),
      })
    ) {
      const values = await lines.take(event);
      if (event.event === "snapshot" || event.event === "created") {
        indices = indexConditions(texts, lines);
      }
      for (const { aggregator, lineNumber, value } of values) {
        const places = indices.get(`${aggregator}/${lineNumber}`) ?? [];
        for (const index of places) conditions.set(index, value);
        // Between two changes too: values hold at one moment.
        if (event.event !== "snapshot" && conditions.areMet) return "met";
      }
      if (conditions.areMet) return "met";
      if (event.event !== "snapshot") continue;
      // A look is complete, however slow the service is.
      if (timeoutMs === 0) return "late";
      reportAbsent(texts, lines);
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => abort.abort(), timeoutMs);
      }
    }
  } catch (error) {
    if (error !== abort.signal.reason) throw error;
    return "late";
  } finally {
    clearTimeout(timer);
  }
  return "ended";
}

/** Returns the conditions' indices by their lines. */
function indexConditions(
  texts: readonly ConditionText[],
  lines: LiveLines,
): Map<string, number[]> {
  const { aggregators } = lines;
  const indices = new Map<string, number[]>();
  for (const [i, { line }] of texts.entries()) {
    const found = findLine(line, aggregators);
    if (found === undefined) continue;
    const key = `${found.aggregator}/${found.line.lineNumber}`;
    indices.set(key, [...indices.get(key) ?? [], i]);
  }
  return indices;
}

function reportAbsent(
  texts: readonly ConditionText[],
  lines: LiveLines,
): void {
  const { aggregators } = lines;
  for (const { line } of texts) {
    if (findLine(line, aggregators) !== undefined) continue;
    const [name] = listSplits(line)[0]!;
    const near = nearest(name, aggregators.map((one) => one.name));
    writeError(
      `waiting for aggregator "${name}", which does not exist yet` +
        (near === undefined ? "" : `; did you mean ${near}?`),
    );
  }
}
