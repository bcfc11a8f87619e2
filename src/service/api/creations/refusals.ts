/**
 * Why an aggregator is not made, changed or removed for a client.
 *
 * @module
 */
import { HttpError } from "../requests/messages.ts";

/** There is one of this name. */
export function taken(name: string): HttpError {
  return new HttpError(
    409,
    `There is an aggregator "${name}" already`,
    "Choose another name, or remove that one first",
  );
}

/** No client made the aggregator whose rules are to change. */
export function rulesConfigured(name: string): HttpError {
  return new HttpError(
    409,
    `The rules of ${name} are those of the service's own configuration`,
    "Change them there, and reload (gpioagg reload)",
  );
}

/** No client made the aggregator that is to be removed. */
export function configured(name: string): HttpError {
  return new HttpError(
    409,
    `${name} belongs to the service's own configuration: it would return with ` +
      "the next start, and with a reload of a file that has it",
    "Remove it from the file and reload; force=1 removes it for now",
  );
}
