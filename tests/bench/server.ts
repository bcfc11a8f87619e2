/**
 * A real `gpioagg serve` process with simulated lines, for measuring.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { pollFd } from "../../ffi/poll.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ChildProcess } from "../environment/process.ts";

/** Command of the server: a program and its first arguments. */
export type ServerCommand = readonly [program: string, ...args: string[]];

/**
 * Returns the command of a program of the checkout, with the permissions that
 * gpioagg has.
 *
 * @param path Its path, from this folder.
 */
export function programCommand(path: string): ServerCommand {
  return [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "--permission-set=gpioagg",
    // As scripts/gpioagg has it.
    "--v8-flags=--max-semi-space-size=4",
    `${import.meta.dirname}/${path}`,
  ];
}

/** gpioagg from the checkout. */
export const CHECKOUT_COMMAND = programCommand("../../src/cli/main.ts");

const START_LIMIT_MS = 15_000;

/** The running process. **Ownership**: `await using` ends it. */
export class Server implements AsyncDisposable {
  /** The vhost-user sockets, one for each aggregator. */
  readonly sockets: readonly string[];
  /** From the start of the process to an answer. **Units**: milliseconds. */
  readonly startMs: number;
  readonly #process: ChildProcess;

  private constructor(
    process: ChildProcess,
    sockets: readonly string[],
    startMs: number,
  ) {
    this.#process = process;
    this.sockets = sockets;
    this.startMs = startMs;
  }

  /**
   * Starts a server and waits until its last aggregator answers.
   *
   * @param directory Where its sockets may stand.
   * @param aggregators How many, with `lines` simulated lines each.
   * @param options More arguments of serve.
   */
  static async start(
    command: ServerCommand,
    directory: string,
    aggregators: number,
    lines: number,
    options: readonly string[] = [],
  ): Promise<Server> {
    const sockets = Array.from(
      { length: aggregators },
      (_, i) => `${directory}/${aggregators}-${i}.sock`,
    );
    return await Server.run(
      command,
      [
        ...options,
        ...sockets.flatMap((socket) => [
          ...["--socket-path", socket],
          ...["--line", `sim/${lines}`],
        ]),
      ],
      sockets,
    );
  }

  /**
   * Starts a server and waits until the last of its vhost-user `sockets` answers.
   *
   * @param options Arguments of serve.
   * @param ready Waits for the process instead.
   */
  static async run(
    command: ServerCommand,
    options: readonly string[],
    sockets: readonly string[],
    ready?: (process: ChildProcess) => Promise<unknown>,
  ): Promise<Server> {
    const [program, ...args] = command;
    const before = performance.now();
    const process = new ChildProcess({
      command: program,
      args: [...args, "serve", ...options],
    });
    try {
      if (ready !== undefined) await ready(process);
      else await answers(process, sockets.at(-1)!, before + START_LIMIT_MS);
      return new Server(process, sockets, performance.now() - before);
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The process id. */
  get pid(): number {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** Tries every millisecond; lets other tasks run, which notice a process's end. */
async function answers(
  process: ChildProcess,
  socket: string,
  deadline: number,
): Promise<void> {
  for (;;) {
    try {
      using _frontend = Frontend.open(connectUnix(socket), {
        timeoutMs: 30_000,
      });
      return;
    } catch (error) {
      if (!isOsError(error, "ENOENT", "ECONNREFUSED")) throw error;
      if (process.status !== undefined || performance.now() > deadline) {
        throw new Error(
          `The server to measure did not start: ${process.stderr.trim()}`,
          { cause: error },
        );
      }
    }
    pollFd(-1, 0, 1);
    await Promise.resolve();
  }
}
