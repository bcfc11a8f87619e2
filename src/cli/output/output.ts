/**
 * Lines to standard output and standard error.
 *
 * A short command writes them at once. A command on which others depend (it
 * holds lines, it handles signals) calls {@linkcode writeInBackground} first:
 * from then on a full disk, a full pipe or a slow reader neither ends nor
 * delays it.
 *
 * @module
 */
import {
  printable,
  printableBlock,
  printableJson,
} from "../../text/printable.ts";
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import { sleepBlocking } from "../../async/wait.ts";
import { LineQueue } from "./line_queue.ts";

/** Longest line of text from other sources. **Units**: UTF-16 code units. */
const LINE_LIMIT = 4000;
/** Size limit of lines that wait for standard output. **Units**: bytes. */
const OUTPUT_BYTES = 1024 * 1024;
/** Delay before a write to a full pipe is retried. **Units**: microseconds. */
const FULL_PIPE_US = 2000;

/** Absent while lines are written at once. */
let queues: { output: LineQueue; error: LineQueue } | undefined;
const encoder = new TextEncoder();

/** Puts all lines into bounded queues from now on. Idempotent. */
export function writeInBackground(): void {
  surviveFileSizeLimit();
  queues ??= {
    output: new LineQueue(Deno.stdout, {
      lost: (count) => printableJson({ event: "lost", count }),
      maxBytes: OUTPUT_BYTES,
    }),
    error: new LineQueue(Deno.stderr, {
      lost: (count) =>
        `gpioagg: ${count} ${count === 1 ? "message was" : "messages were"} ` +
        "lost: standard error could not be written",
    }),
  };
}

/** Waits until all lines are written, or for `limitMs` at most. */
export async function flushOutput(limitMs: number): Promise<void> {
  if (queues === undefined) return;
  const { output, error } = queues;
  await Promise.all([output.flush(limitMs), error.flush(limitMs)]);
}

/**
 * Writes a block of lines to standard output. A reader that has ended is not an
 * error.
 *
 * @throws {Error} If it is written at once and that fails, as on a full disk.
 */
export function writeOutput(text: string): void {
  output(printableBlock(text));
}

/**
 * Writes one line, of any characters, to standard output.
 *
 * @throws {Error} As {@linkcode writeOutput}.
 */
export function writeLine(text: string): void {
  output(printable(text, LINE_LIMIT));
}

/** Writes one line to standard error, under the program's name. Never throws. */
export function writeError(text: string): void {
  const line = `gpioagg: ${printable(text, LINE_LIMIT)}`;
  if (queues !== undefined) return queues.error.push(line);
  try {
    writeAtOnce(Deno.stderr, line);
  } catch {
    // There is no other output for it; the exit status reports it.
  }
}

function output(text: string): void {
  if (queues !== undefined) return queues.output.push(text);
  try {
    writeAtOnce(Deno.stdout, text);
  } catch (cause) {
    throw new Error(`Cannot write to standard output: ${errorMessage(cause)}`, {
      cause,
    });
  }
}

function writeAtOnce(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  text: string,
): void {
  const bytes = encoder.encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) {
    try {
      at += stream.writeSync(bytes.subarray(at));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return;
      // Another process has made our end of a pipe nonblocking.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      sleepBlocking(FULL_PIPE_US);
    }
  }
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
