/**
 * Runs a VMM, again and again if asked to, for as long as it is wanted.
 *
 * @module
 */
import {
  isInForeground,
  setTerminalSettings,
  terminalSettings,
} from "../../ffi/terminal.ts";
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
/** After that long a VMM that was told otherwise hears SIGTERM. **Units**: ms. */
const TERM_LIMIT_MS = 5000;
/** How long a VMM may take to end after it was told to. **Units**: ms. */
const STOP_LIMIT_MS = 15_000;
const STDIN = 0;

/**
 * Runs the VM until it ends and is not to be started again.
 *
 * @returns The exit status: the VMM's own, or 128 and the signal that ended it.
 */
export async function runVm(options: VmOptions): Promise<number> {
  const { guardian, report } = options;
  const policy = new RespawnPolicy(options.respawn);
  // What a shell is editing its command line with is nothing to go back to.
  const settings = isInForeground() ? terminalSettings(STDIN) : undefined;
  using signals = new SignalDesk(report);
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
    // A VMM that was killed leaves the terminal raw, for the next one as well.
    if (settings !== undefined && isInForeground()) {
      setTerminalSettings(STDIN, settings);
    }
    // Deno gives a signal as a shell does: 128 and its number.
    if (signals.isEnding) return code;
    const ranMs = performance.now() - start;
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

/** As a shell has it: 127 if there is no program $1, 126 if it is none. */
const FIND_PROGRAM = `
case $1 in
  */*)
    [ -e "$1" ] || exit 127
    [ -f "$1" ] && [ -x "$1" ] || exit 126
    ;;
  *) command -v -- "$1" >/dev/null || exit 127 ;;
esac
`;

/**
 * Looks for the VMM before anything is made for it. Later it may be away for a
 * while, when it is upgraded: that is a start that failed.
 *
 * @throws {Error} If there is no such program.
 */
export async function checkProgram(program: string): Promise<void> {
  const { code } = await new Deno.Command("/bin/sh", {
    args: ["-c", FIND_PROGRAM, "gpioagg-vm", program],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  if (code === 0) return;
  const why = code === 127
    ? "there is no such program"
    : "it is no program that can be run";
  throw new Error(`Cannot start ${program}: ${why}`);
}

/** Where signals arrive: handed on to the VM while there is one. */
class SignalDesk implements Disposable {
  readonly #stack = new DisposableStack();
  readonly #ending = Promise.withResolvers<void>();
  #vm: Deno.ChildProcess | undefined;
  #isEnding = false;
  readonly #report: (text: string) => void;
  readonly #limits: ReturnType<typeof setTimeout>[] = [];

  constructor(report: (text: string) => void) {
    this.#report = report;
    for (const signal of [...FORWARDED, ...OF_TERMINAL]) {
      const isOfTerminal = (OF_TERMINAL as readonly string[]).includes(signal);
      const onSignal = () => this.#take(signal, isOfTerminal);
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
    for (const limit of this.#limits) clearTimeout(limit);
    this.#stack[Symbol.dispose]();
  }

  #take(signal: Deno.Signal, isOfTerminal: boolean): void {
    // In its foreground the terminal has told the VM itself, most likely: the
    // VM is not told twice. If it was not, SIGTERM follows.
    if (!isOfTerminal || !isInForeground()) this.#tell(signal);
    if (!ENDING.includes(signal) || this.#isEnding) return;
    this.#isEnding = true;
    this.#ending.resolve();
    if (signal !== "SIGTERM") {
      this.#limits.push(
        setTimeout(() => this.#tell("SIGTERM"), TERM_LIMIT_MS),
      );
    }
    this.#limits.push(
      setTimeout(() => {
        const limitS = STOP_LIMIT_MS / 1000;
        this.#report(`the VM did not end within ${limitS} s, and is killed`);
        this.#tell("SIGKILL");
      }, STOP_LIMIT_MS),
    );
  }

  #tell(signal: Deno.Signal): void {
    try {
      this.#vm?.kill(signal);
    } catch {
      // It has ended in this very moment.
    }
  }
}
