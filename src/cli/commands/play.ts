/**
 * `gpioagg play`.
 *
 * @module
 */
import { errnoText } from "../../../ffi/errno.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { sleep } from "../../async/wait.ts";
import type { ServiceClient } from "../../client/client.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { type Difference, firstDifference } from "../../recording/compare.ts";
import { readRecording } from "../../recording/read_recording.ts";
import {
  type Recording,
  RecordingError,
  type Signal,
  signalText,
} from "../../recording/recording.ts";
import { recordingWriter } from "../../recording/recording_writer.ts";
import { readPeriodUs } from "../../text/period.ts";
import { printableJson } from "../../text/printable.ts";
import { serviceEdges } from "../live/edge_source.ts";
import { selectLines } from "../live/selection.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import { writeError, writeLine, writeOutput } from "../output/output.ts";
import { OutputFile } from "../output/output_file.ts";
import { observe, type Observed } from "../play/observe.ts";
import { makePlan, parseMap } from "../play/plan.ts";
import { PlayClock } from "../play/play_clock.ts";
import { playPlan, type PlayResult } from "../play/play_plan.ts";
import { readPieces } from "../live/read_pieces.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** Slowest and fastest play. */
const MIN_SPEED = 0.001;
const MAX_SPEED = 1000;
const TOLERANCE_NS = 5e6;

/** The command line. */
export const USAGE = {
  name: "play",
  synopsis: [
    "FILE [--map SIGNAL=NAME.LINE...] [--speed N] [--loop]",
    "FILE --expect FILE [--tolerance TIME]",
  ],
  about:
    `Plays a recording into simulated lines of a running service: a value change dump
of any program, comma-separated values, or JSON lines, as gpioagg record and
gpioagg mon write them, or with a column for each signal (sigrok-cli -O csv); - is
standard input. Without --map, signals go to the simulated inputs of the same
names (press.START). The service's own timer decides when a line changes; how late
it was is printed at the end.`,
  operands: ["file"],
  options: {
    map: {
      kind: "values",
      value: "SIGNAL=NAME.LINE",
      help: "play this signal of the file into a line, and no others",
      completes: "signal-map",
    },
    speed: {
      kind: "value",
      value: "N",
      help: "play N times as fast (1)",
    },
    loop: { kind: "flag", help: "begin again at the end, until interrupted" },
    from: {
      kind: "value",
      value: "TIME",
      help: "begin this long after the beginning of the file, such as 10s",
    },
    to: {
      kind: "value",
      value: "TIME",
      help: "end this long after the beginning of the file",
    },
    save: {
      kind: "value",
      value: "FILE",
      help:
        "write what all lines of the aggregators did meanwhile as a VCD file",
      completes: "file",
    },
    expect: {
      kind: "value",
      value: "FILE",
      help:
        "compare with this file (of --save), and fail at the first difference",
      completes: "file",
    },
    tolerance: {
      kind: "value",
      value: "TIME",
      help: "let an edge come this much earlier or later than expected (5ms)",
    },
    json: JSON_OPTION,
    api: API_OPTION,
    help: HELP_OPTION,
  },
  after:
    "Exit status: 0 played, and as expected; 1 failed, or not as expected; 2 wrong " +
    "usage.",
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const [path, ...others] = given.rest;
  if (path === undefined || others.length > 0) {
    throw new ConfigError(
      path === undefined
        ? "missing FILE argument"
        : `unexpected argument "${others[0]}"`,
      { hint: "gpioagg play FILE --map A=press.START" },
    );
  }
  const map = parseMap(given.map);
  const fromNs = readTime("from", given.from) ?? 0;
  const toNs = readTime("to", given.to);
  const speed = readSpeed(given.speed);
  const toleranceNs = readTime("tolerance", given.tolerance) ?? TOLERANCE_NS;
  const recording = readFile(path, map);
  const expected = given.expect === undefined
    ? undefined
    : readFile(given.expect, new Map());
  const isObserved = given.save !== undefined || expected !== undefined;
  if (given.loop && isObserved) {
    throw new ConfigError("does not go with --save and --expect", {
      path: "--loop",
    });
  }
  const words = map.size > 0
    ? [...map.values()]
    : recording.signals.map(signalText);
  const client = await serviceOfLines(words, given.api, "change");
  const aggregators = await client.list();
  const plan = makePlan(recording, aggregators, {
    map,
    speed,
    fromNs,
    toNs,
  });
  const expectedWords = (expected?.signals ?? []).map(signalText);
  // A missing line is reported before anything is changed.
  if (expected !== undefined) selectLines(expectedWords, aggregators);
  if (given.loop && plan.durationNs === 0) {
    throw new ConfigError("a file without a duration cannot be repeated", {
      path: "--loop",
    });
  }
  for (const text of plan.leftOut) writeError(`not played: ${text}`);
  const clock = new PlayClock();
  const result = await untilSignal((signal) =>
    playPlan(client, plan, {
      loop: given.loop,
      signal,
      now: () => clock.nowNs,
      sleep: (ms) => sleepUntil(ms, signal),
    })
  );
  if (!isObserved || result.isCut) {
    report(result, given.json, undefined);
    return result.isCut && isObserved ? 1 : 0;
  }
  const lastNs = Math.max(plan.durationNs, expected?.endNs ?? 0) + toleranceNs;
  const observed = await observeRun(client, {
    words: [...plan.parts.map((part) => part.aggregator), ...expectedWords],
    fromNs: result.startNs,
    lastNs,
    save: given.save,
    clock,
  });
  const difference = expected === undefined
    ? undefined
    : firstDifference(expected, observed, toleranceNs);
  report(result, given.json, difference);
  return difference === undefined ? 0 : 1;
}

