/**
 * One process that serves an aggregator: started by the service, asked over a
 * channel, and reaped.
 *
 * @module
 */
import { startableCommand } from "../../../ffi/own_command.ts";
import { reapChild, spawnDetached } from "../../../ffi/spawn.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { checkAnswer, checkError } from "./answer_check.ts";
import { limitRoom } from "./frame_text.ts";
import {
  type CallName,
  type FromProcess,
  type ToProcess,
  unpackError,
} from "./messages.ts";
import type { RecordMemory } from "../record/record_memory.ts";
import { ProcessChannel } from "./process_channel.ts";

/** The hidden command that runs {@linkcode serveIsolated}. */
const ISOLATED_COMMAND = "serve-isolated";

/** Limit of the start of a process. **Units**: milliseconds. */
const START_LIMIT_MS = 30_000;
/**
 * Limits of the answers to commands: to those that only ask, to those that lines
 * take part in, and to the request of many lines of slow chips. The end of all
 * has a limit of its own. **Units**: milliseconds.
 */
const ASK_LIMIT_MS = 10_000;
const LINES_LIMIT_MS = 30_000;
const ADD_LIMIT_MS = 300_000;
const LIMITS_MS: Readonly<Record<CallName, number>> = {
  add: ADD_LIMIT_MS,
  removeWhole: LINES_LIMIT_MS,
  remove: LINES_LIMIT_MS,
  pending: ASK_LIMIT_MS,
  changeRules: LINES_LIMIT_MS,
  setInterlocks: LINES_LIMIT_MS,
  describe: ASK_LIMIT_MS,
  pull: LINES_LIMIT_MS,
  play: LINES_LIMIT_MS,
  force: LINES_LIMIT_MS,
  observe: ASK_LIMIT_MS,
  count: ASK_LIMIT_MS,
  dropUnused: LINES_LIMIT_MS,
  shutdown: Infinity,
};
const REAP_LOOK_MS = 20;
const REAP_LOOKS = 500;

/** Messages of a process that answer nothing. */
export type Notice = Exclude<
  FromProcess,
  { kind: "ready" | "done" | "failed" }
>;

/** Receiver of what a process reports. */
interface ChildEvents {
  /** Receives a message. */
  receive(message: Notice): void;
  /** Reports that the process has ended by itself. */
  ended(): void;
}

interface Waiting {
  readonly name: CallName;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Process that was just started. */
interface StartedProcess {
  /** Process id. */
  readonly pid: number;
  /** Frees what its start needs; called when it is ready, or given up. */
  started?(): void;
}

/** Starter of a process that serves at a socket. */
export type StartProcess = (
  socketFd: number,
  lifeFd?: number,
) => StartedProcess;

/** Starter of a process. */
interface ChildOptions {
  /**
   * Starts a process that serves at a socket. Default: this program, with
   * `serve-isolated`.
   */
  readonly startProcess?: StartProcess | undefined;
  /** Socket of the manager that keeps fds across restarts, if one does. */
  readonly notifySocket?: string | undefined;
  /** Descriptor that it keeps open for as long as it lives, if any. */
  readonly lifeFd?: number | undefined;
  /** Memory for its edges. **Ownership**: of the fd, lent for the start. */
  readonly record?: RecordMemory | undefined;
  /** Returns the most lines that it has had. */
  readonly lines: () => number;
}

/** Starts this program as the process that serves at a socket. */
function startServer(socketFd: number, lifeFd?: number): StartedProcess {
  using stack = new DisposableStack();
  const { path, argv } = stack.use(startableCommand(Deno.args.length));
  const pid = spawnDetached(path, [
    ...argv,
    ISOLATED_COMMAND,
    String(socketFd),
  ], {
    inherit: lifeFd === undefined ? [socketFd] : [socketFd, lifeFd],
    keepStandardError: true,
  });
  // A compiled executable reads its own file only after it was started.
  const file = stack.move();
  return { pid, started: () => file.dispose() };
}

/** A process did not answer a command in time. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";
}

/** A process of one aggregator. **Ownership**: until it is abandoned. */
export class AggregatorChild {
  readonly #channel: ProcessChannel;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #process: StartedProcess;
  readonly #lines: () => number;
  #pid: number;
  #nextId = 1;
  /** The reason that commands are refused with once it is abandoned. */
  #abandoned: Error | undefined;
  /** Time of its start. **Units**: milliseconds, monotonic. */
  readonly startedMs = performance.now();

