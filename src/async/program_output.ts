/**
 * Output of a program, within limits: it may be any file of this host.
 *
 * @module
 */
import { settlesWithin } from "./wait.ts";

/** More than any program that is asked here has to say. **Units**: bytes. */
const MAX_BYTES = 1 << 20;

/**
 * Runs a program to its end.
 *
 * @param limitMs Time after which it is killed. What it has started itself is
 * left alone, and not waited for either.
 * @returns Its standard output; undefined if it cannot be run, fails, prints too
 * much, or has not ended in time.
 */
export async function captureOutput(
  program: string,
  args: readonly string[],
  limitMs: number,
): Promise<string | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    // Whatever is in its place, there is no such program.
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
  const reader = child.stdout.getReader();
  const text = readText(reader);
  const { status } = child;
  let isOver = false;
  try {
    isOver = await settlesWithin(Promise.all([text, status]), limitMs);
  } finally {
    if (!isOver) await end(child, reader);
  }
  if (!isOver) return undefined;
  const { success } = await status;
  return success ? await text : undefined;
}

/** Reads all; undefined for too much, of which the rest is not read. */
async function readText(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.length;
    if (length > MAX_BYTES) {
      await reader.cancel();
      return undefined;
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** Kills a program, which nothing waits for any more. */
async function end(
  child: Deno.ChildProcess,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<void> {
  child.unref();
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended; what it started has its standard output.
  }
  await reader.cancel();
}
