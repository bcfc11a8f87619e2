/**
 * Runs a VMM, and restarts it if configured.
 *
 * @module
 */
import {
  isInForeground,
  setTerminalSettings,
  terminalSettings,
} from "../../ffi/terminal.ts";
import { RespawnPolicy, type RespawnRule } from "./respawn_policy.ts";
import type { VmGuardian } from "./guardian.ts";
import type { VmSignals } from "./signals.ts";
import { USABLE_PATH } from "./usable_path.ts";

/** The VMM, and how it is run. */
interface VmOptions {
  /** The VMM's program and its arguments. */
  command: readonly [program: string, ...args: string[]];
  respawn: RespawnRule;
  /** Is notified of every VM, so that it ends with this process. */
  guardian: VmGuardian;
  /** Receives signals, also before the VM is started. */
  signals: VmSignals;
  /** Receives a text about each end of a VM and its consequence. */
  report: (text: string) => void;
  /** Returns advice after a VM that failed, if there is any. */
  adviceAfterFailure?: () => string | undefined;
}

const STDIN = 0;

/**
 * Runs the VM until it ends and is not to be started again.
 *
 * @returns The exit status: the VMM's own, or 128 plus the signal that ended it
 * or came before it started.
 */
export async function runVm(options: VmOptions): Promise<number> {
  const { guardian, signals, report } = options;
  if (signals.endStatus !== undefined) return signals.endStatus;
  const policy = new RespawnPolicy(options.respawn);
  // A shell's settings while it edits its command line are not restored.
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
    // A killed VMM leaves the terminal in raw mode, for the next one as well.
    if (settings !== undefined && isInForeground()) {
      setTerminalSettings(STDIN, settings);
    }
    // Deno reports a signal as a shell does: 128 plus its number.
    if (signals.endStatus !== undefined) return code;
    const ranMs = performance.now() - start;
    const how = signal === null ? `with status ${code}` : `by ${signal}`;
    const delayMs = policy.delayAfter({ success, ranMs });
    const advice = success ? undefined : options.adviceAfterFailure?.();
    if (delayMs === undefined) {
      if (!success) report(`the VM ended ${how}`);
      if (advice !== undefined) report(advice);
      return code;
    }
    report(
      `the VM ended ${how} after ${(ranMs / 1000).toFixed(1)} s; ` +
        `it is started again in ${delayMs / 1000} s`,
    );
    if (advice !== undefined) report(advice);
    await signals.wait(delayMs);
    if (signals.endStatus !== undefined) return code;
  }
}

/**
 * As a shell does: 127 if there is no program $1, 126 if it is not executable.
 */
const FIND_PROGRAM = `${USABLE_PATH}
case $1 in
  */*)
    [ -e "$1" ] || exit 127
    [ -f "$1" ] && [ -x "$1" ] || exit 126
    ;;
  *) command -v -- "$1" >/dev/null || exit 127 ;;
esac
`;

/**
 * Looks for the VMM before anything is made for it. Later it may be missing for
 * a while, during an upgrade: that counts as a failed start.
 *
 * @throws {Error} If no such program.
 */
export async function checkProgram(program: string): Promise<void> {
  const { code } = await new Deno.Command("/bin/sh", {
    args: ["-c", FIND_PROGRAM, "gpioagg-vm", program],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  if (code === 0) return;
  const why = code === 127 ? "no such program" : "it is not executable";
  throw new Error(`Cannot start ${program}: ${why}`);
}
