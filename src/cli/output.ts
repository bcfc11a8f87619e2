/**
 * Lines to standard output and standard error, written at once.
 *
 * @module
 */

/** Writes a line to standard output. A reader that has gone away is no error. */
export function writeOutput(text: string): void {
  write(Deno.stdout, text + "\n");
}

/** Writes a line to standard error, under the program's name. */
export function writeError(text: string): void {
  write(Deno.stderr, `gpioagg: ${text}\n`);
}

function write(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  text: string,
): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) {
      at += stream.writeSync(bytes.subarray(at));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
