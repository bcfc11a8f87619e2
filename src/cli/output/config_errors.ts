/**
 * Errors of a configuration, as text.
 *
 * @module
 */
import type { ConfigError } from "../../config/document/config_error.ts";
import { writeError } from "./output.ts";

/** Says what comes of an invalid file that a service was to read again. */
export const INVALID_FILE =
  "the configuration is not valid: nothing was changed";

/** Prints errors, each with its hint below it. */
export function writeConfigErrors(
  errors: readonly Pick<ConfigError, "message" | "hint">[],
): void {
  for (const { message, hint } of errors) {
    writeError(message);
    if (hint !== "") writeError(`  ${hint}`);
  }
}
