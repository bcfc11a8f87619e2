/**
 * Keeping processes on one CPU.
 *
 * @module
 */

/**
 * Moves all threads of these processes to CPU 0, by the `taskset` program.
 *
 * @throws {Error} If it is missing or refuses.
 */
export function pin(pids: readonly number[]): void {
  for (const pid of pids) {
    const { success, stderr } = new Deno.Command("taskset", {
      args: ["--all-tasks", "--cpu-list", "--pid", "0", String(pid)],
    }).outputSync();
    if (success) continue;
    throw new Error(
      `Cannot keep process ${pid} on CPU 0: ` +
        new TextDecoder().decode(stderr).trim(),
    );
  }
}
