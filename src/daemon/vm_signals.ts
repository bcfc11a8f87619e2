/**
 * Signals of a process that runs a VM: handed on while there is one, heeded
 * before and after.
 *
 * @module
 */
import { isInForeground } from "../../ffi/terminal.ts";
import { within } from "./within.ts";

/** Signals that the VMM is to deal with. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** Signals that a terminal sends to the VMM itself. */
const OF_TERMINAL: readonly Deno.Signal[] = ["SIGINT", "SIGQUIT"];
/** After one of these no VM is started any more. Their numbers are Linux's. */
const ENDING: ReadonlyMap<Deno.Signal, number> = new Map([
  ["SIGTERM", 15],
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
]);
/** After that long a VMM that was told otherwise hears SIGTERM. **Units**: ms. */
const TERM_LIMIT_MS = 5000;
/** How long a VMM may take to end after it was told to. **Units**: ms. */
const STOP_LIMIT_MS = 15_000;

/** Where signals arrive, from when it is made until it is disposed. */
export class VmSignals implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #ending = Promise.withResolvers<void>();
  readonly #report: (text: string) => void;
  readonly #limits: ReturnType<typeof setTimeout>[] = [];
  #vm: Deno.ChildProcess | undefined;
  #endStatus: number | undefined;

  /** Hears signals from now on; `report` is told, in words, of force. */
  constructor(report: (text: string) => void) {
    this.#report = report;
    for (const signal of [...FORWARDED, ...OF_TERMINAL]) {
      const onSignal = () => this.#take(signal);
      Deno.addSignalListener(signal, onSignal);
      this.#stack.defer(() => Deno.removeSignalListener(signal, onSignal));
    }
  }

  /**
   * What a process ends with that a signal ended, as a shell has it; undefined
   * while no signal was the end.
   */
  get endStatus(): number | undefined {
    return this.#endStatus;
  }

  /** Resolves once everything is to end. */
  get ending(): Promise<void> {
    return this.#ending.promise;
  }

  /** Hands signals on to `vm` until it has ended. */
  async during(vm: Deno.ChildProcess): Promise<Deno.CommandStatus> {
    this.#vm = vm;
    // It may have been told to end a moment before it was started.
    if (this.#endStatus !== undefined) this.#tell("SIGTERM");
    try {
      return await vm.status;
    } finally {
      this.#vm = undefined;
    }
  }

  /** Waits, unless everything is to end. */
  async wait(ms: number): Promise<void> {
    await within(this.#ending.promise, ms);
  }

  [Symbol.dispose](): void {
    for (const limit of this.#limits) clearTimeout(limit);
    this.#stack[Symbol.dispose]();
  }

  #take(signal: Deno.Signal): void {
    // In its foreground the terminal has told the VM itself, most likely: the
    // VM is not told twice. If it was not, SIGTERM follows.
    const isTold = OF_TERMINAL.includes(signal) && isInForeground();
    if (!isTold) this.#tell(signal);
    const number = ENDING.get(signal);
    if (number === undefined || this.#endStatus !== undefined) return;
    this.#endStatus = 128 + number;
    this.#ending.resolve();
    if (signal !== "SIGTERM") {
      this.#limits.push(
        setTimeout(() => this.#tell("SIGTERM"), TERM_LIMIT_MS),
      );
    }
    this.#limits.push(setTimeout(() => this.#force(), STOP_LIMIT_MS));
  }

  #force(): void {
    if (this.#vm === undefined) return;
    const limitS = STOP_LIMIT_MS / 1000;
    this.#report(`the VM did not end within ${limitS} s, and is killed`);
    this.#tell("SIGKILL");
  }

  #tell(signal: Deno.Signal): void {
    try {
      this.#vm?.kill(signal);
    } catch {
      // It has ended in this very moment.
    }
  }
}
