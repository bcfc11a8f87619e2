/**
 * `gpioagg serve --standby`: the process that starts the service and its spare.
 *
 * @module
 */
import { dropStartUpPages, returnLargeMemory } from "../../../ffi/memory.ts";
import { takeManager } from "../../service/restart/service_manager.ts";
import { Keeper, type KeptProcess } from "../../service/standby/keeper.ts";
import { StandbyProcess } from "../../service/standby/standby_process.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { readServeArguments } from "../arguments/serve_arguments.ts";
import { KEEPER_PREFIX, removeLeftDirectories } from "./left_directories.ts";
import { writeConfigErrors } from "../output/config_errors.ts";
import { writeError } from "../output/output.ts";
import { makePrivateDirectory } from "../private_directory.ts";
import { printableError } from "../../text/printable.ts";

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
  const restart = async () => {
    if (await canBeFollowed(args)) await keeper.restart();
  };
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

/** Returns false, and reports why, if the next process would refuse its file. */
async function canBeFollowed(args: readonly string[]): Promise<boolean> {
  const { config } = readServeArguments(args);
  if (config === undefined) return true;
  // Loaded only for a file: a keeper without one needs no YAML.
  const { readConfig } = await import("../arguments/read_config.ts");
  let errors: readonly ConfigError[];
  try {
    const result = readConfig(config, { fromPipe: false });
    if (!("errors" in result)) return true;
    errors = result.errors;
  } catch (error) {
    // Whatever it is, the service goes on.
    errors = [
      error instanceof ConfigError
        ? error
        : new ConfigError(printableError(error), { path: config }),
    ];
  }
  writeConfigErrors(errors);
  writeError("not restarted: the configuration is not valid");
  return false;
}
