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

/** How long a busy line is tried again, and how often. **Units**: ms. */
const BUSY_LIMIT_MS = 3000;
const BUSY_LOOK_MS = 100;

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
 * Takes the lines; those that can be had, if some cannot. A busy one is tried
 * again: a process that was killed lets go only when its last ioctl is over.
 *
 * @returns Whether all could be had.
 */
async function makeSafe(
  reactor: ReactorClient,
  aggregator: AggregatorSpecification,
): Promise<boolean> {
  try {
    await reactor.add([aggregator]);
    return true;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
  }
  // One that is gone, or that somebody else has by now, is no reason to leave
  // the others as they are.
  const deadline = performance.now() + BUSY_LIMIT_MS;
  let isWhole = true;
  let left = aggregator.lines.map((line, i) => ({
    ...aggregator,
    name: `${aggregator.name}${i}`,
    lines: [line],
  }));
  for (;;) {
    const busy: typeof left = [];
    for (const alone of left) {
      try {
        await reactor.add([alone]);
        await reactor.remove(alone.name);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (message.includes("(EBUSY)") && performance.now() < deadline) {
          busy.push(alone);
          continue;
        }
        isWhole = false;
        writeError(message);
      }
    }
    if (busy.length === 0) return isWhole;
    left = busy;
    await new Promise((resolve) => setTimeout(resolve, BUSY_LOOK_MS));
  }
}

const HELP = `Usage: gpioagg safe --line SPEC...

Puts lines into the state that their SPECs declare for a missing guest (safe=,
on-disconnect=), and lets them go. gpioagg run does so with its lines when it is
killed. A line that cannot be had is told of, and the others are made safe; a busy
one is tried again for three seconds.

  --line SPEC  as for gpioagg serve
  -h, --help   this text`;
