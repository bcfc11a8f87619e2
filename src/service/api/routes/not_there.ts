/**
 * The refusal of a request about an aggregator that a service does not have.
 *
 * @module
 */
import { nearest } from "../../../text/nearest.ts";
import { printable } from "../../../text/printable.ts";
import { HttpError } from "../requests/messages.ts";

/** Letters that are compared for a suggestion: some 0.2 ms. */
const MAX_COMPARISONS = 25_000;

/** @param names Those that are served. */
export function notThere(name: string, names: Iterable<string>): HttpError {
  const near = nearest(name, names, MAX_COMPARISONS);
  return new HttpError(
    404,
    `There is no aggregator "${name}"`,
    near === undefined
      ? "/v1/aggregators lists those that are served"
      : `Did you mean ${printable(near)}?`,
  );
}
