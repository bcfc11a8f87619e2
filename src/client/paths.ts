/**
 * Paths of requests, and ends of connections, as clients of the control API have
 * them.
 *
 * @module
 */
import { requireString } from "../text/arguments.ts";
import { ServiceError } from "./answers.ts";

/** Returns true for a connection that ended before its answer did. */
export function isConnectionLoss(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause &&
    cause.code === "ECONNRESET";
}

/**
 * Returns the path of an aggregator.
 *
 * @throws {ServiceError} If nothing can have this name, nor be asked for by it.
 * @throws {TypeError} If it is not a string.
 */
export function aggregatorPath(name: string): string {
  requireString("name", name);
  // In a URL these are a directory, however they are written.
  if (["", ".", ".."].includes(name)) {
    throw new ServiceError(404, `There is no aggregator "${name}"`);
  }
  return `/v1/aggregators/${encodeURIComponent(name)}`;
}
