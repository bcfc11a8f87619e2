/**
 * Starts of a service in which the process of an isolated aggregator hangs.
 *
 * @module
 */
import { assertRejects } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { listChildren } from "./child_processes.ts";
import type { ManagerDouble } from "./manager_double.ts";
import { PROGRAM_FILE, programArguments } from "./program.ts";
import { until } from "./wait.ts";

/** Long for 30 s, which an executable waits in full. */
const LIMIT_MS = 120_000;

/**
 * Starts a service by these arguments and stops its first process of an isolated
 * aggregator. The start must fail, and the process must be gone then.
 */
export async function failByHungProcess(
  manager: ManagerDouble,
  args: readonly string[],
): Promise<void> {
  const preload = new URL("../doubles/short_limits.ts", import.meta.url);
  const start = manager.start(args, {
    command: [
      PROGRAM_FILE,
      ...programArguments({ preload: preload.pathname }),
    ],
  });
  const failed = assertRejects(() => start, Error, "No answer in 30 s");
  const words = (pid: number) => readSmallFile(`/proc/${pid}/cmdline`) ?? "";
  const isIsolated = (pid: number) => words(pid).includes("serve-isolated");
  let process: number | undefined;
  await Promise.race([
    failed,
    until("the process", () => {
      process = listChildren(manager.pid).find(isIsolated);
      return process !== undefined;
    }, LIMIT_MS),
  ]);
  Deno.kill(process!, "SIGSTOP");
  await failed;
  await until("the end of the process", () => !isIsolated(process!), LIMIT_MS);
}
