/**
 * Work in turns with others.
 *
 * @module
 */

/** Does work that yields where others may be served. */
export type Run = <T>(work: Iterator<void, T>) => Promise<T>;

/** Work without a place to interrupt it. */
// deno-lint-ignore require-yield
export function* atOnce<T>(work: () => T): Generator<never, T> {
  return work();
}
