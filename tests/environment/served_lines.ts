/**
 * Lines of a running service, as `gpioagg sim` reads and pulls them, through the
 * control socket without a process for each look.
 *
 * @module
 */
import { defaultControlPath } from "../../src/config/specification.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import type { AggregatorDescription } from "../../src/service/messages/messages.ts";

/** Line of an aggregator. */
export type ServedLine = AggregatorDescription["lines"][number];

/** Returns the lines of the aggregator at a socket, as they are now. */
// deno-lint-ignore require-await
export async function linesAt(socket: string): Promise<readonly ServedLine[]> {
  using client = new ControlClient(defaultControlPath(socket));
  return client.ask({}).lines;
}

/**
 * Pulls simulated lines of the aggregator at a socket, as `NAME=LEVEL`.
 *
 * @throws {Error} If that is refused, or the guest drives one of them.
 */
// deno-lint-ignore require-await
export async function pullLines(
  socket: string,
  changes: readonly string[],
): Promise<void> {
  using client = new ControlClient(defaultControlPath(socket));
  const { driven } = client.pull(changes.map((change) => {
    const [, name, level] = /^(.*)=([01])$/.exec(change)!;
    return [name!, level === "1" ? 1 : 0];
  }));
  if (driven.length > 0) {
    throw new Error(`${socket}: the guest drives ${driven.join(", ")}`);
  }
}
