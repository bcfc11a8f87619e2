/**
 * `gpioagg serve` whose adapters with a name that begins with `kernel` are there
 * for the host's kernel, without a kernel that takes them.
 *
 * @module
 */
import { readServeArguments } from "../../src/cli/arguments/serve_arguments.ts";
import { serve } from "../../src/service/service.ts";

const [, ...args] = Deno.args;
const aggregators = readServeArguments(args).aggregators.map((one) =>
  one.usbredir === undefined || !one.name.startsWith("kernel")
    ? one
    : { ...one, usbredir: { ...one.usbredir, serial: one.name } }
);
await serve(aggregators, {
  ready: () => {},
  event: () => {},
  reloaded: () => {},
  problem: (text) => console.error(text),
});
