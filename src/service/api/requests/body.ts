/**
 * Bodies of requests: from JSON to their meaning.
 *
 * @module
 */
import type {
  AnySchema,
  Finding,
  Meaning,
} from "../../../client/message_schema.ts";
import { ConfigError } from "../../../config/document/config_error.ts";

/**
 * Returns the meaning of a request's body.
 *
 * @throws {ConfigError} If the body does not have the schema; its path is that
 * of the value in the body.
 */
export function readMessage<S extends AnySchema>(
  schema: S,
  body: unknown,
): Meaning<S> {
  schema.check(body, "", refuse);
  return schema.read(body, "", refuse) as Meaning<S>;
}

/** Ends the reading: one problem is answered, and each may cost a search. */
function refuse({ path, key, problem, hint = "" }: Finding): never {
  throw new ConfigError(problem, { path: formatTitle(path, key), hint });
}

function formatTitle(path: string, key: string | undefined): string {
  const keys = [path, key ?? ""].filter((part) => part !== "");
  return keys.length === 0 ? "the body" : keys.join(".");
}
