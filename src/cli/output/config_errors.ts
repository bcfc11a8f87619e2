/**
 * Errors of a configuration, as text and as JSON.
 *
 * @module
 */
import type { ConfigError } from "../../config/document/config_error.ts";
import { writeError } from "./output.ts";

/** Prints errors, each with its hint below it. */
export function writeConfigErrors(errors: readonly ConfigError[]): void {
  for (const { message, hint } of errors) {
    writeError(message);
    if (hint !== "") writeError(`  ${hint}`);
  }
}

/** Returns an error as one JSON object. */
export function errorJson(
  { file, line, column, path, problem, hint }: ConfigError,
): Record<string, string | number> {
  return { file, line, column, path, problem, hint };
}
