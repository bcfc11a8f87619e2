/**
 * `gpioagg run` as a process of a test.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { ChildProcess, type ProcessOptions } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

/** Starts one; `options` are the process's. */
export function startRun(
  args: readonly string[],
  vmm: readonly string[],
  options: Pick<ProcessOptions, "cwd" | "env"> = {},
): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "run", ...args, "--", ...vmm],
    ...options,
  });
}

/** Runs `action` with a directory of its own. */
export async function withDirectory(
  action: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-run-test-" });
  try {
    await action(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A connection to the control API carries one thing after another. */
export function isRunning(pid: number): boolean {
  const stat = readSmallFile(`/proc/${pid}/stat`);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

/** The guardian among the children of a `run`, while it runs. */
export function findGuardian(pid: number): number | undefined {
  return listDirectory("/proc").map(Number).find((child) =>
    isRunning(child) && readParent(child) === pid &&
    readSmallFile(`/proc/${child}/cmdline`)?.includes("\0gpioagg-guardian\0")
  );
}

function readParent(pid: number): number {
  const stat = readSmallFile(`/proc/${pid}/stat`) ?? "";
  // The program's name, in parentheses, may hold anything.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/** A shell that takes signals in between and not only at its end. */
export const waiting = (trap: string) =>
  `${trap}; echo started; while :; do sleep 0.05; done`;
