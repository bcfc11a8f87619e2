/**
 * Runs tests that were written for processes and simulated chips in this
 * isolate: on the kernel double, with the program in Workers.
 *
 * @module
 */
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { runProgramsInside } from "../doubles/program/command.ts";

type Body = () => Promise<void> | void;

/**
 * Registers the tests of a module, each with a kernel double of its own.
 *
 * @param load Imports the module.
 * @param except Names of tests that need the real kernel or processes.
 * @throws {Error} If a name in `except` is that of no test.
 */
export async function inside(
  load: () => Promise<unknown>,
  except: readonly string[] = [],
): Promise<void> {
  const register = Deno.test;
  const left = new Set(except);
  const registerInside = (
    given: string | Deno.TestDefinition,
    body?: Body,
  ): void => {
    const name = typeof given === "string" ? given : given.name;
    const run = typeof given === "string" ? body! : given.fn as Body;
    if (left.delete(name)) return;
    register(name, async () => {
      using _kernel = GpioKernel.install();
      using _programs = runProgramsInside();
      await run();
    });
  };
  Object.assign(Deno, { test: registerInside });
  try {
    await load();
  } finally {
    Object.assign(Deno, { test: register });
  }
  if (left.size > 0) throw new Error(`no such tests: ${[...left].join("; ")}`);
}
