/**
 * A copy of the executable under test that every user may run, and programs to
 * run it in unusual surroundings.
 *
 * @module
 */
import { ChildProcess, type ProcessOptions } from "../environment/process.ts";
import { EXECUTABLE } from "../environment/program.ts";

/** Limit of a command. **Units**: ms. */
const LIMIT_MS = 120_000;

/** Result of a command. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory that everyone may enter, with a copy of the executable. */
export class Installation implements Disposable {
  /** The directory. */
  readonly directory: string;
  /** The copy. */
  readonly program: string;

  /** Makes the copy. */
  constructor() {
    this.directory = Deno.makeTempDirSync({ prefix: "gpioagg-executable-" });
    Deno.chmodSync(this.directory, 0o755);
    this.program = `${this.directory}/gpioagg`;
    Deno.copyFileSync(EXECUTABLE!, this.program);
    Deno.chmodSync(this.program, 0o755);
  }

  /** Removes the directory. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }
}

/** Runs a command to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: Omit<ProcessOptions, "command" | "args"> = {},
): Promise<Ran> {
  await using process = new ChildProcess({ command, args, ...options });
  const { code } = await process.waitForExit({ timeoutMs: LIMIT_MS });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** Runs a shell script to its end. */
export function shell(script: string, ...args: string[]): Promise<Ran> {
  return run("/bin/sh", ["-euc", script, "sh", ...args]);
}
