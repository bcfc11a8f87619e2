/**
 * Waiting for what the kernel or another process is about to do.
 *
 * @module
 */

const STEP_MS = 10;

/**
 * Waits until `condition` holds, at most `limitMs` milliseconds.
 *
 * @returns Whether it did.
 */
export async function until(
  condition: () => boolean,
  limitMs: number,
): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() >= deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
  return true;
}
