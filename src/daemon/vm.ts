/**
 * Runs a VMM, again and again if asked to, for as long as it is wanted.
 *
 * @module
 */
import { RespawnPolicy, type RespawnRule } from "./respawn_policy.ts";
import type { VmGuardian } from "./vm_guardian.ts";

/** What to run, and how. */
export interface VmOptions {
  /** The VMM's program and its arguments. */
  command: readonly [program: string, ...args: string[]];
  respawn: RespawnRule;
  /** Told of every VM, so that it ends with this process. */
  guardian: VmGuardian;
  /** Told, in words, of each death and what is done about it. */
  report: (text: string) => void;
}

/** Signals that the VMM is to deal with. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** Signals that a terminal sends to the VMM itself. */
const OF_TERMINAL = ["SIGINT", "SIGQUIT"] as const;
/** After one of these no VM is started any more. */
const ENDING: readonly Deno.Signal[] = [
  "SIGTERM",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
];
/** How long a VMM may take to end after it was told to. **Units**: ms. */
const STOP_LIMIT_MS = 15_000;

/**
 * Runs the VM until it ends and is not to be started again.
 *
 * @returns The exit status: the VMM's own, or 128 and the signal that ended it.
 * @throws {Error} If the VMM cannot be started at all.
 */
export async function runVm(options: VmOptions): Promise<number> {
  const { guardian, report } = options;
  const policy = new RespawnPolicy(options.respawn);
  using signals = new SignalDesk(Deno.stdin.isTerminal());
  for (;;) {
    const start = performance.now();
    const { program, args } = guardian.commandFor(options.command);
    const vm = new Deno.Command(program, {
      args,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    guardian.lookAfter(vm.pid);
    const { code, signal, success } = await signals.during(vm);
    await guardian.forget();
    // Deno gives a signal as a shell does: 128 and its number.
    if (signals.isEnding) return code;
    const ranMs = performance.now() - start;
    checkStarted(options.command[0], code, ranMs);
    const how = signal === null ? `with status ${code}` : `by ${signal}`;
    const delayMs = policy.delayAfter({ success, ranMs });
    if (delayMs === undefined) {
      if (!success) report(`the VM ended ${how}`);
      return code;
    }
    report(
      `the VM ended ${how} after ${(ranMs / 1000).toFixed(1)} s; ` +
        `it is started again in ${delayMs / 1000} s`,
    );
    await signals.wait(delayMs);
    if (signals.isEnding) return code;
  }
}

/** A shell's words for a program that is not there, or is none. */
const NOT_STARTED: Readonly<Record<number, string>> = {
  126: "it is no program that can be run",
  127: "there is no such program",
};
/** What ends later with such a status was started. **Units**: ms. */
const START_LIMIT_MS = 1000;

/** @throws {Error} If the VMM was not even started. */
function checkStarted(program: string, code: number, ranMs: number): void {
  const why = NOT_STARTED[code];
  if (why !== undefined && ranMs < START_LIMIT_MS) {
    throw new Error(`Cannot start ${program}: ${why}`);
  }
}

/** Where signals arrive: handed on to the VM while there is one. */
class SignalDesk implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #ending = Promise.withResolvers<void>();
  #vm: Deno.ChildProcess | undefined;
  #isEnding = false;
  #limit: ReturnType<typeof setTimeout> | undefined;

  constructor(hasTerminal: boolean) {
    for (const signal of [...FORWARDED, ...OF_TERMINAL]) {
      // The terminal has told the VM itself.
      const isTold = hasTerminal &&
        (OF_TERMINAL as readonly string[]).includes(signal);
      const onSignal = () => this.#take(signal, isTold);
      Deno.addSignalListener(signal, onSignal);
      this.#stack.defer(() => Deno.removeSignalListener(signal, onSignal));
    }
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Hands signals on to `vm` until it has ended. */
  async during(vm: Deno.ChildProcess): Promise<Deno.CommandStatus> {
    this.#vm = vm;
    // It may have been told to end a moment before it was started.
    if (this.#isEnding) this.#tell("SIGTERM");
    try {
      return await vm.status;
    } finally {
      this.#vm = undefined;
      clearTimeout(this.#limit);
    }
  }

  /** Waits, unless everything is to end. */
  async wait(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([
      this.#ending.promise,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
    ]);
    clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }

  #take(signal: Deno.Signal, isTold: boolean): void {
    if (!isTold) this.#tell(signal);
    if (!ENDING.includes(signal)) return;
    this.#isEnding = true;
    this.#ending.resolve();
    this.#limit ??= setTimeout(() => this.#tell("SIGKILL"), STOP_LIMIT_MS);
  }

  #tell(signal: Deno.Signal): void {
    try {
      this.#vm?.kill(signal);
    } catch {
      // It has ended in this very moment.
    }
  }
}
