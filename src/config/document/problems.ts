/**
 * All problems of a configuration, command line or request, collected so that
 * they can be shown together.
 *
 * @module
 */
import { ConfigError, type ConfigPosition } from "./config_error.ts";

/** A value and the position where it is written. */
export interface Located<T> {
  readonly value: T;
  readonly position: ConfigPosition;
}

/** Limit of the problems that are kept. */
const MAX_PROBLEMS = 1000;
/**
 * Problems for which similar names are looked for. That takes time, and only
 * the first ones are read with patience.
 */
const MAX_SUGGESTIONS = 100;

/** Adds a problem at a known position. */
export type Report = (problem: string, hint?: string) => void;

/** A problem before it is made an error, which quotes its position. */
interface Problem {
  readonly position: Partial<ConfigPosition>;
  readonly problem: string;
  readonly hint: string;
  readonly cause: unknown;
}

/** Problems of one configuration, command line or request. */
export class Problems {
  readonly #found: Problem[] = [];
  #count = 0;

  /** Adds a problem at a position, with one line that says what to do. */
  add(
    position: Partial<ConfigPosition>,
    problem: string,
    hint = "",
    cause?: unknown,
  ): void {
    this.#count++;
    if (this.#found.length >= MAX_PROBLEMS) return;
    const isLast = this.#found.length === MAX_PROBLEMS - 1;
    const text = isLast ? `${problem}; further errors are not shown` : problem;
    this.#found.push({ position, problem: text, hint, cause });
  }

  /** Returns the function that adds problems at one position. */
  at(position: Partial<ConfigPosition>): Report {
    return (problem, hint) => this.add(position, problem, hint);
  }

  /** Number of problems so far, those that are not kept included. */
  get count(): number {
    return this.#count;
  }

  /** True if further problems are counted only. */
  get isFull(): boolean {
    return this.#found.length >= MAX_PROBLEMS;
  }

  /** True while a problem is worth the search for a similar name. */
  get isSuggesting(): boolean {
    return this.#count < MAX_SUGGESTIONS;
  }

  /**
   * Returns all problems as errors, in the order of the file. What is true of
   * several lines of one entry, as of those of `sim: 8`, is one error.
   */
  sorted(): ConfigError[] {
    const errors = this.#found.map(toConfigError).toSorted((a, b) =>
      a.line - b.line || a.column - b.column
    );
    return [
      ...new Map(errors.map((error) => [
        JSON.stringify([error.file, error.message, error.hint]),
        error,
      ])).values(),
    ];
  }

  /**
   * Throws the first problem that was added, if there is one: a command line
   * and a request show one at a time.
   *
   * @throws {ConfigError} If there is a problem.
   */
  throwFirst(): void {
    const [first] = this.#found;
    if (first !== undefined) throw toConfigError(first);
  }
}

function toConfigError(
  { position, problem, hint, cause }: Problem,
): ConfigError {
  return new ConfigError(problem, { ...position, hint, cause });
}
