/**
 * Names of a command line that mean nothing at present: no service has such an
 * aggregator or line. The command line is not wrong, and may work later.
 *
 * @module
 */
import { nearest } from "../text/nearest.ts";
import { printable } from "../text/printable.ts";

/** Error of a name that means nothing at present; exit status 1. */
export class NotThereError extends Error {
  override readonly name = "NotThereError";
  /** One line that says what to do. */
  readonly hint: string;

  /**
   * Makes the error.
   *
   * @param hint What to do, if no name is similar.
   * @param suggestion Name that was probably meant.
   */
  constructor(problem: string, hint: string, suggestion?: string) {
    super(printable(problem));
    this.hint = suggestion === undefined
      ? hint
      : `Did you mean ${printable(suggestion)}?`;
  }
}

/** Returns the error for an aggregator that a service does not have. */
export function noAggregator(
  name: string,
  names: readonly string[],
): NotThereError {
  return new NotThereError(
    `There is no aggregator "${name}"`,
    "gpioagg list shows the aggregators",
    nearest(name, names),
  );
}
