/**
 * Commands that end by themselves, without a process each: the start of one
 * takes seconds in a host of User-Mode Linux.
 *
 * @module
 */
import { type Captured, gpioagg } from "../doubles/program/captured.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { EXECUTABLE, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

/**
 * Runs a command of gpioagg in this isolate, one at a time; where the executable
 * is tested, in a process.
 */
export function command(...args: readonly string[]): Promise<Captured> {
  return EXECUTABLE === undefined ? gpioagg(args) : commandProcess(...args);
}

/** Runs a command of gpioagg in a process. */
export async function commandProcess(
  ...args: readonly string[]
): Promise<Captured> {
  const { code, stdout, stderr } = await new Deno.Command(PROGRAM_FILE, {
    args: [...PROGRAM, ...args],
    cwd: REPOSITORY,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
