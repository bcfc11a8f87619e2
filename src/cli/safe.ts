/**
 * `gpioagg safe`: lines into their safe state, without a guest.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { ReactorClient } from "../daemon/reactor_client.ts";
import { writeOutput } from "./output.ts";
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
    await reactor.add([{ ...aggregator, lines }]);
    await reactor.shutdown();
    return 0;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const HELP = `Usage: gpioagg safe --line SPEC...

Puts lines into the state that their SPECs declare for a missing guest (safe=,
on-disconnect=), and lets them go. gpioagg run does so with its lines when it is
killed.

  --line SPEC  as for gpioagg serve
  -h, --help   this text`;
