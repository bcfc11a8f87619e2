/**
 * gpioagg whose service never makes a peer rest. Under emulation each request
 * takes longer than most may on a machine, and most of the time of a request would
 * be the rest after the one before: up to a second.
 *
 * @module
 */
import { run } from "../../src/cli/main.ts";
import { exit } from "../../src/cli/run_command.ts";

const REACTOR = "/reactor_worker.ts";

globalThis.Worker = class extends Worker {
  constructor(url: string | URL, options?: WorkerOptions) {
    super(
      String(url).endsWith(REACTOR)
        ? new URL("./restless_worker.ts", import.meta.url)
        : url,
      options,
    );
  }
};
await exit(await run(Deno.args, "gpioagg"));
