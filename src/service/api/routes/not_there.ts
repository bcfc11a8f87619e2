/**
 * The refusal of a request about an aggregator that a service does not have.
 *
 * @module
 */
import { nearestForPeer } from "../../../text/nearest.ts";
import { printable } from "../../../text/printable.ts";
import { HttpError } from "../requests/messages.ts";

/** @param names Those that are served. */
export function notThere(name: string, names: Iterable<string>): HttpError {
  const near = nearestForPeer(name, names);
  return new HttpError(
    404,
    `There is no aggregator "${name}"`,
    near === undefined
      ? "/v1/aggregators lists those that are served"
      : `Did you mean ${printable(near)}?`,
  );
}
