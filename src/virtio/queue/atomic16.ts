/**
 * The two ways in which a ring index in shared memory is touched.
 *
 * JavaScript has one memory order for atomics, sequential consistency, which is
 * stronger than what virtio asks for. The names say what the ring needs at that
 * place. Being sequentially consistent, a `storeRelease16` followed by a
 * `loadAcquire16` of another index has the full barrier in between that the
 * notification rules need (publish, then read the other side's event index).
 *
 * @module
 */

/** Loads an index; later accesses cannot be moved before it. */
export function loadAcquire16(words: Uint16Array, at: number): number {
  return Atomics.load(words, at);
}

/** Stores an index; earlier accesses cannot be moved after it. */
export function storeRelease16(
  words: Uint16Array,
  at: number,
  value: number,
): void {
  Atomics.store(words, at, value);
}
