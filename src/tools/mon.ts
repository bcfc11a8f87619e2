/**
 * `gpiomon`: watches lines for edges.
 *
 * @module
 */
import { clockNs } from "../../ffi/clock.ts";
import type {
  EdgeSetting,
  EventClock,
  LineSettings,
} from "../gpio/line_settings.ts";
import { EdgeReader } from "./events/edge_reader.ts";
import {
  CSV_HEADER,
  edgeFormatter,
  type EdgeText,
} from "./events/edge_text.ts";
import {
  bannerText,
  COMMON_SPECIFIERS,
  FORMAT_OPTION,
  IDLE_TIMEOUT_OPTION,
  Limits,
  LOCALTIME_OPTION,
  NUM_EVENTS_OPTION,
  QUIET_OPTION,
  SILENT_OPTION,
  UTC_OPTION,
} from "./events/event_options.ts";
import { jsonLine, type ShownLine } from "./lines/line_text.ts";
import { parsePeriod } from "./program/numbers.ts";
import { printError, writeOut } from "./program/output.ts";
import { consumerLabel, readValues, requestLines } from "./lines/requests.ts";
import { needLines, selectLines } from "./lines/selection.ts";
import type { SettingsOf } from "./program/settings.ts";
import { findErrnoCode, ToolError } from "./program/tool_error.ts";
import {
  ACTIVE_LOW_OPTION,
  BANNER_OPTION,
  BIAS_OPTION,
  CHIPS_CHAPTER,
  CONSUMER_OPTION,
  HELP_OPTION,
  JSON_OPTION,
  LINES_CHAPTER,
  parseChoice,
  PERIODS_CHAPTER,
  SELECTION_OPTIONS,
  STRICT_OPTION,
  UNQUOTED_OPTION,
  VERSION_OPTION,
} from "./program/usage.ts";
import { valuesText } from "./lines/values_text.ts";
import { type Timescale, TIMESCALES } from "../recording/vcd_writer.ts";
import { VcdFile } from "./events/vcd_file.ts";

const EDGES: readonly EdgeSetting[] = ["falling", "rising", "both"];
const TICKS = Object.keys(TIMESCALES) as Timescale[];
const CLOCKS: readonly EventClock[] = ["monotonic", "realtime", "hte"];

const OPTIONS = [
  BANNER_OPTION,
  BIAS_OPTION,
  ...SELECTION_OPTIONS,
  CONSUMER_OPTION,
  {
    long: "csv",
    help: ["print comma-separated values, with a head line"],
    extension: true,
  },
  {
    long: "debounce-period",
    short: "p",
    value: "period",
    help: ["ignore changes that last less than this"],
    sets: "debounceUs",
    read: parseDebounce,
  },
  {
    long: "edges",
    short: "e",
    value: "edges",
    completes: EDGES,
    help: ["watch for rising or falling edges, or both", "(default: both)"],
    read: (text: string) => parseChoice(EDGES, text, "edges"),
  },
  {
    long: "event-clock",
    short: "E",
    value: "clock",
    completes: CLOCKS,
    help: [
      "stamp events by the clock monotonic, realtime or hte",
      "(default: monotonic; realtime with --utc or --localtime)",
    ],
    sets: "clock",
    read: (text: string) => parseChoice(CLOCKS, text, "event clock"),
  },
  HELP_OPTION,
  FORMAT_OPTION,
  IDLE_TIMEOUT_OPTION,
  {
    long: "initial-state",
    short: "I",
    help: ["print the lines' values first"],
    // libgpiod 2.3 has these two, but up to 2.2 `--i` meant --idle-timeout.
    extension: true,
  },
  JSON_OPTION,
  ACTIVE_LOW_OPTION,
  LOCALTIME_OPTION,
  NUM_EVENTS_OPTION,
  {
    long: "numeric",
    short: "N",
    help: ["print first values as 0 and 1, without names"],
    // And `--num` meant --num-events.
    extension: true,
  },
  QUIET_OPTION,
  SILENT_OPTION,
  STRICT_OPTION,
  UNQUOTED_OPTION,
  UTC_OPTION,
  {
    long: "vcd",
    value: "file",
    completes: "file",
    help: [
      "also record the lines as a value change dump in this file;",
      "with -, print only the dump to standard output",
    ],
    extension: true,
  },
  {
    long: "vcd-timescale",
    value: "unit",
    help: [
      "let a tick of the dump be 1ns, 10ns, 100ns, 1us, 10us, 100us or 1ms",
      "(default: 1us, with which sigrok can read long records)",
    ],
    completes: TICKS,
    sets: "timescale",
    read: (text: string) => parseChoice(TICKS, text, "timescale"),
    extension: true,
  },
  VERSION_OPTION,
] as const;

/** The command line. */
export const USAGE = {
  operands: "<line>...",
  completes: "line",
  about: [
    "Waits for edges on GPIO lines and prints them.",
    "Events that the kernel dropped are counted and reported on standard error.",
  ],
  options: OPTIONS,
  chapters: [CHIPS_CHAPTER, LINES_CHAPTER, PERIODS_CHAPTER, [
    "Format",
    `${COMMON_SPECIFIERS}
%e  the edge as a number: 1 rising, 2 falling
%E  the edge as a word: rising or falling`,
  ], [
    "JSON",
    `{"event": "rising", "timestampNs": 32430091264, "line": "foo",
 "chip": "gpiochip0", "offset": 3, "name": "foo", "value": 1, "seqno": 7,
 "lineSeqno": 5}
event is rising or falling; or initial (--initial-state), with the value; or lost,
with the count of events that are missing; or ready (--banner), with the lines.`,
  ]],
} as const;

