/**
 * Signals of a process that runs a VM: forwarded while there is one, handled
 * before and after.
 *
 * @module
 */
import { isInForeground } from "../../ffi/terminal.ts";
import { settlesWithin } from "../async/wait.ts";

/** Signals that are forwarded to the VMM. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** Signals that a terminal sends to the VMM itself. */
const OF_TERMINAL: readonly Deno.Signal[] = ["SIGINT", "SIGQUIT"];
/** Signals after which no VM is started any more. The numbers are Linux's. */
const ENDING: ReadonlyMap<Deno.Signal, number> = new Map([
  ["SIGTERM", 15],
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
]);
/**
 * Time after which a VMM that got another signal gets SIGTERM. **Units**: ms.
 */
const TERM_LIMIT_MS = 5000;
/** Time limit for a VMM to end after a signal. **Units**: ms. */
const STOP_LIMIT_MS = 15_000;

/** Receives signals from its construction until it is disposed. */
export class VmSignals implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #ending = Promise.withResolvers<void>();
  readonly #report: (text: string) => void;
  readonly #limits: ReturnType<typeof setTimeout>[] = [];
  #vm: Deno.ChildProcess | undefined;
  #endStatus: number | undefined;

  /** Receives signals from now on; `report` gets a text if force is used. */
  constructor(report: (text: string) => void) {
    this.#report = report;
    for (const signal of [...FORWARDED, ...OF_TERMINAL]) {
      const onSignal = () => this.#take(signal);
      Deno.addSignalListener(signal, onSignal);
      this.#stack.defer(() => Deno.removeSignalListener(signal, onSignal));
    }
  }

  /**
   * Returns the exit status after a signal, as a shell has it; undefined if
   * there was none.
   */
  get endStatus(): number | undefined {
    return this.#endStatus;
  }

  /** Resolves once the process is to end. */
  get ending(): Promise<void> {
    return this.#ending.promise;
  }

  /** Forwards signals to `vm` until it has ended. */
  async during(vm: Deno.ChildProcess): Promise<Deno.CommandStatus> {
    this.#vm = vm;
    // A stop may have been requested just before it was started.
    if (this.#endStatus !== undefined) this.#tell("SIGTERM");
    try {
      return await vm.status;
    } finally {
      this.#vm = undefined;
    }
  }

  /** Waits, unless the process is to end. */
  async wait(ms: number): Promise<void> {
    await settlesWithin(this.#ending.promise, ms);
  }

  [Symbol.dispose](): void {
    for (const limit of this.#limits) clearTimeout(limit);
    this.#stack[Symbol.dispose]();
  }

  #take(signal: Deno.Signal): void {
    // In the foreground the terminal has probably signalled the VM itself: it
    // does not get the signal twice. If it did not, SIGTERM follows.
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
      // It has just ended.
    }
  }
}
