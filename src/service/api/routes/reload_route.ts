/**
 * Requests to read the service's configuration file again.
 *
 * @module
 */
import {
  type ConfigError,
  toProblem,
} from "../../../config/document/config_error.ts";
import type { ReloadAnswer } from "../../reload.ts";
import type { AuditLog } from "../requests/audit_log.ts";
import { HttpError, reply } from "../requests/messages.ts";
import type { Exchange } from "../requests/routes.ts";

/** Errors of a file in one answer, at most. */
const MAX_FILE_ERRORS = 100;

/**
 * Reads the file again, and answers with what has changed.
 *
 * @param reload Absent if the service has no file.
 * @throws {HttpError} If there is no file, or it is not valid.
 */
export async function reloadNow(
  { response, peer }: Exchange,
  reload: (() => Promise<ReloadAnswer>) | undefined,
  audit: AuditLog,
): Promise<void> {
  if (reload === undefined) {
    throw new HttpError(
      409,
      "This service has no configuration file",
      "It was started with lines on its command line",
    );
  }
  const answer = await reload();
  if ("errors" in answer) throw invalidFile(answer.errors);
  await audit.record(peer, {
    action: "reload",
    aggregator: "",
    outcome: "done",
  });
  reply(response, 200, answer.outcome);
}

/** Returns the refusal of a file with these errors. */
export function invalidFile(errors: readonly ConfigError[]): HttpError {
  const [first] = errors;
  const { message = "the configuration is not valid", hint = "" } = first ?? {};
  const others = errors.length - 1;
  const isCut = errors.length > MAX_FILE_ERRORS;
  return new HttpError(
    400,
    others < 1
      ? message
      : `${message}; and ${others} more ${others === 1 ? "error" : "errors"}`,
    hint,
    {},
    "",
    errors.slice(0, MAX_FILE_ERRORS).map((error, i) => {
      const shown = toProblem(error);
      return isCut && i === MAX_FILE_ERRORS - 1
        ? {
          ...shown,
          problem: `${shown.problem}; further errors are not shown`,
        }
        : shown;
    }),
  );
}
