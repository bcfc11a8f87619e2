/**
 * The option by which a QEMU connects again to a socket: it has changed its
 * name.
 *
 * @module
 */

/** Limit of the question for the version. **Units**: milliseconds. */
const LIMIT_MS = 5000;

/**
 * Returns the option of a character device of this QEMU, with a comma before
 * it; empty if the program does not say that it is a QEMU.
 *
 * **Blocking**: asynchronous; runs the program with `--version`.
 */
export async function reconnectOption(program: string): Promise<string> {
  try {
    const { stdout } = await new Deno.Command(program, {
      args: ["--version"],
      stdin: "null",
      stderr: "null",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    return reconnectOptionOf(new TextDecoder().decode(stdout));
  } catch {
    // It will be started all the same, and says itself what is wrong.
    return "";
  }
}

/** Returns the same of what a QEMU says of its version. */
export function reconnectOptionOf(text: string): string {
  const [, major, minor] = /^QEMU emulator version (\d+)\.(\d+)/.exec(text) ??
    [];
  if (major === undefined) return "";
  // In milliseconds since 9.2; the option in seconds was removed later.
  const isNew = Number(major) > 9 || major === "9" && Number(minor) >= 2;
  return isNew ? ",reconnect-ms=500" : ",reconnect=1";
}
