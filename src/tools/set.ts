/**
 * `gpioset`: drives lines.
 *
 * @module
 */
import type { DriveSetting, LineSettings } from "../gpio/line_settings.ts";
import type { Value } from "../line/value.ts";
import { type ToolMain, toolMain } from "./program/command.ts";
import { bannerText } from "./events/event_options.ts";
import { outputJson } from "./lines/output_lines.ts";
import { parseAssignment } from "./lines/line_values.ts";
import { parsePeriod } from "./program/numbers.ts";
import { printError, writeOut } from "./program/output.ts";
import { consumerLabel, readValues, requestLines } from "./lines/requests.ts";
import { type SelectedLine, selectLines } from "./lines/selection.ts";
import {
  handOver,
  HELD_OPTION,
  type Received,
  takeOver,
} from "./set/daemon.ts";
import {
  type Before,
  LEAVE_WORDS,
  type LeaveState,
  LeaveStates,
  planLeave,
} from "./set/leave.ts";
import { Outputs } from "./set/outputs.ts";
import { parseToggles, toggleSteps } from "./set/toggle.ts";
import {
  ChipGone,
  Ended,
  plainWaits,
  SignalWaits,
  type Waits,
} from "./set/wait.ts";
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

const DRIVES: readonly DriveSetting[] = [
  "push-pull",
  "open-drain",
  "open-source",
];

const OPTIONS = [
  BANNER_OPTION,
  BIAS_OPTION,
  ...SELECTION_OPTIONS,
  CONSUMER_OPTION,
  {
    long: "drive",
    short: "d",
    value: "drive",
    completes: DRIVES,
    help: [
      "drive the lines push-pull, open-drain or open-source",
      "(default: push-pull)",
    ],
    read: (text: string) => parseChoice(DRIVES, text, "drive"),
  },
  HELD_OPTION,
  HELP_OPTION,
  {
    long: "interactive",
    short: "i",
    help: ["set the lines, then wait for commands; 'help' lists them"],
  },
  JSON_OPTION,
  ACTIVE_LOW_OPTION,
  {
    long: "leave",
    value: "state",
    help: ["leave the lines in this state at the end (see below)"],
    extension: true,
    completes: ["0", "1", ...LEAVE_WORDS],
    read: (text: string, before: LeaveStates = new LeaveStates()) => {
      before.add(text);
      return before;
    },
  },
  {
    long: "hold-period",
    short: "p",
    value: "period",
    help: ["hold each value for at least this long"],
    sets: "holdUs",
    read: parsePeriod,
  },
  STRICT_OPTION,
  {
    long: "toggle",
    short: "t",
    value: "period[,period]...",
    help: [
      "toggle the lines after these periods, repeatedly;",
      "a last period of 0 ends the program",
    ],
    sets: "togglesUs",
    read: parseToggles,
  },
  UNQUOTED_OPTION,
  VERSION_OPTION,
  {
    long: "daemonize",
    short: "z",
    help: ["set the lines, then continue in the background"],
  },
] as const;

/** The command line. */
export const USAGE = {
  operands: "<line=value>...",
  completes: "line-value",
  about: [
    "Sets GPIO lines and holds them until the program ends.",
    "A value is 1, active, on or true; or 0, inactive, off or false.",
  ],
  options: OPTIONS,
  chapters: [CHIPS_CHAPTER, LINES_CHAPTER, PERIODS_CHAPTER, [
    "State at the end",
    `When the program ends, the lines are released, and the kernel promises
nothing about them; most drivers keep their last state. With --leave, that state
is an inactive or active output (0, 1, off, on, ...), an input (input), the
line's state before (previous), or its last state (as-is, the default).
LINE=STATE is for one line: --leave input,ALARM=1. It is set when the program
ends by itself and on SIGINT, SIGTERM and SIGHUP.`,
  ], [
    "JSON",
    `{"line": "foo", "chip": "gpiochip0", "offset": 3, "value": 1}
for each line that is set, and again whenever it is toggled.`,
  ]],
} as const;

/** Settings of the command line. */
type Config = SettingsOf<typeof OPTIONS>;

/** Runs the tool. */
export const main: ToolMain = toolMain(USAGE, set);

async function set(
  words: readonly string[],
  config: Config,
  programName: string,
  args: readonly string[],
): Promise<number> {
  if (words.length === 0) {
    throw new ToolError("at least one GPIO line value must be specified");
  }
  const wanted = words.map(parseAssignment);
  checkCombination(config);
  using stack = new DisposableStack();
  // From here on a signal may arrive: the banner shows that the lines are held.
  const waits = config.leave === undefined ? undefined : new SignalWaits();
  if (config.held !== undefined) {
    leaveDirectory();
    const makeSettings = (value: Value) => outputSettings(config, value);
    const given = takeOver(config.held, makeSettings, stack);
    return await hold(given, config, waits, programName);
  }
  const lines = selectLines(wanted.map(([id]) => id), config, stack);
  const values = lines.map(({ word }) => wanted[word]![1]);
  const ids = lines.map(({ id }) => id);
  const leave = config.leave?.of(ids) ?? [];
  const given = takeLines(lines, values, leave, config, programName, stack);
  if (config.banner) writeOut(bannerText("Setting", ids));
  if (config.json) writeOut(valuesJson(given.outputs));
  if (config.daemonize) {
    handOver(given.outputs, given.before, args);
    return 0;
  }
  return await hold(given, config, waits, programName);
}

