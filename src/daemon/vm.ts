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
import type { VmSignals } from "./vm_signals.ts";

/** What to run, and how. */
export interface VmOptions {
  /** The VMM's program and its arguments. */
  command: readonly [program: string, ...args: string[]];
  respawn: RespawnRule;
  /** Told of every VM, so that it ends with this process. */
  guardian: VmGuardian;
  /** Where signals arrive, before the VM as well. */
  signals: VmSignals;
  /** Told, in words, of each death and what is done about it. */
  report: (text: string) => void;
}

const STDIN = 0;

/**
 * Runs the VM until it ends and is not to be started again.
 *
 * @returns The exit status: the VMM's own, or 128 and the signal that ended it,
 * or that came before there was one.
 */
export async function runVm(options: VmOptions): Promise<number> {
  const { guardian, signals, report } = options;
  if (signals.endStatus !== undefined) return signals.endStatus;
  const policy = new RespawnPolicy(options.respawn);
  // What a shell is editing its command line with is nothing to go back to.
  const settings = isInForeground() ? terminalSettings(STDIN) : undefined;
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
    if (signals.endStatus !== undefined) return code;
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
    if (signals.endStatus !== undefined) return code;
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
