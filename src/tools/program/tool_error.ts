/**
 * Failures of the tools: one or several lines on standard error, exit status 1.
 *
 * @module
 */
import { findErrno, libcErrorText } from "../../../ffi/errno.ts";
import { plainMessage } from "../../text/plain_error.ts";

/**
 * Finds the names that were probably meant by those that are not there.
 *
 * **Blocking**: opens chips.
 */
export type Suggest = () => readonly string[];

/**
 * Failure of a tool, as the text to print to standard error after the program's
 * name.
 */
export class ToolError extends Error {
  /** The lines to print, each after the program's name. */
  readonly lines: readonly string[];
  /** Finds names that were probably meant. */
  readonly suggest: Suggest;
  /** One line that says what to do; undefined if there is nothing to say. */
  readonly advice: string | undefined;

  /** Takes one line, or several for several failures. */
  constructor(
    lines: string | readonly string[],
    options: ErrorOptions & {
      readonly suggest?: Suggest | undefined;
      readonly advice?: string | undefined;
    } = {},
  ) {
    const all = typeof lines === "string" ? [lines] : [...lines];
    super(all.join("; "), options);
    this.name = "ToolError";
    this.lines = all;
    this.suggest = options.suggest ?? (() => []);
    this.advice = options.advice;
  }
}

/**
 * Returns the reason of `error`: the C library's text of the first error in its
 * chain of causes that has an errno code, or else its message.
 */
export function explainError(error: unknown): string {
  const code = findErrnoCode(error);
  if (code !== undefined) return libcText(code);
  return error instanceof Error ? plainMessage(error.message) : String(error);
}

/**
 * Returns the C library's text of an errno code such as "EBUSY": scripts around
 * libgpiod's tools match on it.
 */
export function libcText(code: string): string {
  const errno = findErrno(code);
  return errno === undefined ? code : libcErrorText(errno);
}

/**
 * Returns the errno code ("EBUSY") of `error` or its causes, if there is one.
 */
export function findErrnoCode(error: unknown): string | undefined {
  let at: unknown = error;
  for (let depth = 0; at instanceof Error && depth < 8; depth++) {
    if ("code" in at && typeof at.code === "string") return at.code;
    at = at.cause;
  }
  return undefined;
}