function checkCombination(config: Config): void {
  if (!config.interactive) return;
  if (config.togglesUs !== undefined) {
    throw new ToolError("can't combine interactive with toggle");
  }
  if (config.daemonize) {
    throw new ToolError("can't combine interactive with daemonize");
  }
}

function outputSettings(config: Config, value: Value): LineSettings {
  return {
    direction: "output",
    outputValue: value,
    bias: config.bias,
    drive: config.drive ?? "push-pull",
    activeLow: config.activeLow,
  };
}

/** Requests the lines, after reading their state if it is needed. */
function takeLines(
  lines: readonly SelectedLine[],
  values: readonly Value[],
  leave: readonly LeaveState[],
  config: Config,
  programName: string,
  stack: DisposableStack,
): Received {
  const ids = lines.map(({ id }) => id);
  const settings = values.map((value) => outputSettings(config, value));
  const look = leave.includes("previous");
  const groups = requestLines(lines, {
    consumer: consumerLabel(config.consumer, programName),
    settings: (index) =>
      look
        ? { direction: "as-is", activeLow: config.activeLow }
        : settings[index]!,
  }, stack);
  const outputs = new Outputs(ids, groups, values);
  if (!look) return { outputs, before: [] };
  const before: Before[] = readValues(groups).map((value, index) => ({
    direction: lines[index]!.info.direction,
    value,
  }));
  outputs.reconfigure(new Map(settings.entries()));
  return { outputs, before };
}

/** Holds the lines and runs the requested mode. */
async function hold(
  { outputs, before }: Received,
  config: Config,
  waits: SignalWaits | undefined,
  programName: string,
): Promise<number> {
  const requests = outputs.groups.map(({ request }) => request);
  let hasFailed = false;
  const report = (error: ToolError) => {
    hasFailed = true;
    for (const line of error.lines) printError(programName, line);
  };
  if (config.leave === undefined || waits === undefined) {
    try {
      await drive(
        outputs,
        config,
        plainWaits(requests),
        (work) => work,
        report,
      );
    } catch (error) {
      if (!(error instanceof ChipGone)) throw error;
      return chipGone(programName);
    }
    return hasFailed ? 1 : 0;
  }
  waits.held = requests;
  const plan = planLeave(config.leave.of(outputs.ids), before, {
    direction: "input",
    bias: config.bias,
    activeLow: config.activeLow,
  });
  let ended: Deno.Signal | undefined;
  let isGone = false;
  try {
    await drive(
      outputs,
      config,
      waits,
      (work) => waits.during(work),
      report,
    );
  } catch (error) {
    // No state can be left on a chip that is gone.
    if (error instanceof ChipGone) isGone = true;
    else if (error instanceof Ended) ended = error.signal;
    else throw error;
  } finally {
    if (!isGone) {
      outputs.setValues(plan.values);
      outputs.reconfigure(plan.settings);
    }
  }
  if (isGone) return chipGone(programName);
  if (ended !== undefined) {
    waits.exitBySignal(ended);
    await plainWaits().wait(Infinity);
  }
  return hasFailed ? 1 : 0;
}

/** Reports why the program ends; libgpiod's ends with success, and silently. */
function chipGone(programName: string): number {
  printError(programName, "the chip was removed, and the lines with it");
  return 0;
}

/** Returns true if a chip refused because it is gone. */
function isChipGone(error: ToolError): boolean {
  return findErrnoCode(error) === "ENODEV";
}

async function drive(
  outputs: Outputs,
  config: Config,
  waits: Waits,
  during: (work: Promise<void>) => Promise<void>,
  report: (error: ToolError) => void,
): Promise<void> {
  const { holdUs = 0, togglesUs = [], interactive, json, unquoted } = config;
  if (interactive) {
    const { runSession } = await import("./set/interactive/session.ts");
    if (holdUs > 0) await waits.wait(holdUs);
    const session = runSession(outputs, {
      unquoted,
      json,
      holdUs,
      sleep: (us) => waits.wait(us),
      report,
    });
    await during(session);
  } else if (togglesUs.length === 0) {
    await waits.wait(Infinity);
  } else {
    for (const { waitUs, end } of toggleSteps(togglesUs, holdUs)) {
      await waits.wait(waitUs);
      if (end) return;
      try {
        outputs.toggle();
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        if (isChipGone(error)) throw new ChipGone();
        // The lines stay held; the next toggle may succeed.
        report(error);
      }
      if (json && config.held === undefined) writeOut(valuesJson(outputs));
    }
  }
}

function valuesJson(outputs: Outputs): string {
  return outputs.ids.map((_, index) => outputJson(outputs, index)).join("");
}

/** A background program must not keep a file system busy. */
function leaveDirectory(): void {
  try {
    Deno.chdir("/");
  } catch (error) {
    // Without the permission it keeps its directory.
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
}
