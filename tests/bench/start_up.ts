/**
 * Cost of starting Deno by itself.
 *
 * @module
 */

/** Runs a program that does nothing. **Units**: milliseconds, start to end. */
export async function bareStartMs(): Promise<number> {
  const before = performance.now();
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", `${import.meta.dirname}/empty_program.ts`],
    stdout: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("A Deno program that does nothing failed");
  return performance.now() - before;
}
