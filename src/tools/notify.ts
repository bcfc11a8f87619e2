/**
 * `gpionotify`: watches lines being requested, released and reconfigured.
 *
 * @module
 */
import type { Chip } from "../gpio/chip.ts";
import { LineError } from "../gpio/errors.ts";
import type { LineInfoEvent } from "../gpio/line_info.ts";
import { waitForEvents } from "../gpio/wait.ts";
import { type ToolMain, toolMain } from "./program/command.ts";
import { placeText } from "./events/edge_text.ts";
import { compileFormat } from "./events/event_format.ts";
import {
  bannerText,
  COMMON_SPECIFIERS,
  FORMAT_OPTION,
  IDLE_TIMEOUT_OPTION,
  Limits,
  LOCALTIME_OPTION,
  NUM_EVENTS_OPTION,
  pollMs,
  QUIET_OPTION,
  SILENT_OPTION,
  timeFormatter,
  UTC_OPTION,
} from "./events/event_options.ts";
import {
  attributesText,
  formatConsumer,
  jsonLine,
  lineMembers,
  UNNAMED,
} from "./lines/line_text.ts";
import { writeOut } from "./program/output.ts";
import {
  needLines,
  type SelectedLine,
  selectLines,
} from "./lines/selection.ts";
import type { SettingsOf } from "./program/settings.ts";
import { localText, wallClock } from "./events/timestamps.ts";
import { secondsText, utcText } from "../recording/time_text.ts";
import { explainError, ToolError } from "./program/tool_error.ts";
import {
  BANNER_OPTION,
  CHIPS_CHAPTER,
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
import { nameText } from "../text/names.ts";

const KINDS = ["requested", "released", "reconfigured"] as const;

const OPTIONS = [
  BANNER_OPTION,
  ...SELECTION_OPTIONS,
  {
    long: "event",
    short: "e",
    value: "event",
    completes: KINDS,
    help: [
      "watch only for this event: requested, released or reconfigured",
      "(default: all of them)",
    ],
    read: (text: string) => parseChoice(KINDS, text, "event"),
  },
  HELP_OPTION,
  FORMAT_OPTION,
  IDLE_TIMEOUT_OPTION,
  JSON_OPTION,
  LOCALTIME_OPTION,
  NUM_EVENTS_OPTION,
  QUIET_OPTION,
  SILENT_OPTION,
  STRICT_OPTION,
  UNQUOTED_OPTION,
  UTC_OPTION,
  VERSION_OPTION,
] as const;

/** The command line. */
export const USAGE = {
  operands: "<line>...",
  completes: "line",
  about: [
    "Waits for GPIO lines to be requested, released or reconfigured by any process,\nand prints these events.",
  ],
  options: OPTIONS,
  chapters: [CHIPS_CHAPTER, LINES_CHAPTER, PERIODS_CHAPTER, [
    "Format",
    `${COMMON_SPECIFIERS}
%e  the event as a number: 1 requested, 2 released, 3 reconfigured
%E  the event as a word: requested, released or reconfigured
%a  the line's attributes
%C  the line's consumer`,
  ], [
    "JSON",
    `{"event": "requested", "timestampNs": 32430091264, "line": "foo", ...}
and the members that gpioinfo --json prints for the line. With --banner, first
{"event": "ready", "lines": [...]}.`,
  ]],
} as const;

/** Settings of the command line. */
type Config = SettingsOf<typeof OPTIONS>;

/** An event and its line. */
interface Change {
  readonly line: SelectedLine;
  readonly event: LineInfoEvent;
}

/** Runs the tool. */
export const main: ToolMain = toolMain(USAGE, notify);

function notify(words: readonly string[], config: Config): number {
  needLines(words);
  if (config.json && config.format !== undefined) {
    throw new ToolError("can't combine json with format");
  }
  using stack = new DisposableStack();
  const lines = selectLines(words, config, stack);
  const chips = [...new Set(lines.map(({ chip }) => chip))];
  for (const { chip, info } of lines) {
    try {
      chip.watchLineInfo(info.offset);
    } catch (error) {
      throw watchError("unable to watch line on chip", chip, error);
    }
  }
  if (config.banner) {
    const ids = lines.map(({ id }) => id);
    writeOut(
      config.json
        ? jsonLine({ event: "ready", lines: ids })
        : bannerText("Watching", ids),
    );
  }
  const text = changeFormatter(config);
  const limits = new Limits(config.events, config.idleUs);
  while (limits.eventsLeft > 0) {
    const ready = waitForEvents(chips, pollMs(limits.waitMs));
    if (ready.length === 0 && limits.waitMs === 0) break;
    const changes = ready.flatMap((chip) => readChanges(chip, lines))
      .filter(({ event }) =>
        config.event === undefined || config.event === event.kind
      )
      .slice(0, limits.eventsLeft);
    if (changes.length === 0) continue;
    limits.count(changes.length);
    if (!config.quiet) writeOut(changes.map(text).join(""));
  }
  return 0;
}

function readChanges(chip: Chip, lines: readonly SelectedLine[]): Change[] {
  try {
    return chip.readInfoEvents().map((event) => ({
      event,
      line: lines.find((line) =>
        line.chip === chip && line.info.offset === event.info.offset
      )!,
    }));
  } catch (error) {
    throw watchError("error reading line info events on chip", chip, error);
  }
}

function watchError(what: string, chip: Chip, error: unknown): ToolError {
  if (!(error instanceof LineError)) throw error;
  return new ToolError(
    `${what} '${chip.path}': ${explainError(error)}`,
    { cause: error },
  );
}

/** Returns the function that formats events. */
function changeFormatter(
  { format, json, time, unquoted }: Config,
): (change: Change) => string {
  if (json) {
    return ({ line, event }) =>
      jsonLine({
        event: event.kind,
        timestampNs: event.timestampNs,
        line: line.id,
        ...lineMembers(line.chip.name, event.info),
      });
  }
  if (format !== undefined) {
    const text = compileFormat<Change>(format, {
      o: ({ event }) => `${event.info.offset}`,
      l: ({ event }) => nameText(event.info.name) || UNNAMED,
      c: ({ line }) => line.chip.name,
      e: ({ event }) => `${KINDS.indexOf(event.kind) + 1}`,
      E: ({ event }) => event.kind,
      a: ({ event }) => attributesText(event.info, unquoted),
      C: ({ event }) => nameText(formatConsumer(event.info) ?? "unused"),
      S: ({ event }) => secondsText(event.timestampNs),
      U: ({ event }) => utcText(wallClock(event.timestampNs)),
      L: ({ event }) => localText(wallClock(event.timestampNs)),
    });
    return (change) => `${text(change)}\n`;
  }
  const timeText = timeFormatter(time ?? "seconds");
  return ({ line, event }) => {
    const ns = time === undefined
      ? event.timestampNs
      : wallClock(event.timestampNs);
    return `${timeText(ns)}\t${event.kind}\t${placeText(line, unquoted)}\n`;
  };
}
