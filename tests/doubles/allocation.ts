/**
 * Heap use of a piece of work, for tests of hot paths.
 *
 * @module
 */
import { assert } from "@std/assert";

/** The smallest thing that could be allocated takes 12 bytes or more. */
const NOTHING = 2;
const ROUND = 20_000;
/** The compiler has a thread of its own, which a busy machine makes wait. */
const MAX_ROUNDS = 200;

/** Heap bytes per piece of work, once everything is compiled. */
function bytesPer(work: (count: number) => void): number {
  let least = Infinity;
  let last = Infinity;
  for (let i = 0; i < MAX_ROUNDS && least >= NOTHING; i++) {
    const before = Deno.memoryUsage().heapUsed;
    work(ROUND);
    const grown = (Deno.memoryUsage().heapUsed - before) / ROUND;
    // A collection in between makes it negative, or by chance next to nothing:
    // that is no measurement, and never comes twice in a row.
    const bytes = grown < 0 ? Infinity : grown;
    least = Math.min(least, Math.max(last, bytes));
    last = bytes;
  }
  return least;
}

/**
 * Does `work` with a count of pieces, again and again.
 *
 * @throws {AssertionError} If a piece allocates anything.
 */
export function assertAllocatesNothing(work: (count: number) => void): void {
  const bytes = bytesPer(work);
  assert(bytes < NOTHING, `${bytes} bytes for a piece of work`);
}