/** Waits for the end of a run, and returns what lines did in it. */
async function observeRun(
  client: ServiceClient,
  { save, words, fromNs, lastNs, clock }: Pick<Observed, "words"> & {
    /** Begin of the play, on its clock. */
    readonly fromNs: bigint;
    /** End of what is expected. **Units**: nanoseconds after `fromNs`. */
    readonly lastNs: number;
    readonly save: string | undefined;
    readonly clock: PlayClock;
  },
): Promise<Recording> {
  const endNs = fromNs + BigInt(lastNs);
  const ms = Number((endNs - clock.nowNs) / 1_000_000n) + 1;
  if (ms > 0) await sleep(ms);
  // The last steps may have been late.
  const { nowNs } = clock;
  // Edges of the past have the times of the wall clock as it is set now.
  const stepNs = clock.stepNs();
  using stack = new DisposableStack();
  const file = save === undefined ? undefined : stack.use(new OutputFile(save));
  return await observe(serviceEdges(client), {
    words: [...new Set(words)],
    fromNs: fromNs + stepNs,
    toNs: (nowNs > endNs ? nowNs : endNs) + stepNs,
    files: file === undefined ? [] : [{
      createWriter: (start) => recordingWriter("vcd", start),
      write: (text) => file.write(text),
    }],
  });
}

function readFile(path: string, map: ReadonlyMap<string, string>): Recording {
  const isWanted = (signal: Signal) =>
    map.size === 0 || map.has(signal.name) || map.has(signalText(signal));
  try {
    return readRecording(readPieces(path), isWanted);
  } catch (error) {
    const name = path === "-" ? "standard input" : path;
    if (error instanceof RecordingError) {
      throw new ConfigError(`cannot read ${name}: ${error.message}`, {
        hint:
          "It must be a value change dump, a table of gpioagg record or mon, " +
          "or one with a column for each line",
        cause: error,
      });
    }
    if (!isOsError(error)) throw error;
    throw new Error(
      `Cannot read ${name}: ${errnoText(error.errno)} (${error.code})`,
      { cause: error },
    );
  }
}

function readTime(key: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ns = (readPeriodUs(text) ?? NaN) * 1000;
  if (Number.isSafeInteger(ns)) return ns;
  throw new ConfigError(`"${text}" is not a valid time`, {
    path: `--${key}`,
    hint: "Write 500ms, 10s or 2m",
  });
}

function readSpeed(text: string | undefined): number {
  if (text === undefined) return 1;
  const speed = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (speed >= MIN_SPEED && speed <= MAX_SPEED) return speed;
  throw new ConfigError(`"${text}" is not a valid speed`, {
    path: "--speed",
    hint: `Write ${MIN_SPEED} to ${MAX_SPEED}`,
  });
}

function report(
  result: PlayResult,
  isJson: boolean,
  difference: Difference | undefined,
): void {
  const { played, medianLateUs, worstLateUs } = result;
  if (difference !== undefined) {
    writeError(`not as expected: ${difference.text}`);
  }
  if (isJson) {
    writeOutput(printableJson({
      played,
      medianLateUs,
      worstLateUs,
      ...(difference === undefined ? {} : { difference: difference.text }),
    }));
    return;
  }
  writeLine(
    `played ${played} ${played === 1 ? "change" : "changes"}, late by ` +
      `${usText(medianLateUs)} (median), ${usText(worstLateUs)} (worst)`,
  );
}

function usText(us: number): string {
  return us < 10_000 ? `${us} us` : `${(us / 1000).toFixed(0)} ms`;
}

/** Runs an action with a signal that SIGINT and SIGTERM abort. */
async function untilSignal<T>(
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    return await action(abort.signal);
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

/** Sleeps, but not beyond an abort. */
function sleepUntil(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
