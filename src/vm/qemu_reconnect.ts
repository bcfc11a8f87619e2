/**
 * The option by which the QEMU that is run connects again to a socket.
 *
 * @module
 */
import { captureOutput } from "../async/program_output.ts";
import { isQemuProgram, selectReconnectOption } from "../qemu/arguments.ts";

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
  // One without an answer is started all the same, and says what is wrong.
  const answer = await captureOutput(program, ["--version"], LIMIT_MS);
  const found = answer === undefined ? null : VERSION.exec(answer);
  return found === null
    ? ""
    : `,${selectReconnectOption(Number(found[1]), Number(found[2]))}`;
}
