/**
 * One process that a keeper starts: first a spare, then the service.
 *
 * @module
 */
import { hasEnded, killProcess, openProcess } from "../../../ffi/process.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { whenReadable } from "../../../ffi/readiness.ts";
import {
  childEnd,
  type ProcessEnd,
  spawnDetached,
} from "../../../ffi/spawn.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { settlesWithin } from "../../async/wait.ts";
import { ProcessChannel } from "../isolate/process_channel.ts";
import type { GivenManager } from "../restart/service_manager.ts";
import { FDS_AT_ONCE, STANDBY_COMMAND, type ToKeeper } from "./messages.ts";
import { installedCommand, installedIdentity } from "./program.ts";

/** Time limit of the processes that a dead service has left. **Units**: ms. */
const LEFT_LIMIT_MS = 10_000;

/** A process that was just started. */
interface StartedProgram {
  /** Process id. */
  readonly pid: number;
  /** Frees what its start needs, once it is warm or has ended. */
  started(): void;
}

/**
 * Starts the program that is installed, to serve by these arguments.
 *
 * @throws {Error} If it cannot be started.
 */
function startProgram(
  socketFd: number,
  args: readonly string[],
): StartedProgram {
  using stack = new DisposableStack();
  const { path, argv } = stack.use(installedCommand());
  const pid = spawnDetached(path, [
    ...argv,
    STANDBY_COMMAND,
    String(socketFd),
    ...args,
  ], {
    inherit: [socketFd],
    keepStandardOutput: true,
    keepStandardError: true,
  });
  const file = stack.move();
  return { pid, started: () => file.dispose() };
}

/** True for the last message of a process that another follows. */
function isHandOver(value: unknown): boolean {
  const kind = (value as Partial<ToKeeper> | null)?.kind;
  return kind === "handed-over";
}

/** A child of this process. **Ownership**: until its end was awaited. */
export class StandbyProcess {
  /** Process id. */
  readonly pid: number;
  /** Resolves once it could serve at once; never if it ends before. */
  readonly warm: Promise<void>;
  /** Resolves once it has left all to the next process; never if it ends else. */
  readonly handedOver: Promise<void>;
  /** Resolves to its end, once nothing is left of it. */
  readonly ended: Promise<ProcessEnd>;
  readonly #handle: OwnedFd;
  readonly #channel: ProcessChannel;
  /** Program that it is. */
  readonly #identity = installedIdentity();

  /**
   * Starts it with these arguments of `serve`.
   *
   * @param start Starts a process with its end of the channel; by default the
   * program that is installed.
   * @throws {Error} If it cannot be started.
   */
  constructor(args: readonly string[], start = startProgram) {
    const warm = Promise.withResolvers<void>();
    const handedOver = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    this.warm = warm.promise;
    this.handedOver = handedOver.promise;
    const [ours, theirs] = socketPair();
    using _theirs = theirs;
    let program: StartedProgram;
    try {
      program = start(theirs.fd, args);
    } catch (error) {
      ours.close();
      throw error;
    }
    const { pid, started } = program;
    this.pid = pid;
    // It is not reaped yet, so that the number is its own.
    this.#handle = openProcess(pid)!;
    this.#channel = new ProcessChannel(ours, {
      message: (value) => {
        // An older program says one thing only: that it is warm.
        if (isHandOver(value)) handedOver.resolve();
        else {
          started();
          warm.resolve();
        }
      },
      ended: () => closed.resolve(),
    }, { descriptors: false });
    this.ended = this.#wait(closed.promise).finally(started);
  }

  /** True if another program is installed by now. */
  get isOutdated(): boolean {
    return this.#identity !== installedIdentity();
  }

  /** True if it does not run any more. */
  get hasEnded(): boolean {
    return this.#handle.closed || hasEnded(this.#handle);
  }

  /** Makes it serve. **Ownership**: fds stay the caller's, and can be closed. */
  serve({ notifySocket, watchdogUs, storeLimit, fds }: GivenManager): void {
    // A spare that was stopped looks as if it were there, and guests would wait.
    this.signal("SIGCONT");
    for (let first = 0; first < fds.length; first += FDS_AT_ONCE) {
      const some = fds.slice(first, first + FDS_AT_ONCE);
      const names = some.map(([name]) => name);
      const numbers = some.map(([, fd]) => fd);
      this.#channel.send({ kind: "fds", names }, numbers);
    }
    this.#channel.send({
      kind: "serve",
      notifySocket,
      storeLimit,
      ...(watchdogUs === undefined ? {} : { watchdogUs }),
    });
  }

  /** Has it end with safe lines, once it serves. */
  end(): void {
    this.#channel.send({ kind: "end" });
  }

  /** Sends it a signal, if it runs. */
  signal(signal: Deno.Signal): void {
    if (this.hasEnded) return;
    try {
      Deno.kill(this.pid, signal);
    } catch {
      // It ended in this moment; it is not reaped yet.
    }
  }

  /** Kills it, if it runs. */
  kill(): void {
    if (!this.#handle.closed) killProcess(this.#handle);
  }

  async #wait(closed: Promise<void>): Promise<ProcessEnd> {
    await whenReadable(this.#handle.fd).ready;
    const end = childEnd(this.pid) ?? { status: 1 };
    this.#handle.close();
    // Processes of its isolated aggregators hold the channel too.
    await settlesWithin(closed, LEFT_LIMIT_MS);
    this.#channel[Symbol.dispose]();
    return end;
  }
}
