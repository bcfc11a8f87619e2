/**
 * Converts a recording to steps of simulated lines. Pure.
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import {
  type Recording,
  type Signal,
  signalText,
} from "../../recording/recording.ts";
import { nearest } from "../../text/nearest.ts";
import { NotThereError } from "../not_there.ts";
import {
  displayName,
  findLine,
  type NamedLine,
  noSuchLine,
} from "../live/line_names.ts";

/** Signals of a file that are compared with a slip of the pen. */
const MAX_SUGGESTED = 1000;

/** Changes of a command line to a recording. */
export interface PlanOptions {
  /** Lines by signals, as `--map` names both; empty: those of equal names. */
  readonly map: ReadonlyMap<string, string>;
  /** Factor of the speed. */
  readonly speed: number;
  /** Part that is played. **Units**: nanoseconds. */
  readonly fromNs: number;
  /** End of that part; undefined: the end. **Units**: nanoseconds. */
  readonly toNs: number | undefined;
}

/** Change of a line. */
interface PlannedStep {
  /** **Units**: nanoseconds since the start of the play. */
  readonly afterNs: number;
  /** Index in the lines of the aggregator's part. */
  readonly line: number;
  readonly value: 0 | 1;
}

/** Steps of one aggregator. */
export interface PlannedPart {
  readonly aggregator: string;
  readonly lines: readonly string[];
  /** In order of time. */
  readonly steps: readonly PlannedStep[];
}

/** Everything that is played. */
export interface Plan {
  readonly parts: readonly PlannedPart[];
  /** Signals that are not played, with the reason. */
  readonly leftOut: readonly string[];
  /** Duration of the play. **Units**: nanoseconds. */
  readonly durationNs: number;
}

/**
 * Reads `SIGNAL=NAME.LINE`.
 *
 * @throws {ConfigError} If it is not that, or a signal is given twice.
 */
export function parseMap(texts: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const text of texts) {
    const equals = text.lastIndexOf("=");
    const signal = text.slice(0, Math.max(0, equals));
    if (signal === "" || equals === text.length - 1) {
      throw new ConfigError(`"${text}" is not a mapping`, {
        path: "--map",
        hint: "Write SIGNAL=NAME.LINE, such as A=press.START",
      });
    }
    if (map.has(signal)) {
      throw new ConfigError(`maps ${signal} twice`, { path: "--map" });
    }
    map.set(signal, text.slice(equals + 1));
  }
  return map;
}

/**
 * Returns the line of each signal of a file that `--map` names: by its name with
 * scopes, or by its name alone where that is clear.
 *
 * @throws {ConfigError} If the file has no such signal, or several.
 */
function mappedSignals(
  signals: readonly Signal[],
  map: ReadonlyMap<string, string>,
): Map<number, string> {
  const lines = new Map<number, string>();
  for (const [text, line] of map) {
    const indices = [...signals.keys()];
    const whole = indices.filter((i) => signalText(signals[i]!) === text);
    const found = whole.length > 0
      ? whole
      : indices.filter((i) => signals[i]!.name === text);
    if (found.length === 1) {
      // By its name with scopes, and without.
      if (lines.has(found[0]!)) {
        throw new ConfigError(`maps ${text} twice`, { path: "--map" });
      }
      lines.set(found[0]!, line);
      continue;
    }
    const names = (found.length === 0 ? indices : found)
      .slice(0, MAX_SUGGESTED).map((i) => signalText(signals[i]!));
    const near = found.length === 0 ? nearest(text, names) : names.join(" or ");
    throw new ConfigError(
      found.length === 0
        ? `the file has no signal "${text}"`
        : `the file has ${found.length} signals "${text}"`,
      {
        path: "--map",
        ...(near === undefined ? {} : { hint: `Did you mean ${near}?` }),
      },
    );
  }
  return lines;
}

/**
 * Returns the plan for a recording.
 *
 * @throws {ConfigError} If a line is missing or cannot be played, or nothing
 * is left to play.
 */
