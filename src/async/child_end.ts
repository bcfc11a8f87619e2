/**
 * Waiting for the end of a child process that was left to itself.
 *
 * @module
 */

/**
 * Keeps this process alive until a child has ended.
 *
 * @returns How it has ended, perhaps long ago.
 */
export async function childEnd(
  child: Deno.ChildProcess,
): Promise<Deno.CommandStatus> {
  try {
    child.ref();
  } catch (error) {
    // It has seen the end, and not reported it yet.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
  return await child.status;
}
