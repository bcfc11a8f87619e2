/**
 * What the tools write: at once, whole lines, also into a pipe.
 *
 * @module
 */
import { errnoCodeOf, reasonOf, ToolError } from "./tool_error.ts";
import { UsageError } from "./options.ts";
import { sleepUs } from "./sleep.ts";

/** What a shell sees of a program that SIGPIPE has ended. */
const ENDED_BY_SIGPIPE = 128 + 13;
/** How long to leave a full pipe to its reader before trying again. */
const FULL_PIPE_US = 2000;

const encoder = new TextEncoder();

/** Nobody reads what a tool writes any more. */
export class ReaderGone extends Error {
  override readonly name = "ReaderGone";
}

/**
 * Writes `text` to standard output.
 *
 * @throws {ReaderGone} If it is a pipe without a reader.
 * @throws {ToolError} If it cannot be written (a full disk).
 *
 * **Blocking**: until all of it is written.
 */
export function writeOut(text: string): void {
  writeAll(Deno.stdout, encoder.encode(text));
}

/** Writes one message of a tool to standard error, behind its name. */
export function complain(programName: string, message: string): void {
  try {
    writeAll(Deno.stderr, encoder.encode(`${programName}: ${message}\n`));
  } catch (error) {
    // There is nowhere left to say so; the exit status still does.
    if (!(error instanceof ReaderGone || error instanceof ToolError)) {
      throw error;
    }
  }
}

/** Something that takes bytes: standard output, a file. */
export interface ByteSink {
  writeSync(bytes: Uint8Array): number;
}

/**
 * Writes all of `bytes`, also to a pipe that is full or non-blocking.
 *
 * @throws {ReaderGone} If it is a pipe without a reader.
 * @throws {ToolError} If it cannot be written.
 *
 * **Blocking**: until all of it is written.
 */
export function writeAll(sink: ByteSink, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += sink.writeSync(bytes.subarray(at));
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) {
        sleepUs(FULL_PIPE_US);
      } else if (error instanceof Deno.errors.BrokenPipe) {
        throw new ReaderGone("Cannot write output: its reader is gone", {
          cause: error,
        });
      } else if (!(error instanceof Deno.errors.Interrupted)) {
        throw new ToolError(`unable to write output: ${reasonOf(error)}`, {
          cause: error,
        });
      }
    }
  }
}

/**
 * Runs a tool and turns what it throws into messages and an exit status.
 *
 * Errors that carry no errno and are none of the tools' own are bugs, and pass.
 */
export async function runTool(
  programName: string,
  body: () => number | Promise<number>,
): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof ReaderGone) return ENDED_BY_SIGPIPE;
    if (error instanceof ToolError) {
      for (const line of error.lines) complain(programName, line);
      if (error instanceof UsageError) {
        complain(programName, `try ${programName} --help`);
      }
      return 1;
    }
    if (error instanceof Error && errnoCodeOf(error) !== undefined) {
      complain(programName, error.message);
      return 1;
    }
    throw error;
  }
}