  /**
   * Starts the process.
   *
   * @throws {OsError} If it cannot be started.
   */
  constructor(
    events: ChildEvents,
    {
      startProcess = startServer,
      notifySocket,
      lifeFd,
      record,
      lines,
    }: ChildOptions,
  ) {
    this.#lines = lines;
    const [ours, theirs] = socketPair();
    using _theirs = theirs;
    // The caller reports its failure.
    this.#ready.promise.catch(() => {});
    this.#channel = new ProcessChannel(ours, {
      message: (value) => this.#receive(value as FromProcess, events),
      ended: (how) => {
        // It puts no line into its declared state.
        if (how === "invalid") this.kill();
        this.#ready.reject(new Error("the process ended while it started"));
        this.#ended.resolve();
        events.ended();
      },
    }, { descriptors: false, room: () => limitRoom(lines()) });
    try {
      this.#process = startProcess(theirs.fd, lifeFd);
      this.#pid = this.#process.pid;
    } catch (error) {
      this.#channel[Symbol.dispose]();
      throw error;
    }
    this.say({
      kind: "start",
      ...(notifySocket === undefined ? {} : { notifySocket }),
      ...(record === undefined ? {} : {
        record: { bytes: record.bytes, withInputs: record.withInputs },
      }),
    }, record === undefined ? [] : [record.fd]);
  }

  /** Process id; 0 once it is abandoned. */
  get pid(): number {
    return this.#pid;
  }

  /** Resolves when the process has ended by itself. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves once it is abandoned and has no descriptors any more. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Waits until it takes commands. @throws {Error} If it does not start. */
  async untilReady(): Promise<void> {
    await inTime(this.#ready.promise, START_LIMIT_MS);
  }

  /** Sends a message, and copies of `fds` with it. */
  say(message: ToProcess, fds: readonly number[] = []): void {
    if (this.#abandoned === undefined) this.#channel.send(message, fds);
  }

  /**
   * Sends a command, and returns the answer.
   *
   * @throws {NoAnswerError} If it is not answered in time; it is killed then.
   * @throws {Error} If the command fails, or the process is abandoned.
   */
  async call(
    name: CallName,
    args: unknown[],
    fds: readonly number[] = [],
  ): Promise<unknown> {
    if (this.#abandoned !== undefined) throw this.#abandoned;
    const id = this.#nextId++;
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(id, { name, resolve, reject });
      this.say({ kind: "call", id, name, args }, fds);
    });
    try {
      return await inTime(answer, LIMITS_MS[name]);
    } catch (error) {
      if (error instanceof NoAnswerError) this.kill();
      throw error;
    }
  }

  /** Kills it. */
  kill(): void {
    if (this.#pid > 0) kill(this.#pid);
  }

  /**
   * Closes the channel, which ends the process, and fails what waits for an
   * answer. Idempotent.
   */
  abandon(reason: Error): void {
    if (this.#abandoned !== undefined) return;
    this.#abandoned = reason;
    this.#channel[Symbol.dispose]();
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
    this.#ready.reject(reason);
    this.#process.started?.();
    // Once it is reaped, the id may be another process's.
    const pid = this.#pid;
    this.#pid = 0;
    (pid > 0 ? reap(pid) : Promise.resolve()).then(this.#gone.resolve);
  }

  /** @throws {Error} If it says what no process of ours does: that ends it. */
  #receive(message: FromProcess, events: ChildEvents): "unasked" | void {
    switch (message.kind) {
      case "ready":
        this.#process.started?.();
        return this.#ready.resolve();
      case "done": {
        const { name, resolve } = this.#asked(message.id);
        checkAnswer(name, message.result, this.#lines());
        this.#waiting.delete(message.id);
        return resolve(message.result);
      }
      case "failed": {
        const { reject } = this.#asked(message.id);
        checkError(message.error);
        this.#waiting.delete(message.id);
        return reject(unpackError(message.error));
      }
      default:
        events.receive(message);
        return "unasked";
    }
  }

  /** @throws {Error} If nothing asked for the answer. */
  #asked(id: number): Waiting {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) throw new Error("An answer to no command");
    return waiting;
  }
}

async function inTime<T>(step: Promise<T>, limitMs: number): Promise<T> {
  if (limitMs === Infinity) return await step;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new NoAnswerError(`No answer in ${limitMs / 1000} s`)),
    limitMs,
  );
  try {
    return await Promise.race([step, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for the end of an abandoned process, and kills it if necessary. */
async function reap(pid: number): Promise<void> {
  for (let look = 0; !reapChild(pid); look++) {
    // It holds lines that the next process needs.
    if (look === REAP_LOOKS) kill(pid);
    if (look === 2 * REAP_LOOKS) return;
    await new Promise((resolve) =>
      // The end of the service does not wait for it.
      Deno.unrefTimer(setTimeout(resolve, REAP_LOOK_MS))
    );
  }
}

/** Kills a child that is not reaped yet: its id cannot be reused. */
function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
