/**
 * `gpioagg top`.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { readPeriodUs } from "../../text/period.ts";
import { serviceEdges } from "../live/edge_source.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import { writeError } from "../output/output.ts";
import { showOnce, showTop } from "../top/session.ts";
import { terminalKind } from "../top/terminal_kind.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { optionalName } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** Shortest and longest time of the waves. **Units**: milliseconds. */
const MIN_WINDOW_MS = 10;
const MAX_WINDOW_MS = 3_600_000;

/** The command line. */
export const USAGE = {
  name: "top",
  synopsis: ["[NAME] [--window TIME] [--once]"],
  about:
    `Shows the lines of a running service, or of one of its aggregators, with their
values and waves, as they change. Keys:

  up, down, j, k   select a line
  enter            show all about it: source, rules, what drives it since when
  /                show lines with this in their name; Esc: all
  space            pause
  +, -             shorter, longer time
  0, 1, p          pull a simulated line low or high, or pulse it for 200 ms
  r                sort by the last change
  s                save what the service keeps of the shown lines as a VCD file
  q                quit

A character with several edges is drawn as a block, never as a level.`,
  operands: ["aggregator"],
  options: {
    window: {
      kind: "value",
      value: "TIME",
      help: "time that the waves show at first (10s)",
    },
    once: {
      kind: "flag",
      help: "print one picture; for scripts, and where there is no terminal",
    },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const name = optionalName(given, "gpioagg top [NAME]");
  const windowMs = readWindow(given.window);
  const hasTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  const kind = terminalKind();
  if (!given.once && (!hasTerminal || kind.isDumb)) {
    const why = hasTerminal
      ? "the terminal cannot move its cursor (TERM=dumb)"
      : "there is no terminal";
    throw Object.assign(
      new Error(`Cannot show lines as they change: ${why}`),
      { hint: "gpioagg top --once prints one picture" },
    );
  }
  const words = name === undefined ? [] : [name];
  const client = await serviceOfLines(words, given.api, "look");
  const options = {
    source: serviceEdges(client),
    name,
    windowMs,
    kind,
    /** Only when a line is pulled: looking needs less. */
    changing: () => serviceOfLines(words, given.api, "change"),
  };
  if (given.once) {
    await showOnce(options);
    return 0;
  }
  const end = await showTop(options);
  if (end.kind === "signal") return 128 + end.number;
  if (end.kind === "quit") return 0;
  writeError("the service has ended");
  return 1;
}

function readWindow(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = (readPeriodUs(text) ?? NaN) / 1000;
  if (ms >= MIN_WINDOW_MS && ms <= MAX_WINDOW_MS) return ms;
  throw new ConfigError(`"${text}" is not a valid time`, {
    path: "--window",
    hint: "Write 500ms, 10s or 5m; 10ms to 1h",
  });
}
