/**
 * A process with a guardian that can die for it: the guardian's pipe ends, as
 * the kernel ends it with the process, and the test goes on.
 *
 * @module
 */

/** Name by which the guardian's shell is called. */
const GUARDIAN = "gpioagg-guardian";

/** Guardians of this isolate, until disposed. */
export class MortalRun implements Disposable {
  readonly #RealCommand = Deno.Command;
  readonly #guardians: {
    child: Deno.ChildProcess;
    pipe: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
    text: Promise<string>;
  }[] = [];
  /** Set if no guardian can be started. */
  refusal: Error | undefined;

  /** Has guardians started by this double from now on. */
  constructor() {
    const RealCommand = this.#RealCommand;
    const guard = (options: Deno.CommandOptions) => this.#guard(options);
    const replacement = function (
      command: string | URL,
      options: Deno.CommandOptions = {},
    ): Deno.Command {
      return options.args?.includes(GUARDIAN) === true
        ? { spawn: () => guard(options) } as Deno.Command
        : new RealCommand(command, options);
    };
    Object.assign(Deno, { Command: replacement });
  }

  /** Number of guardians that were started. */
  get count(): number {
    return this.#guardians.length;
  }

  /**
   * Dies, as far as the last guardian sees it.
   *
   * @returns What the guardian has said when it has ended.
   */
  async die(): Promise<string> {
    const { child, pipe, text } = this.#guardians.at(-1)!;
    child.ref();
    await child.stdout.cancel();
    await pipe.close();
    await child.status;
    return await text;
  }

  [Symbol.dispose](): void {
    Object.assign(Deno, { Command: this.#RealCommand });
  }

  #guard(options: Deno.CommandOptions): Deno.ChildProcess {
    if (this.refusal !== undefined) throw this.refusal;
    const command = new this.#RealCommand("/bin/sh", {
      ...options,
      stderr: "piped",
    });
    const child = command.spawn();
    const pipe = child.stdin.getWriter();
    this.#guardians.push({
      child,
      pipe,
      text: new Response(child.stderr).text(),
    });
    const stdin = new WritableStream<Uint8Array<ArrayBuffer>>({
      write: (bytes) => pipe.write(bytes),
      close: () => pipe.close(),
    });
    return {
      pid: child.pid,
      status: child.status,
      stdout: child.stdout,
      stdin,
      kill: (signal: Deno.Signal) => child.kill(signal),
      ref: () => child.ref(),
      unref: () => child.unref(),
    } as unknown as Deno.ChildProcess;
  }
}
