/**
 * Values of a request's body, each checked as it is taken out.
 *
 * @module
 */
import { ConfigError } from "../../config/config_error.ts";
import type { TextKind } from "../../config/readings.ts";

/**
 * A JSON object.
 *
 * @throws {ConfigError} If it is none.
 */
export function readRecord(
  value: unknown,
  path: string,
): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new ConfigError("is a JSON object", { path });
}

/**
 * Refuses keys that are left when the known ones were taken.
 *
 * @throws {ConfigError} At the first of them.
 */
export function refuseOthers(
  rest: Record<string, unknown>,
  prefix: string,
): void {
  const [key] = Object.keys(rest);
  if (key === undefined) return;
  throw new ConfigError("is no key that is known here", {
    path: prefix + key,
  });
}

/**
 * A string that means what `kind` says, as it does in a configuration file.
 *
 * @throws {ConfigError} If it is none.
 */
export function readText<T>(
  kind: TextKind<T>,
  value: unknown,
  path: string,
): T {
  if (typeof value !== "string") {
    throw new ConfigError(`is ${kind.expected}, as a string`, { path });
  }
  return readAs(kind, value, path);
}

/**
 * A whole number that means what `kind` says.
 *
 * @throws {ConfigError} If it is none.
 */
export function readNumber(
  kind: TextKind<number>,
  value: unknown,
  path: string,
): number {
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new ConfigError(`is ${kind.expected}, as a whole number`, { path });
  }
  return readAs(kind, String(value), path);
}

function readAs<T>(kind: TextKind<T>, text: string, path: string): T {
  const reading = kind.read(text);
  if ("value" in reading) return reading.value;
  throw new ConfigError(`${JSON.stringify(text)} ${reading.problem}`, {
    path,
    hint: reading.hint,
  });
}
