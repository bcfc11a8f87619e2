/**
 * `gpioagg safe`: puts lines into their safe state, without a guest.
 *
 * @module
 */
import type { Line } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { parsePeriodUs } from "../../config/values/values.ts";
import {
  type AggregatorSpecification,
  type LineSpecification,
  lineTitle,
} from "../../config/specification.ts";
import {
  addEach,
  separated,
  separatedInterlocks,
} from "../../service/separate_lines.ts";
import { ReactorClient } from "../../service/reactor/reactor_client.ts";
import { UnsafeLinesError } from "../../service/messages/unsafe_lines_error.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { writeError, writeInBackground } from "../output/output.ts";
import { linesOfFile, linesOfSpecs } from "../arguments/safe_lines.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** Time limit of retries without `--retry-for`, as text. */
const RETRY_FOR = "5s";

/** The command line. */
export const USAGE = {
  name: "safe",
  synopsis: ["SPEC...", "--config FILE"],
  about:
    `Puts lines into the state that their SPECs declare for a missing guest (safe=,
on-disconnect=), and releases them. gpioagg run does so with its lines when it is
killed. A line that is busy, or whose chip refuses it, is retried for a while.
The exit status is 0 only if all lines are in their safe state; each other line
is reported with the reason, and the rest are made safe.

An output gets its safe value. A line that is an input now is driven only with
direction=output in its SPEC; otherwise it stays an input, which is an error:

  gpioagg safe gpiochip0/4,direction=output,safe=1

With --config, the lines are those of a service's file that have a safe state, and
its interlocks hold; the service must have ended, since its lines are busy while it
runs.`,
  operands: ["spec"],
  options: {
    line: {
      kind: "values",
      value: "SPEC",
      help: "the same as SPEC, as for gpioagg serve",
      completes: "spec",
    },
    config: {
      kind: "value",
      value: "FILE",
      help: "the lines of FILE that have a safe state, instead of SPECs",
      completes: "file",
    },
    "leave-inputs": {
      kind: "flag",
      help: "an input that stays one is no error: no guest drove it",
    },
    "retry-for": {
      kind: "value",
      value: "TIME",
      help: `time limit of retries (${RETRY_FOR})`,
    },
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const specs = [...given.line, ...given.rest];
  const limitMs = readLimitMs(given["retry-for"] ?? RETRY_FOR);
  const lines = given.config === undefined
    ? linesOfSpecs(specs)
    : await linesOfFile(given.config, specs);
  if (lines === undefined) return 2;
  let { interlocks } = lines;
  // The lines are made safe even if the output cannot be written.
  writeInBackground();
  using reactor = await ReactorClient.start({
    // At once, and not only at the end: the user may have a switch in reach.
    service: ({ event, detail }) => {
      if (event === "fault" || event === "enforced") writeError(detail);
    },
    idle: () => {},
    crashed: (error) => {
      throw error;
    },
  });
  // Stored before the lines exist: none may be driven against one.
  await reactor.setInterlocks(interlocks);
  const separate = async (aggregator: AggregatorSpecification) => {
    interlocks = separatedInterlocks(interlocks, aggregator);
    await reactor.setInterlocks(interlocks);
    return separated(aggregator);
  };
  // A failure of one aggregator keeps no other from being made safe.
  const results = await Promise.allSettled(
    lines.aggregators.map((aggregator) =>
      makeSafe(reactor, aggregator, limitMs, {
        separate,
        checkInputs: given["leave-inputs"] ? () => true : reportInputs,
      })
    ),
  );
  let isWhole = true;
  for (const result of results) {
    if (result.status === "rejected") throw result.reason;
    isWhole &&= result.value;
  }
  if (!isWhole) return 1;
  await reactor.shutdown();
  return 0;
}

/** @throws {ConfigError} If it is not a duration. */
function readLimitMs(text: string): number {
  const us = parsePeriodUs(text);
  if (us !== undefined) return us / 1000;
  throw new ConfigError(`"${text}" is not a valid duration`, {
    path: "--retry-for",
    hint: "Write a number with us, ms or s, below an hour: 30s",
  });
}

/** Parts of the work that all aggregators share. */
interface SafeOptions {
  /** Returns the lines one by one; interlocks between them hold as before. */
  readonly separate: (
    aggregator: AggregatorSpecification,
  ) => Promise<AggregatorSpecification[]>;
  /** Returns false if an input is an error. */
  readonly checkInputs: typeof reportInputs;
}

/**
 * Requests the lines and applies their rules; if some cannot be requested, the
 * others only. A busy line is retried: a killed process releases it only when
 * its last ioctl is over. So is one whose chip rejects it.
 *
 * @returns True if all are in their safe state.
 */
async function makeSafe(
  reactor: ReactorClient,
  aggregator: AggregatorSpecification,
  limitMs: number,
  { separate, checkInputs }: SafeOptions,
): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  const leftMs = () => Math.max(0, deadline - performance.now());
  try {
    const [added] = await reactor.add([aggregator]);
    const areDriven = checkInputs(aggregator.lines, added!.lines);
    return await letGo(reactor, aggregator, leftMs()) && areDriven;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
  }
  // A line that is gone, or that another process has requested, does not keep
  // the others from being made safe.
  const ends: Promise<boolean>[] = [];
  const parts = await separate(aggregator);
  await addEach((some) => reactor.add(some), parts, leftMs, {
    added: (alone, description) => {
      if (!checkInputs(alone.lines, description.lines)) {
        ends.push(Promise.resolve(false));
      }
      ends.push(letGo(reactor, alone, leftMs()));
    },
    refused: (_alone, error) => {
      ends.push(Promise.resolve(false));
      const reason = error instanceof Error ? error.message : String(error);
      writeError(`not in its safe state: ${reason}`);
    },
  });
  return (await Promise.all(ends)).every((isSafe) => isSafe);
}

/**
 * Reports lines with a safe value that are inputs. They are not driven: another
 * device may drive the wire, and only `direction=output` rules that out.
 *
 * @returns True if there are none.
 */
function reportInputs(
  lines: readonly LineSpecification[],
  states: readonly Line[],
): boolean {
  let areDriven = true;
  for (const [i, line] of lines.entries()) {
    if (line.onDisconnect !== "safe" || line.direction === "output") continue;
    if (states[i]!.direction !== "input") continue;
    areDriven = false;
    writeError(
      `${lineTitle(line)}: not in its safe state: it is an input, and is not ` +
        `driven; ${
          line.position === undefined
            ? "direction=output in its SPEC"
            : "direction: output there"
        } drives it`,
    );
  }
  return areDriven;
}

/**
 * Releases lines once they are safe; reports those that are not after the time
 * limit.
 */
async function letGo(
  reactor: ReactorClient,
  { name, lines }: AggregatorSpecification,
  limitMs: number,
): Promise<boolean> {
  try {
    await reactor.remove(name, limitMs);
    return true;
  } catch (error) {
    if (!(error instanceof UnsafeLinesError)) throw error;
    for (const { lineNumber, reason } of error.lines) {
      writeError(
        `${lineTitle(lines[lineNumber]!)}: not in its safe state: ${reason}`,
      );
    }
    return false;
  }
}
