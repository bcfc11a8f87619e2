/**
 * Chips by USB of machines with Debian's own kernels.
 *
 * @module
 */
import type { StockHost } from "../environment/stock_host.ts";
import { until } from "../environment/wait.ts";

const LIMIT_MS = 240_000;

/**
 * Runs a tool of libgpiod until it succeeds; its output. Drivers wait for an answer
 * for a fraction of a second, and the process that relays not much longer, which
 * is short under emulation.
 */
export async function tool(host: StockHost, command: string): Promise<string> {
  let text = "";
  await until(command, async () => {
    const { code, output } = await host.exec(command, { timeoutMs: LIMIT_MS });
    text = output.trim();
    return code === 0;
  }, LIMIT_MS).catch((cause) => {
    throw new Error(`${command}: ${text}`, { cause });
  });
  return text;
}
