/**
 * Child processes of tests: output is collected, every wait has a limit, and
 * the process is ended by its id whatever happens.
 *
 * @module
 */

/** Options of a child process. */
export interface ProcessOptions {
  /** The program. */
  readonly command: string;
  /** Its arguments. */
  readonly args?: readonly string[];
  /** Environment variables, beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its working directory. */
  readonly cwd?: string;
  /** Set if {@linkcode ChildProcess.write} is used. Default: no. */
  readonly input?: boolean;
  /** Time that it may take to end after SIGTERM. Default: 3000 ms. */
  readonly graceMs?: number;
}

/** Which of a process's outputs. */
export type OutputStream = "stdout" | "stderr";

/** A limit for a wait. */
export interface WaitOptions {
  /** The limit in milliseconds. Default: 30 s. */
  readonly timeoutMs?: number;
  /** Stream to look at. Default: standard output. */
  readonly stream?: OutputStream;
  /** Position in the output to look from. Default: its beginning. */
  readonly from?: number;
  /** Called with the text that is looked at, whenever there is more. */
  readonly onText?: (text: string) => void;
}

const DEFAULT_TIMEOUT_MS = 120_000;

/**
 * Silence after the process's own end that ends its outputs, where children of
 * its own have them open.
 */
const LAST_OUTPUT_MS = 1000;

/** Part of an output that an error message shows. */
const SHOWN_CHARACTERS = 4000;

function tail(text: string): string {
  const shown = text.slice(-SHOWN_CHARACTERS).trimEnd();
  if (shown === "") return "(nothing)";
  return (text.length > SHOWN_CHARACTERS ? "…" : "") + shown;
}

/**
 * A running program whose output is collected.
 *
 * **Ownership**: `await using` ends the process (SIGTERM, then SIGKILL) and
 * waits until it is gone.
 */
export class ChildProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #graceMs: number;
  readonly #text: Record<OutputStream, string> = { stdout: "", stderr: "" };
  readonly #ended: Promise<void>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #listeners = new Set<() => void>();
  #status: Deno.CommandStatus | undefined;
  static readonly #running = new Set<ChildProcess>();

  /** Numbers of the processes that were started here and have not ended. */
  static runningPids(): number[] {
    return [...ChildProcess.#running].map(({ pid }) => pid);
  }

  /** Starts a program. */
  constructor(options: ProcessOptions) {
    this.#name = [options.command, ...options.args ?? []].join(" ");
    this.#graceMs = options.graceMs ?? 3000;
    this.#child = new Deno.Command(options.command, {
      args: [...options.args ?? []],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdin: options.input ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = options.input ? this.#child.stdin.getWriter() : undefined;
    ChildProcess.#running.add(this);
    this.#ended = this.#follow();
  }

  /** The process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Standard output of the process so far. */
  get stdout(): string {
    return this.#text.stdout;
  }

  /** Standard error output of the process so far. */
  get stderr(): string {
    return this.#text.stderr;
  }

  /** Exit status; undefined while the process runs. */
  get status(): Deno.CommandStatus | undefined {
    return this.#status;
  }

  /**
   * Writes to the process's standard input.
   *
   * @throws {Error} when the process has gone or has no input.
   */
  async write(text: string | Uint8Array): Promise<void> {
    if (this.#writer === undefined) {
      throw new Error(`Cannot write to "${this.#name}": started without input`);
    }
    try {
      await this.#writer.write(
        typeof text === "string" ? new TextEncoder().encode(text) : text,
      );
    } catch (cause) {
      throw this.#failure("Cannot write to the standard input", cause);
    }
  }

  /** Closes the process's standard input. */
  async closeInput(): Promise<void> {
    await this.#writer?.close().catch(() => {});
  }

  /**
   * Waits until an output matches, and returns the match.
   *
   * @throws {Error} when the limit passes or the process ends first; the
   * message shows the output so far.
   */
  async waitFor(
    pattern: RegExp | string,
    options: WaitOptions = {},
  ): Promise<RegExpExecArray> {
    const { stream = "stdout", from = 0 } = options;
    const expression = typeof pattern === "string"
      ? new RegExp(RegExp.escape(pattern))
      : pattern;
    let match: RegExpExecArray | null = null;
    await this.#until(
      () => {
        const text = this.#text[stream].slice(from);
        options.onText?.(text);
        match = expression.exec(text);
        return match !== null;
      },
      `"${String(pattern)}" on ${stream}`,
      options.timeoutMs,
    );
    return match!;
  }

  /**
   * Waits until the process has ended by itself.
   *
   * @throws {Error} when the limit passes first.
   */
  async waitForExit(
    options: { readonly timeoutMs?: number } = {},
  ): Promise<Deno.CommandStatus> {
    await this.#until(
      () => this.#status !== undefined,
      "its end",
      options.timeoutMs,
    );
    return this.#status!;
  }

  /** Sends a signal; nothing happens when the process has gone. */
  kill(signal: Deno.Signal): void {
    if (this.#status !== undefined) return;
    try {
      this.#child.kill(signal);
    } catch {
      // It ended between the question and the signal.
    }
  }

  /** Ends the process, by force where asking does not help. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeInput();
    if (this.#status !== undefined) return;
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), this.#graceMs);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Collects the outputs, and notices the end. */
  async #follow(): Promise<void> {
    const outputs = [
      this.#collect("stdout", this.#child.stdout.getReader()),
      this.#collect("stderr", this.#child.stderr.getReader()),
    ];
    const status = await this.#child.status;
    ChildProcess.#running.delete(this);
    // What it wrote last is still under way; but children of its own may have
    // the outputs open for ever.
    let length = -1;
    const timer = setInterval(() => {
      const { stdout, stderr } = this.#text;
      const isSilent = stdout.length + stderr.length === length;
      length = stdout.length + stderr.length;
      if (!isSilent) return;
      for (const { reader } of outputs) reader.cancel();
    }, LAST_OUTPUT_MS / 2);
    await Promise.all(outputs.map(({ done }) => done));
    clearInterval(timer);
    this.#status = status;
    this.#wake();
  }

  #collect(
    stream: OutputStream,
    reader: ReadableStreamDefaultReader<Uint8Array>,
  ): {
    reader: ReadableStreamDefaultReader<Uint8Array>;
    done: Promise<void>;
  } {
    const decoder = new TextDecoder();
    const read = async () => {
      while (true) {
        const { value, done } = await reader.read();
        if (done) return;
        this.#text[stream] += decoder.decode(value, { stream: true });
        this.#wake();
      }
    };
    return { reader, done: read() };
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  async #until(
    condition: () => boolean,
    what: string,
    timeoutMs: number = DEFAULT_TIMEOUT_MS,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => {
      if (condition()) resolve();
      else if (this.#status !== undefined) {
        reject(this.#failure(
          `Waited for ${what}, but the process ended with code ` +
            `${this.#status.code}${
              this.#status.signal ? ` (${this.#status.signal})` : ""
            }`,
        ));
      }
    };
    const timer = setTimeout(() => {
      reject(this.#failure(`Waited ${timeoutMs} ms in vain for ${what}`));
    }, timeoutMs);
    this.#listeners.add(look);
    look();
    try {
      await promise;
    } finally {
      this.#listeners.delete(look);
      clearTimeout(timer);
    }
  }

  #failure(what: string, cause?: unknown): Error {
    return new Error(
      `${what}\n  program: ${this.#name}\n  standard output: ` +
        `${tail(this.stdout)}\n  standard error: ${tail(this.stderr)}`,
      { cause },
    );
  }
}
