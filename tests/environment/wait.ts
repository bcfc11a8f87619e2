/**
 * Waiting for conditions, never for guesses.
 *
 * @module
 */

/**
 * Waits until `condition` holds, looking every 50 ms.
 *
 * @throws {Error} When it does not within the limit; says what was awaited.
 */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  limitMs = 120_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!await condition()) {
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${limitMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
