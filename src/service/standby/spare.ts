/**
 * A process that waits until its keeper has it serve.
 *
 * @module
 */
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { duplicate } from "../../../ffi/files.ts";
import { ProcessChannel } from "../isolate/process_channel.ts";
import type { KeptFd } from "../restart/manager_fd_store.ts";
import type { GivenManager } from "../restart/service_manager.ts";
import type { FromKeeper, ToKeeper } from "./messages.ts";

/** Task of a spare that serves from now on. **Ownership**: of its channel. */
export interface Standby extends Disposable {
  /** Its manager from now on, which is the keeper. **Ownership**: of its fds. */
  readonly manager: GivenManager;
  /** Resolves when it is asked to end, from the first moment on. */
  readonly end: Promise<void>;
  /** Reports to the keeper that all is left to the next process. */
  handedOver(): void;
}

/** Ends this process as if the kernel killed it. */
function killThisProcess(): void {
  Deno.kill(Deno.pid, "SIGKILL");
}

/** Signals to the whole group: the keeper decides what they mean. */
const IGNORED = ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
const ENDING = ["SIGTERM", "SIGINT"] as const;

/**
 * Waits until the keeper has this process serve; undefined if the keeper has
 * ended.
 *
 * @param socketFd The end of the channel to the keeper. **Ownership**: taken.
 * @param warmUp Does ahead what serving needs, the less of it the sooner its
 * argument says that it is to serve.
 * @param keeperLost Ends this process at once, which serves and has no keeper any
 * more; tests bring their own.
 */
export async function waitAsSpare(
  socketFd: number,
  warmUp: (isToServe: () => boolean) => Promise<void>,
  keeperLost: () => void = killThisProcess,
): Promise<Standby | undefined> {
  using stack = new DisposableStack();
  const end = Promise.withResolvers<void>();
  const told = Promise.withResolvers<GivenManager | undefined>();
  let isServing = false;
  const listen = (signal: Deno.Signal, heard: () => void) => {
    Deno.addSignalListener(signal, heard);
    stack.defer(() => Deno.removeSignalListener(signal, heard));
  };
  for (const signal of IGNORED) listen(signal, () => {});
  for (const signal of ENDING) {
    listen(signal, () => {
      if (isServing) end.resolve();
    });
  }
  // Copies that no program inherits by chance: as long as one is open, the
  // keeper takes the service for alive.
  using given = new OwnedFd(socketFd, "the channel to the keeper");
  const life = stack.use(duplicate(given.fd));
  const fds: KeptFd[] = [];
  const channel = stack.use(
    new ProcessChannel(duplicate(given.fd), {
      message: (value, received) => {
        const message = value as FromKeeper;
        if (message.kind === "fds") {
          message.names.forEach((name, i) => {
            const fd = received[i];
            if (fd !== undefined) fds.push([name, fd.release()]);
          });
        } else if (message.kind === "end") end.resolve();
        else if (message.kind === "serve" && !isServing) {
          isServing = true;
          told.resolve({
            notifySocket: message.notifySocket,
            watchdogUs: message.watchdogUs,
            storeLimit: message.storeLimit,
            fds,
            lifeFd: life.fd,
          });
        }
      },
      ended: () => {
        // The kernel closes the channel of a keeper that it kills before it kills
        // this process. An end in between would give up sessions and lines that
        // the manager keeps for the next process.
        if (isServing) keeperLost();
        else told.resolve(undefined);
      },
    }),
  );
  given.close();
  await warmUp(() => isServing);
  channel.send({ kind: "warm" } satisfies ToKeeper);
  const manager = await told.promise;
  if (manager === undefined) return undefined;
  const held = stack.move();
  return {
    manager,
    end: end.promise,
    handedOver: () => {
      channel.send({ kind: "handed-over" } satisfies ToKeeper);
    },
    [Symbol.dispose]: () => held.dispose(),
  };
}
