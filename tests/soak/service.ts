/**
 * The service of a soak, under a manager that keeps its descriptors.
 *
 * @module
 */
import { listDirectory } from "../../ffi/directory_entries.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { sleep } from "../../src/async/wait.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

/** Limit for the end of a service, which waits for closes that hang. */
const END_LIMIT_MS = 60_000;
/** Descriptors that the manager keeps, more than any soak has. */
const MAX_STORED = 16_384;
/** Field of the exit status in proc(5)'s `stat`, after the command's name. */
const EXIT_STATUS_FIELD = 49;
const LOG_TAIL = 2000;
const STOP_LIMIT_MS = 60_000;
/** Limit of a start, for which the disk may have to be freed first. */
const START_LIMIT_MS = 60_000;
const START_AGAIN_MS = 200;

/** Choices for the service of a soak. */
interface SoakServiceOptions {
  /** File for its output, if it is to be another one than usual. */
  readonly log?: string | undefined;
  /** Limit of the heap of each of its isolates. **Units**: MB. */
  readonly heapMb?: number | undefined;
}

/** **Ownership**: `await using` ends it. */
export class SoakService implements AsyncDisposable {
  readonly #manager: ManagerDouble;
  readonly #args: readonly string[];
  /** Resolves once nothing is done to its process. */
  #others: Promise<void> = Promise.resolve();
  /** Number of times that it was ended and started again. */
  restarts = 0;
  /** Number of times that it was stopped for a while. */
  pauses = 0;

  private constructor(
    args: readonly string[],
    { log, heapMb }: SoakServiceOptions,
  ) {
    this.#args = args;
    const limit = heapMb === undefined
      ? []
      : ["env", `DENO_V8_FLAGS=--max-old-space-size=${heapMb}`];
    this.#manager = new ManagerDouble({
      log,
      command: [...limit, PROGRAM_FILE, ...PROGRAM],
    });
    this.#manager.maxStored = MAX_STORED;
  }

  /**
   * Starts `gpioagg serve` and waits until it is ready.
   */
  static async start(
    args: readonly string[],
    options: SoakServiceOptions = {},
  ): Promise<SoakService> {
    await using stack = new AsyncDisposableStack();
    const service = stack.use(new SoakService(args, options));
    await service.#manager.start(args);
    stack.move();
    return service;
  }

  /** Its process, another one after each restart. */
  get pid(): number {
    return this.#manager.pid;
  }

  /** The end of what it reported; undefined while it runs. */
  get lastWords(): string | undefined {
    return this.#manager.isRunning
      ? undefined
      : this.#manager.log.slice(-LOG_TAIL);
  }

  /** Ends it by a signal after which a manager starts it again. */
  async restart(signal: "SIGUSR2" | "SIGKILL"): Promise<void> {
    await this.#alone(async () => {
      await this.#manager.stop(signal);
      await this.#startAgain();
    });
    this.restarts++;
  }

  /**
   * Starts it as a manager does: again if it ends, as on a disk that has no room
   * for its socket.
   */
  async #startAgain(): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS;
    for (;;) {
      try {
        return await this.#manager.start(this.#args);
      } catch (error) {
        if (this.#manager.isRunning || performance.now() > deadline) {
          throw error;
        }
        await sleep(START_AGAIN_MS);
      }
    }
  }

  /** Stops it for a while, as a debugger or a busy host does. */
  async pause(ms: number): Promise<void> {
    await this.whileStopped(() =>
      new Promise<void>((resolve) => setTimeout(resolve, ms))
    );
    this.pauses++;
  }

  /** Does something while none of its threads runs. */
  async whileStopped(action: () => Promise<void> | void): Promise<void> {
    await this.#alone(async () => {
      const { pid } = this;
      Deno.kill(pid, "SIGSTOP");
      try {
        await until("the service stops", () => isStopped(pid), STOP_LIMIT_MS);
        await action();
      } finally {
        Deno.kill(pid, "SIGCONT");
      }
    });
  }

  /** Waits for what is done to the process by others. */
  async #alone(action: () => Promise<void>): Promise<void> {
    const before = this.#others;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#others = promise;
    await before;
    try {
      await action();
    } finally {
      resolve();
    }
  }

  /** Ends it for good. @returns Its wait status: 0 if all is safe. */
  async end(): Promise<number> {
    const { pid } = this;
    Deno.kill(pid, "SIGTERM");
    await until(
      "the service's end",
      () => !this.#manager.isRunning,
      END_LIMIT_MS,
    );
    // It was not waited for: its status is there until this process ends.
    const stat = readSmallFile(`/proc/${pid}/stat`) ?? "";
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[EXIT_STATUS_FIELD]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#manager[Symbol.asyncDispose]();
  }
}

/** Returns true if no thread of a process runs, or none will any more. */
function isStopped(pid: number): boolean {
  return listDirectory(`/proc/${pid}/task`).every((thread) => {
    const stat = readSmallFile(`/proc/${pid}/task/${thread}/stat`) ?? ") X ";
    return /\) [TtZX] /.test(stat);
  });
}
