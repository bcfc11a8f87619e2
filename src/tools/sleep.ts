/**
 * Waiting without the event loop, for tools that do nothing else meanwhile.
 *
 * @module
 */

/** Nobody ever notifies it: waiting on it is sleeping. */
const never = new Int32Array(new SharedArrayBuffer(4));
/** What a timer takes at most; longer waits are made of several. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Sleeps.
 *
 * **Units**: microseconds. **Blocking**: the whole isolate; a signal that has no
 * handler ends the program all the same.
 */
export function sleepUs(us: number): void {
  const end = performance.now() + us / 1000;
  for (let left = us / 1000; left > 0; left = end - performance.now()) {
    Atomics.wait(never, 0, 0, Math.min(left, LONGEST_MS));
  }
}