export function makePlan(
  recording: Recording,
  aggregators: readonly AggregatorState[],
  options: PlanOptions,
): Plan {
  const { map, speed, fromNs, toNs = recording.endNs } = options;
  if (fromNs > toNs) throw new ConfigError("--from is later than --to");
  const { signals, edges } = recording;
  const leftOut: string[] = [];
  const targets = map.size > 0
    ? mappedTargets(signals, aggregators, map)
    : equalTargets(signals, aggregators, leftOut);
  const parts = new Map<string, { lines: string[]; steps: PlannedStep[] }>();
  const places = new Map<number, { steps: PlannedStep[]; line: number }>();
  for (const [signal, { aggregator, line }] of targets) {
    const part = parts.get(aggregator) ?? { lines: [], steps: [] };
    parts.set(aggregator, part);
    const index = part.lines.push(displayName(line)) - 1;
    places.set(signal, { steps: part.steps, line: index });
  }
  // Values at the beginning, then edges.
  const values = new Map<number, 0 | 1>();
  let i = 0;
  for (; i < edges.length && edges.timeNs(i) <= fromNs; i++) {
    const value = edges.value(i);
    if (value !== undefined) values.set(edges.signal(i), value);
  }
  for (const [signal, value] of values) {
    const place = places.get(signal);
    place?.steps.push({ afterNs: 0, line: place.line, value });
  }
  for (; i < edges.length && edges.timeNs(i) <= toNs; i++) {
    const place = places.get(edges.signal(i));
    const value = edges.value(i);
    // While a value is not known, the line stays as it is.
    if (place === undefined || value === undefined) continue;
    const afterNs = Math.round((edges.timeNs(i) - fromNs) / speed);
    place.steps.push({ afterNs, line: place.line, value });
  }
  const planned = [...parts].map(([aggregator, part]) => ({
    aggregator,
    ...part,
  })).filter(({ steps }) => steps.length > 0);
  if (planned.length === 0) {
    throw new ConfigError("the file has nothing to play", {
      hint: (leftOut[0] === undefined ? "" : `${leftOut[0]}. `) +
        "Map signals to simulated lines: --map A=press.START",
    });
  }
  return {
    parts: planned,
    leftOut,
    durationNs: Math.round((toNs - fromNs) / speed),
  };
}

function mappedTargets(
  signals: readonly Signal[],
  aggregators: readonly AggregatorState[],
  map: ReadonlyMap<string, string>,
): Map<number, NamedLine> {
  const targets = new Map<number, NamedLine>();
  for (const [signal, text] of mappedSignals(signals, map)) {
    const found = findLine(text, aggregators);
    if (found === undefined) {
      throw noSuchLine(text, aggregators);
    }
    if (!isSimulated(found)) {
      throw new ConfigError(`${text} is not a simulated line`, {
        path: "--map",
        hint: `gpioagg show ${found.aggregator} shows its source`,
      });
    }
    const other = [...targets].find(([, { line, aggregator }]) =>
      line.lineNumber === found.line.lineNumber &&
      aggregator === found.aggregator
    );
    if (other !== undefined) {
      throw new ConfigError(
        `plays ${signalText(signals[other[0]]!)} and ` +
          `${signalText(signals[signal]!)} into ${text}`,
        { path: "--map", hint: "A line takes one signal" },
      );
    }
    targets.set(signal, found);
  }
  return targets;
}

/** Takes signals that have the names of inputs that are simulated. */
function equalTargets(
  signals: readonly Signal[],
  aggregators: readonly AggregatorState[],
  leftOut: string[],
): Map<number, NamedLine> {
  const targets = new Map<number, NamedLine>();
  for (const [i, signal] of signals.entries()) {
    const text = signalText(signal);
    const found = resolveLine(text, aggregators);
    if (found === undefined) leftOut.push(`${text}: no line has this name`);
    else if (!isSimulated(found)) leftOut.push(`${text}: it is not simulated`);
    else if (found.line.direction === "output") {
      leftOut.push(`${text}: its guest drives it`);
    } else targets.set(i, found);
  }
  return targets;
}

function resolveLine(
  text: string,
  aggregators: readonly AggregatorState[],
): NamedLine | undefined {
  try {
    return findLine(text, aggregators);
  } catch (error) {
    if (error instanceof NotThereError) return undefined;
    throw error;
  }
}

function isSimulated({ line }: NamedLine): boolean {
  return /^simulated/.test(line.source);
}
