/**
 * `gpioagg force`.
 *
 * @module
 */
import type { ServiceClient } from "../../client/client.ts";
import type { ForceRequest } from "../../client/force.ts";
import type { AggregatorState } from "../../client/protocol.ts";
import { FORCE_PERIOD, FORCE_REASON } from "../../client/requests.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { refusedAs } from "../arguments/refused_as.ts";
import { printableJson } from "../../text/printable.ts";
import { parseArgument } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { displayName, findLine, noSuchLine } from "../live/line_names.ts";
import { noSuchSelection } from "../live/selection.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import { writeError, writeInBackground, writeLine } from "../output/output.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";

/** End of a force that was to be expected. */
const IN_TIME = /: its time is over$|^its time is over$/;

/** The command line. */
export const USAGE = {
  name: "force",
  synopsis: [
    "NAME.LINE=VALUE... --for TIME --reason TEXT [--detach] [--json]",
    "NAME[.LINE]... --end",
  ],
  about:
    `Holds lines of a running service at values, for maintenance and tests: an
output is driven, whatever its guest asks for, and goes back to what the guest
asked for last; of an input, the guest sees VALUE in place of the line's own.
LINE is a name or number; VALUE is 0 or 1 (active). All lines of an aggregator
are forced, or none.

Ends at its time, and with this command unless it is detached. What protects is
never overridden: a force against an interlock, min-interval or the safe state of
a line without a guest is refused, and one that stands ends when the guest is
gone or silent. Events, gpioagg show --json and the audit log tell of forces.`,
  operands: ["forced-value"],
  options: {
    for: {
      kind: "value",
      value: "TIME",
      help: "end after this long, such as 500ms, 10s or 1h; at most 24h",
    },
    reason: {
      kind: "value",
      value: "TEXT",
      help: "why, for those who see the line",
    },
    detach: {
      kind: "flag",
      help: "return at once; the force ends at its time",
    },
    end: {
      kind: "flag",
      help: "end forces: of these lines, or of all lines of NAME",
    },
    json: {
      ...JSON_OPTION,
      help: "print one JSON object an aggregator, once its lines are forced",
    },
    api: API_OPTION,
    help: HELP_OPTION,
  },
  after:
    "Exit status: 0 the force has ended at its time, or was interrupted; 1 it was\n" +
    "refused, or ended before; 2 wrong usage.",
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const { rest, end, for: time, reason, detach } = given;
  if (end) {
    if (rest.length === 0 || detach || time !== undefined) {
      throw new ConfigError("--end needs NAME or NAME.LINE, and nothing else", {
        hint: "gpioagg force press.VALVE --end",
      });
    }
    await endForces(await serviceOfLines(rest, given.api, "change"), rest);
    return 0;
  }
  if (rest.length === 0 || time === undefined || reason === undefined) {
    throw new ConfigError(
      rest.length === 0
        ? "missing NAME.LINE=VALUE argument"
        : "needs --for TIME and --reason TEXT",
      { hint: 'gpioagg force press.VALVE=0 --for 10m --reason "new gasket"' },
    );
  }
  const values = rest.map(parseValue);
  // A slip is one whether a service runs or not.
  parseArgument(FORCE_PERIOD, time, "--for");
  parseArgument(FORCE_REASON, reason, "--reason");
  const words = values.map(([line]) => line);
  const client = await serviceOfLines(words, given.api, "change");
  const wanted = byAggregator(values, await client.list());
  const manner = { for: time, reason };
  if (!detach) return await hold(client, wanted, manner, given.json);
  for (const [name, lines] of wanted) {
    const state = await client.forceDetached(name, { lines, ...manner })
      .catch(refused);
    if (given.json) writeLine(formatJson(state, lines, manner));
  }
  return 0;
}

type Wanted = ReadonlyMap<string, Record<string, 0 | 1>>;
type Manner = Pick<ForceRequest, "for" | "reason">;

/** Returns what is forced in an aggregator, as JSON. */
function formatJson(
  { name, lines }: AggregatorState,
  values: Readonly<Record<string, 0 | 1>>,
  manner: Manner,
): string {
  const forced = Object.fromEntries(
    Object.entries(values).map(([line, value]) => [
      displayName(lines[Number(line)]!),
      value,
    ]),
  );
  return printableJson({ aggregator: name, forced, ...manner });
}

/** Holds lines until their time is over, or a signal comes. */
async function hold(
  client: ServiceClient,
  wanted: Wanted,
  manner: Manner,
  asJson: boolean,
): Promise<number> {
  // The lines depend on this process, which handles signals.
  writeInBackground();
  using forces = new DisposableStack();
  const ends: Promise<string>[] = [];
  const stopped = Promise.withResolvers<undefined>();
  const onSignal = () => stopped.resolve(undefined);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    for (const [name, lines] of wanted) {
      const force = forces.use(
        await client.force(name, { lines, ...manner }).catch(refused),
      );
      ends.push(force.ended.then((why) => `${name}: ${why}`));
      if (asJson) {
        writeLine(formatJson(force.state, lines, manner));
        continue;
      }
      const texts = Object.entries(lines).map(([line, value]) =>
        `${name}.${displayName(force.state.lines[Number(line)]!)}=${value}`
      );
      writeLine(`${texts.join(" ")} for ${manner.for}; ends with this command`);
    }
    const reasons = await Promise.race([Promise.all(ends), stopped.promise]);
    if (reasons === undefined) return 0;
    const early = reasons.filter((reason) => !IN_TIME.test(reason));
    for (const reason of early) writeError(`the force has ended: ${reason}`);
    return early.length === 0 ? 0 : 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

async function endForces(
  client: ServiceClient,
  words: readonly string[],
): Promise<void> {
  const aggregators = await client.list();
  for (const word of words) {
    const whole = aggregators.find(({ name }) => name === word);
    const found = whole === undefined ? findLine(word, aggregators) : undefined;
    if (whole !== undefined) await client.endForce(word);
    else if (found !== undefined) {
      const { aggregator, line } = found;
      await client.endForce(aggregator, [String(line.lineNumber)]);
    } else throw noSuchSelection(word, aggregators);
  }
}

/** Returns values by aggregator and line number. */
function byAggregator(
  values: readonly (readonly [string, 0 | 1])[],
  aggregators: readonly AggregatorState[],
): Wanted {
  const wanted = new Map<string, Record<string, 0 | 1>>();
  for (const [text, value] of values) {
    const found = findLine(text, aggregators);
    if (found === undefined) throw noSuchLine(text, aggregators);
    const lines = wanted.get(found.aggregator) ?? {};
    const key = String(found.line.lineNumber);
    if (lines[key] !== undefined) {
      throw new ConfigError(`the line ${text} is named twice`);
    }
    lines[key] = value;
    wanted.set(found.aggregator, lines);
  }
  return wanted;
}

function parseValue(text: string): [string, 0 | 1] {
  const equals = text.lastIndexOf("=");
  const value = text.slice(equals + 1);
  if (equals < 1 || value !== "0" && value !== "1") {
    throw new ConfigError(`invalid argument "${text}"`, {
      hint: "Write NAME.LINE=0 or NAME.LINE=1",
    });
  }
  return [text.slice(0, equals), value === "1" ? 1 : 0];
}

/** @throws {ConfigError} If a service rejected the command line. */
function refused(error: unknown): never {
  return refusedAs(error, (path) => `--${path}`);
}
