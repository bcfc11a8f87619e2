/**
 * The option by which the QEMU that is run connects again to a socket.
 *
 * @module
 */
import { isQemuProgram, reconnectOptionOf } from "../qemu/arguments.ts";

/** Limit of the question for the version. **Units**: milliseconds. */
const LIMIT_MS = 5000;
const VERSION = /^QEMU emulator version (\d+)\.(\d+)/;

/**
 * Returns the option of a character device of this QEMU, with a comma before
 * it; empty if the program is not a QEMU, by its file's name or its answer.
 *
 * **Blocking**: asynchronous; runs the program with `--version`, if it has a
 * QEMU's name. A script of the user's would start its VM instead.
 */
export async function reconnectOption(program: string): Promise<string> {
  if (!isQemuProgram(program)) return "";
  try {
    const { stdout } = await new Deno.Command(program, {
      args: ["--version"],
      stdin: "null",
      stderr: "null",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    const found = VERSION.exec(new TextDecoder().decode(stdout));
    return found === null
      ? ""
      : `,${reconnectOptionOf(Number(found[1]), Number(found[2]))}`;
  } catch {
    // It will be started all the same, and says itself what is wrong.
    return "";
  }
}