const MOST_DEBOUNCE_US = 2 ** 32 - 1;
/** Shortest interval of reports of lost events. */
const LOST_REPORT_MS = 1000;

/** Settings of the command line. */
export type Config = SettingsOf<typeof OPTIONS>;

function parseDebounce(text: string): number {
  const us = parsePeriod(text);
  if (us > MOST_DEBOUNCE_US) {
    throw new ToolError(
      `maximum debounce period is ${MOST_DEBOUNCE_US}us, got ${us}us`,
    );
  }
  return us;
}

/** @throws {ToolError} If options contradict each other. */
export function checkCombination(config: Config): void {
  const { edges = "both" } = config;
  const styles = [
    config.json ? "json" : "",
    config.csv ? "csv" : "",
    config.format !== undefined ? "format" : "",
  ].filter((name) => name !== "");
  if (styles.length > 1) {
    throw new ToolError(`can't combine ${styles[0]} with ${styles[1]}`);
  }
  if (config.vcd !== undefined && edges !== "both") {
    throw new ToolError(`can't combine vcd with edges=${edges}`);
  }
}

/** Watches lines of this host. */
export function monitor(
  words: readonly string[],
  config: Config,
  programName: string,
): number {
  needLines(words);
  checkCombination(config);
  using stack = new DisposableStack();
  let clock = config.clock ??
    (config.time === undefined ? "monotonic" : "realtime");
  const lines = selectLines(words, config, stack);
  const settings: LineSettings = {
    direction: "input",
    edge: config.edges ?? "both",
    bias: config.bias,
    activeLow: config.activeLow,
    debouncePeriodUs: config.debounceUs,
  };
  const request = (eventClock: EventClock) =>
    requestLines(lines, {
      consumer: consumerLabel(config.consumer, programName),
      settings: () => ({ ...settings, eventClock }),
    }, stack);
  const startAt = performance.now();
  const taken = withEventClock(clock, config.clock !== undefined, request);
  const { groups } = taken;
  clock = taken.clock;
  // The record begins before the first edge can arrive.
  const startNs = clock === "hte"
    ? undefined
    : clockNs(clock) - BigInt(Math.ceil((performance.now() - startAt) * 1e6));
  // Only now: an earlier dump is not truncated if the lines are in use.
  const dump = config.vcd === undefined
    ? undefined
    : stack.use(new VcdFile(config.vcd));
  if (config.initialState || dump !== undefined) {
    const values = readValues(groups);
    const { timescale = "1us" } = config;
    dump?.begin({ programName, lines, values, startNs, timescale });
    // Rows of values would not fit below the head line of a table.
    if (config.initialState && !config.csv && config.vcd !== "-") {
      writeOut(valuesText(lines, values, config, { event: "initial" }));
    }
  }
  const quiet = config.quiet || config.vcd === "-";
  if (config.csv && !quiet) writeOut(CSV_HEADER);
  if (config.banner) printBanner(lines, config);
  const text = quiet ? undefined : edgeFormatter(lines, {
    style: config.json ? "json" : config.csv ? "csv" : "text",
    format: config.format,
    time: config.time ?? (clock === "realtime" ? "utc" : "seconds"),
    unquoted: config.unquoted,
    toWall: taken.isSubstitute,
  });
  const reader = new EdgeReader(groups, lines.length);
  const limits = new Limits(config.events, config.idleUs);
  const report = config.quiet && dump === undefined
    ? () => {}
    : (message: string) => printError(programName, message);
  watch(reader, limits, text, dump, report);
  if (clock !== "hte") dump?.end(clockNs(clock));
  return 0;
}

/**
 * Requests lines with a clock. Linux 5.10 has no realtime clock for events:
 * unless it was requested by name, the monotonic clock replaces it.
 */
export function withEventClock<Groups>(
  clock: EventClock,
  isExplicit: boolean,
  request: (clock: EventClock) => Groups,
): { groups: Groups; clock: EventClock; isSubstitute: boolean } {
  try {
    return { groups: request(clock), clock, isSubstitute: false };
  } catch (error) {
    const isUnknown = clock === "realtime" && !isExplicit &&
      findErrnoCode(error) === "EINVAL";
    if (!isUnknown) throw error;
    const groups = request("monotonic");
    return { groups, clock: "monotonic", isSubstitute: true };
  }
}

/** Prints and records edges until the limit is reached. */
function watch(
  reader: EdgeReader,
  limits: Limits,
  text: EdgeText | undefined,
  dump: VcdFile | undefined,
  report: (message: string) => void,
): void {
  const { lost } = reader;
  let reportAt = -Infinity;
  const reportLost = () => {
    if (!lost.pending) return;
    reportAt = performance.now() + LOST_REPORT_MS;
    const count = lost.takeReport();
    report(
      `${count} events were lost, ${lost.total} in all: ` +
        "they arrived faster than they could be read",
    );
  };
  while (limits.eventsLeft > 0) {
    const untilReport = lost.pending
      ? Math.max(0, reportAt - performance.now())
      : Infinity;
    const edges = reader.read(
      Math.min(limits.waitMs, untilReport),
      limits.eventsLeft,
    );
    if (edges.length > 0) {
      limits.count(edges.length);
      dump?.add(edges);
      if (text !== undefined) writeOut(edges.map(text).join(""));
    } else if (limits.waitMs === 0) break;
    if (performance.now() >= reportAt) reportLost();
  }
  reportLost();
}

/** Prints that the lines are watched. */
export function printBanner(lines: readonly ShownLine[], config: Config): void {
  const ids = lines.map(({ id }) => id);
  // A file of values or a dump has no place for a sentence.
  if (config.csv || config.vcd === "-") return;
  writeOut(
    config.json
      ? jsonLine({ event: "ready", lines: ids })
      : bannerText("Monitoring", ids),
  );
}
