/**
 * Output of the tools: unbuffered, whole lines, also into a pipe.
 *
 * @module
 */
import {
  explainError,
  findErrnoCode,
  type Suggest,
  ToolError,
} from "./tool_error.ts";
import { UsageError } from "./options.ts";
import { sleepBlocking } from "../../async/wait.ts";
import { printable } from "../../text/printable.ts";

/** Exit status, in a shell, of a program that SIGPIPE has ended. */
const ENDED_BY_SIGPIPE = 128 + 13;
/** Delay before a write to a full pipe is retried. */
const FULL_PIPE_US = 2000;
/** Longest message. **Units**: UTF-16 code units. */
const MESSAGE_LIMIT = 4096;

const encoder = new TextEncoder();

/** The output of the tool has no reader any more. */
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

/** Writes one message of a tool to standard error, after its name. */
export function printError(programName: string, message: string): void {
  try {
    writeAll(
      Deno.stderr,
      encoder.encode(
        `${printable(programName)}: ${printable(message, MESSAGE_LIMIT)}\n`,
      ),
    );
  } catch (error) {
    // There is no other output for it; the exit status reports it.
    if (!(error instanceof ReaderGone || error instanceof ToolError)) {
      throw error;
    }
  }
}

/**
 * Writes what was probably meant, unless the tool was called by its libgpiod
 * name: then its output is libgpiod's.
 */
export function printSuggestions(programName: string, suggest: Suggest): void {
  if (!isOwnName(programName)) return;
  for (const name of suggest()) {
    printError(programName, `did you mean '${name}'?`);
  }
}

/** Returns false for a tool that was called by its libgpiod name. */
function isOwnName(programName: string): boolean {
  return programName.startsWith("gpioagg");
}

/** A destination of bytes: standard output, a file. */
export interface ByteSink {
  writeSync(bytes: Uint8Array): number;
}

/**
 * Writes all of `bytes`, also to a pipe that is full or nonblocking.
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
        sleepBlocking(FULL_PIPE_US);
      } else if (error instanceof Deno.errors.BrokenPipe) {
        throw new ReaderGone("Cannot write output: its reader is gone", {
          cause: error,
        });
      } else if (!(error instanceof Deno.errors.Interrupted)) {
        throw new ToolError(`unable to write output: ${explainError(error)}`, {
          cause: error,
        });
      }
    }
  }
}

/**
 * Runs a tool and converts its errors to messages and an exit status.
 *
 * Errors without an errno that are not the tools' own are bugs, and pass.
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
      for (const line of error.lines) printError(programName, line);
      printSuggestions(programName, error.suggest);
      if (error.advice !== undefined && isOwnName(programName)) {
        printError(programName, error.advice);
      }
      if (error instanceof UsageError) {
        printError(programName, `try ${programName} --help`);
      }
      return 1;
    }
    if (error instanceof Error && findErrnoCode(error) !== undefined) {
      printError(programName, error.message);
      return 1;
    }
    throw error;
  }
}
