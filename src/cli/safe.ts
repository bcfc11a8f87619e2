/**
 * `gpioagg safe`: lines into their safe state, without a guest.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type { AggregatorSpecification } from "../config/specification.ts";
import { ReactorClient } from "../daemon/reactor_client.ts";
import { writeError, writeOutput } from "./output.ts";
import { readServeArguments } from "./serve_arguments.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-safe-" });
  try {
    const { help, aggregators } = readServeArguments([
      "--socket-path",
      `${directory}/safe.sock`,
      ...args,
    ]);
    if (help) {
      writeOutput(HELP);
      return 0;
    }
    const [aggregator, ...others] = aggregators;
    if (aggregator === undefined || others.length > 0) {
      throw new ConfigError("lines are all that is taken here", {
        hint: "gpioagg safe --line SPEC...",
      });
    }
    using reactor = await ReactorClient.start({
      service: () => {},
      idle: () => {},
      crashed: (error) => {
        throw error;
      },
    });
    // What a line starts with is for its guest: it is not to be seen here.
    const lines = aggregator.lines.map(({ initial: _, ...line }) => line);
    const isWhole = await makeSafe(reactor, { ...aggregator, lines });
    await reactor.shutdown();
    return isWhole ? 0 : 1;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/**
 * Takes the lines; those that can be had, if some cannot.
 *
 * @returns Whether all could be had.
 */
async function makeSafe(
  reactor: ReactorClient,
  aggregator: AggregatorSpecification,
): Promise<boolean> {
  const { name, lines } = aggregator;
  try {
    await reactor.add([aggregator]);
    return true;
  } catch (error) {
    if (lines.length === 1) throw error;
  }
  // One that is gone, or that somebody else has by now, is no reason to leave
  // the others as they are.
  let isWhole = true;
  for (const [i, line] of lines.entries()) {
    try {
      await reactor.add([{
        ...aggregator,
        name: `${name}${i}`,
        lines: [line],
      }]);
      await reactor.remove(`${name}${i}`);
    } catch (error) {
      isWhole = false;
      writeError(error instanceof Error ? error.message : String(error));
    }
  }
  return isWhole;
}

const HELP = `Usage: gpioagg safe --line SPEC...

Puts lines into the state that their SPECs declare for a missing guest (safe=,
on-disconnect=), and lets them go. gpioagg run does so with its lines when it is
killed. A line that cannot be had is told of, and the others are made safe.

  --line SPEC  as for gpioagg serve
  -h, --help   this text`;
