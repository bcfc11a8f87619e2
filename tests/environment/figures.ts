/**
 * Times that tests measure and do not judge: machines are as fast as they are.
 *
 * @module
 */

/** Variable that names the file to which they are appended. */
const VARIABLE = "GPIOAGG_FIGURES";

/** Notes a time, for readers of the file that `GPIOAGG_FIGURES` names. */
export function noteTime(what: string, ms: number): void {
  const path = Deno.env.get(VARIABLE);
  if (path === undefined || path === "") return;
  Deno.writeTextFileSync(path, `${what}: ${Math.round(ms)} ms\n`, {
    append: true,
  });
}
