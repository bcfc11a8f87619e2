/**
 * `gpioagg serve --standby`: the process that starts the service and its spare.
 *
 * @module
 */
import { dropStartUpPages, returnLargeMemory } from "../../ffi/memory.ts";
import { takeManager } from "../service/restart/service_manager.ts";
import { Keeper, type KeptProcess } from "../service/standby/keeper.ts";
import { StandbyProcess } from "../service/standby/standby_process.ts";
import { KEEPER_PREFIX, removeLeftDirectories } from "./left_directories.ts";
import { writeError } from "./output/output.ts";
import { makePrivateDirectory } from "./private_directory.ts";

/** Exit status for the end by a signal, as a shell's: this plus its number. */
const SIGNAL_STATUS = 128;

/**
 * Keeps a service of these arguments until it ends for good.
 *
 * @param start Starts a process; tests bring their own.
 * @returns The service's exit status.
 * @throws {Error} If it cannot be started.
 */
export async function keepService(
  args: readonly string[],
  start: () => KeptProcess = () => new StandbyProcess(args),
): Promise<number> {
  returnLargeMemory();
  const directory = makePrivateDirectory(KEEPER_PREFIX);
  removeLeftDirectories(directory);
  const stack = new DisposableStack();
  stack.defer(() => {
    try {
      Deno.removeSync(directory, { recursive: true });
    } catch {
      // It was removed by another process, or stays.
    }
  });
  using _stack = stack;
  const manager = takeManager(writeError);
  const keeper = stack.use(
    new Keeper({
      start,
      directory,
      manager,
      tell: writeError,
    }),
  );
  const restart = () => void keeper.restart();
  const signals = [
    ["SIGTERM", () => keeper.end()],
    ["SIGINT", () => keeper.end()],
    ["SIGHUP", () => keeper.reload()],
    ["SIGUSR1", restart],
    // A manager waits for this process's end, and starts it again.
    [
      "SIGUSR2",
      manager.notifySocket === undefined
        ? restart
        : () => keeper.endForManager(),
    ],
  ] as const;
  for (const [signal, heard] of signals) {
    Deno.addSignalListener(signal, heard);
    stack.defer(() => Deno.removeSignalListener(signal, heard));
  }
  dropStartUpPages();
  const end = await keeper.run();
  return "status" in end ? end.status : SIGNAL_STATUS + end.signal;
}
