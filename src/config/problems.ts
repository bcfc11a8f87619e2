/**
 * Everything that is wrong with a configuration, gathered so that all of it
 * can be shown at once.
 *
 * @module
 */
import { ConfigError, type ConfigPlace } from "./config_error.ts";

/** A value with where it is written. */
export interface Located<T> {
  readonly value: T;
  readonly place: ConfigPlace;
}

/** A growing list of errors. */
export class Problems {
  readonly #errors: ConfigError[] = [];

  /** Adds what is wrong at a place, with one line on how it is meant. */
  add(place: ConfigPlace, problem: string, hint = "", cause?: unknown): void {
    this.#errors.push(
      new ConfigError(problem, {
        ...place,
        hint,
        ...(cause === undefined ? {} : { cause }),
      }),
    );
  }

  /** How many there are by now. */
  get count(): number {
    return this.#errors.length;
  }

  /** All of them, in the order of the file. */
  sorted(): ConfigError[] {
    return this.#errors.toSorted((a, b) =>
      a.line - b.line || a.column - b.column
    );
  }
}
