/**
 * The processes of a `gpioagg serve --standby`.
 *
 * @module
 */
import { listChildren } from "./child_processes.ts";
import { until } from "./wait.ts";

/** Waits until a keeper has a service and a spare, neither of `before`. */
export async function waitForPair(
  keeper: number,
  before?: number,
): Promise<[service: number, spare: number]> {
  let pids: number[] = [];
  await until("a service and a spare", () => {
    pids = listChildren(keeper);
    return pids.length === 2 && pids[0] !== before;
  });
  return [pids[0]!, pids[1]!];
}

/**
 * Has a spare take over: the service is restarted by its keeper, or killed.
 *
 * @param before The service that the last call has replaced, if any.
 * @returns The service that was replaced, once its spare is the service.
 */
export async function replaceService(
  keeper: number,
  how: "SIGUSR1" | "SIGKILL",
  before?: number,
): Promise<number> {
  const [service, spare] = await waitForPair(keeper, before);
  Deno.kill(how === "SIGKILL" ? service : keeper, how);
  await until("the takeover", () => listChildren(keeper)[0] === spare);
  return service;
}
