/**
 * Tests whose subject is a size, such as the most lines of a device or a file
 * with nothing but errors: they take a quarter of the time of all unit tests.
 *
 * @module
 */

/**
 * Environment variable: `none` in a run without such tests, as `deno task ok`
 * is; `deno task test` and the gate with coverage have them.
 */
export const LARGE_VARIABLE = "GPIOAGG_TEST_LARGE";

type TestBody = () => void | Promise<void>;

/**
 * Defines a test whose subject is a size.
 *
 * @param define Defines it where it is run. Default: `Deno.test`.
 */
export function testLarge(
  name: string,
  body: TestBody,
  define: (name: string, body: TestBody) => void = Deno.test,
): void {
  if (Deno.env.get(LARGE_VARIABLE) !== "none") define(name, body);
}
