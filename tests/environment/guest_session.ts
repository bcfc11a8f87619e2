/**
 * Commands in a test machine (User-Mode Linux or QEMU, host or guest) through
 * the command loop `guest/session.sh`.
 *
 * @module
 */
import type { ChildProcess } from "./process.ts";

/** Result of a command in a test machine. */
export interface ExecResult {
  /** Its exit status. */
  readonly code: number;
  /** Standard output and standard error, in order. */
  readonly output: string;
}

/** Options of a command in a test machine. */
export interface ExecOptions {
  /** Limit of its time, in milliseconds. Default: two minutes. */
  readonly timeoutMs?: number;
  /** Called with all its output so far whenever there is more. */
  readonly onOutput?: (output: string) => void;
}

/**
 * A running test machine that takes commands.
 *
 * **Ownership**: `await using` ends the machine.
 */
export interface GuestSession extends AsyncDisposable {
  /**
   * Runs a shell command, in a shell of its own, and waits for its end.
   *
   * A command that must outlive it (`… &`) writes to a file or to /dev/null,
   * or its output lands in the answers of later commands.
   *
   * @throws {Error} when the limit passes or the machine ends first.
   */
  exec(command: string, options?: ExecOptions): Promise<ExecResult>;

  /**
   * Runs a shell command that must succeed, and returns its output without
   * the line feed at its end.
   *
   * @throws {Error} when its exit status is not 0, with its output.
   */
  run(command: string, options?: ExecOptions): Promise<string>;

  /**
   * Sends a command that ends or restarts the machine, after the earlier ones,
   * and waits for no answer: no other command can follow.
   */
  sendLast(command: string): Promise<void>;

  /** The process on this machine that is the test machine. */
  readonly process: ChildProcess;
}

/** Mark of the command loop: ASCII "record separator". */
const MARK = "\x1e";

/** Bytes of a command that are sent at once: see guest/session.sh. */
const PART_BYTES = 2000;

/** For what a guest under emulation makes of a busy machine. */
const COMMAND_LIMIT_MS = 120_000;

const READY = `${MARK}ready${MARK}`;

/** Signs that a machine is up, and commands that end it. */
export interface SessionOptions {
  /** Limit of its start, in milliseconds. */
  readonly bootTimeoutMs: number;
  /**
   * Set for a machine that goes on with the state of another one: its command
   * loop runs already.
   */
  readonly isUp?: boolean;
  /** The machine's kernel messages, where its process does not write them. */
  readonly log?: () => string;
  /** Called when the session ends, after the process. */
  readonly dispose?: () => Promise<void> | void;
}

/** A session over the standard input and output of a machine's process. */
export class CommandSession implements GuestSession {
  readonly process: ChildProcess;
  readonly #options: SessionOptions;
  readonly #token = crypto.randomUUID().slice(0, 8);
  #position = 0;
  #count = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** The command that never ended: answers would be taken for its output. */
  #stuck: string | undefined;

  private constructor(process: ChildProcess, options: SessionOptions) {
    this.process = process;
    this.#options = options;
  }

  /**
   * Waits until the machine takes commands; ends its process when it does not.
   *
   * @throws {Error} when the limit passes, with the machine's messages.
   */
  static async open(
    process: ChildProcess,
    options: SessionOptions,
  ): Promise<CommandSession> {
    const session = new CommandSession(process, options);
    if (options.isUp) return session;
    try {
      await process.waitFor(READY, { timeoutMs: options.bootTimeoutMs });
    } catch (cause) {
      const error = session.#failure("The test machine did not come up", cause);
      await session[Symbol.asyncDispose]();
      throw error;
    }
    session.#position = process.stdout.indexOf(READY) + READY.length;
    return session;
  }

  exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    // One at a time, in the order of the calls: there is one command loop.
    const result = this.#queue.then(() => this.#exec(command, options));
    this.#queue = result.catch(() => {});
    return result;
  }

  async run(command: string, options: ExecOptions = {}): Promise<string> {
    const { code, output } = await this.exec(command, options);
    if (code !== 0) {
      throw new Error(
        `In the test machine, "${command}" ended with status ${code}: ` +
          `${output.trim()}`,
      );
    }
    return output.replace(/\n$/, "");
  }

  async sendLast(command: string): Promise<void> {
    const sent = this.#queue.then(async () => {
      await this.#send(`${this.#token}-last`, command, COMMAND_LIMIT_MS);
      this.#stuck = command;
    });
    this.#queue = sent.catch(() => {});
    await sent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    await this.#options.dispose?.();
  }

  async #exec(command: string, options: ExecOptions): Promise<ExecResult> {
    const { timeoutMs = COMMAND_LIMIT_MS, onOutput } = options;
    const token = `${this.#token}-${++this.#count}`;
    if (this.#stuck !== undefined) {
      throw new Error(
        `Cannot run "${command}" in the test machine: an earlier command, ` +
          `"${this.#stuck}", did not end`,
      );
    }
    const end = new RegExp(`${MARK}${token} (\\d+)${MARK}`);
    let match: RegExpExecArray;
    let from: number;
    try {
      from = await this.#send(token, command, timeoutMs);
      match = await this.process.waitFor(end, {
        timeoutMs,
        from,
        ...(onOutput && { onText: (text) => onOutput(upToMark(text)) }),
      });
    } catch (cause) {
      this.#stuck = command;
      throw this.#failure(`Cannot run "${command}" in the test machine`, cause);
    }
    this.#position = from + match.index + match[0].length;
    return {
      code: Number(match[1]),
      output: this.process.stdout.slice(from, from + match.index),
    };
  }

  /** Sends a command; the position where its output begins. */
  async #send(
    token: string,
    command: string,
    timeoutMs: number,
  ): Promise<number> {
    let rest = new TextEncoder().encode(
      command.replaceAll("\\", "\\\\").replaceAll("\n", "\\n"),
    );
    let position = this.#position;
    const accepted = `${MARK}${token}+${MARK}`;
    for (; rest.length > PART_BYTES; rest = rest.subarray(PART_BYTES)) {
      await this.process.write(`${token} + `);
      await this.process.write(rest.subarray(0, PART_BYTES));
      await this.process.write("\n");
      await this.process.waitFor(accepted, { timeoutMs, from: position });
      position = this.process.stdout.indexOf(accepted, position) +
        accepted.length;
    }
    await this.process.write(`${token} ! `);
    await this.process.write(rest);
    await this.process.write("\n");
    return position;
  }

  #failure(what: string, cause: unknown): Error {
    const log = this.#options.log?.().slice(-4000).trim();
    return new Error(log ? `${what}\n  kernel messages: ${log}` : what, {
      cause,
    });
  }
}

function upToMark(text: string): string {
  const mark = text.indexOf(MARK);
  return mark === -1 ? text : text.slice(0, mark);
}
