/**
 * Requests that a service refused as invalid, as errors of the command line that
 * made them.
 *
 * @module
 */
import { ServiceError } from "../../client/client.ts";
import { ConfigError } from "../../config/document/config_error.ts";

/** HTTP status of an invalid request. */
const INVALID = 400;

/**
 * Throws an error of a request; that of an invalid request names the option, not
 * the key of the request.
 *
 * @param toArgument Returns what the user wrote for a path in the request.
 * @throws {ConfigError} If the service refused the command line.
 */
export function refusedAs(
  error: unknown,
  toArgument: (path: string) => string,
): never {
  if (!(error instanceof ServiceError) || error.status !== INVALID) throw error;
  const { message, hint, path } = error;
  throw new ConfigError(
    path === "" ? message : `${toArgument(path)}${message.slice(path.length)}`,
    { hint, cause: error },
  );
}
