/**
 * Number of repetitions in tests of what must hold each time.
 *
 * @module
 */

/** Variable that asks for as many rounds as a release gets. */
const VARIABLE = "GPIOAGG_ALL_ROUNDS";

/**
 * Returns the count of rounds: `all` before a release, `some` in each run of
 * the tests, where they are a matter of minutes.
 */
export function rounds(all: number, some: number): number {
  return Deno.env.get(VARIABLE) === "1" ? all : some;
}
