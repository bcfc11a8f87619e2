/**
 * Keeping processes on one CPU.
 *
 * @module
 */

/**
 * Moves all threads of these processes to one CPU, by the `taskset` program.
 *
 * @throws {Error} If it is missing or refuses.
 */
export function pin(pids: readonly number[], cpu = 0): void {
  for (const pid of pids) {
    const { success, stderr } = new Deno.Command("taskset", {
      args: ["--all-tasks", "--cpu-list", "--pid", String(cpu), String(pid)],
    }).outputSync();
    if (success) continue;
    throw new Error(
      `Cannot keep process ${pid} on CPU ${cpu}: ` +
        new TextDecoder().decode(stderr).trim(),
    );
  }
}
