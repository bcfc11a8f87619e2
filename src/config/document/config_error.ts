/**
 * Errors in the user's settings.
 *
 * @module
 */
import { printable } from "../../text/printable.ts";

/** Longest path, problem or hint. **Units**: UTF-16 code units. */
const TEXT_LIMIT = 2048;

/** Position in a configuration. */
export interface ConfigPosition {
  /** The file, or `command line`. */
  file: string;
  /** First line is 1; 0 where there are no lines (a command line). */
  line: number;
  /** First column is 1; 0 where there are no columns. */
  column: number;
  /** Keys from the root (`aggregators.plc0.lines[2].safe`), or the switch and its argument. */
  path: string;
}

/** Options of {@linkcode ConfigError}. */
interface ConfigErrorOptions extends Partial<ConfigPosition> {
  /** One line that says what to do. */
  hint?: string | undefined;
  /**
   * True if it is about something that may be there at another time, as a chip:
   * the exit status is 1.
   */
  isAbsent?: boolean;
  /** Error that caused this one. */
  cause?: unknown;
}

/**
 * An invalid configuration, command line or request; exit status 2, or 1 if what
 * it names is absent.
 *
 * The message is one line: the position, then the problem.
 */
export class ConfigError extends Error implements ConfigPosition {
  override readonly name = "ConfigError";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  /** One line that says what to do; may be empty. */
  readonly hint: string;
  /** Problem, without the position. */
  readonly problem: string;
  /** True if it is about something that may be there at another time. */
  readonly isAbsent: boolean;

  /** Makes the error for `problem` at a position. */
  constructor(problem: string, options: ConfigErrorOptions = {}) {
    const { file = "command line", line = 0, column = 0 } = options;
    // All texts may quote input of others.
    const path = printable(options.path ?? "", TEXT_LIMIT);
    const shown = printable(problem, TEXT_LIMIT);
    const where = line > 0
      ? `${printable(file, TEXT_LIMIT)}:${line}:${column}: ${
        path === "" ? "" : `${path}: `
      }`
      : path === ""
      ? ""
      : `${path}: `;
    super(
      `${where}${shown}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.problem = shown;
    this.isAbsent = options.isAbsent === true;
    this.file = file;
    this.line = line;
    this.column = column;
    this.path = path;
    this.hint = printable(options.hint ?? "", TEXT_LIMIT);
  }
}

/** Returns an error of a configuration file as plain data. */
export function toProblem(
  { file, line, column, path, problem, hint }: ConfigError,
): ConfigPosition & { problem: string; hint: string } {
  return { file, line, column, path, problem, hint };
}
