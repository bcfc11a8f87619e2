/**
 * What is wrong with what the user asked for.
 *
 * @module
 */

/** Where in a configuration something stands. */
export interface ConfigPlace {
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
export interface ConfigErrorOptions extends Partial<ConfigPlace> {
  /** One line on how it is meant. */
  hint?: string;
  /** What led to it. */
  cause?: unknown;
}

/**
 * A wrong configuration or command line: the user's to mend, exit status 2.
 *
 * The message is one line: the place, then what is wrong.
 */
export class ConfigError extends Error implements ConfigPlace {
  override readonly name = "ConfigError";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  /** One line on how it is meant; empty when the message says it all. */
  readonly hint: string;
  /** What is wrong, without the place. */
  readonly problem: string;

  /** Makes the error of `problem` at a place. */
  constructor(problem: string, options: ConfigErrorOptions = {}) {
    const { file = "command line", line = 0, column = 0, path = "" } = options;
    const where = line > 0
      ? `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}`
      : path === ""
      ? ""
      : `${path}: `;
    super(
      `${where}${problem}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.problem = problem;
    this.file = file;
    this.line = line;
    this.column = column;
    this.path = path;
    this.hint = options.hint ?? "";
  }
}
