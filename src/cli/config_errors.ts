/**
 * Errors of a configuration, for people and for programs.
 *
 * @module
 */
import type { ConfigError } from "../config/config_error.ts";
import { writeError } from "./output.ts";

/** Shows errors, each with its hint below it. */
export function writeConfigErrors(errors: readonly ConfigError[]): void {
  for (const { message, hint } of errors) {
    writeError(message);
    if (hint !== "") writeError(`  ${hint}`);
  }
}

/** An error as one JSON object. */
export function errorJson(
  { file, line, column, path, problem, hint }: ConfigError,
): Record<string, string | number> {
  return { file, line, column, path, problem, hint };
}
