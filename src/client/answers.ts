/**
 * Answers of a service: the message that a text is, and the error that it
 * describes.
 *
 * @module
 */
import { strangeAnswer } from "./http_request.ts";
import type { AnySchema } from "./message_schema.ts";
import { MESSAGES } from "./messages.ts";
import type { ApiErrorBody, ConfigProblem } from "./protocol.ts";

/** Length of an answer that a message quotes. **Units**: UTF-16 units. */
const QUOTED_LENGTH = 60;

/** A service refused, or could not do, what a client asked for. */
export class ServiceError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "ServiceError";
  /** The HTTP status. */
  readonly status: number;
  /** One line that says what to do; may be empty. */
  readonly hint: string;
  /**
   * Invalid value, by its path in the request's body, or as `--line SPEC`; may be
   * empty. The message begins with it.
   */
  readonly path: string;
  /** Errors of the service's configuration file, for a reload of an invalid one. */
  readonly errors: readonly ConfigProblem[];

  /** Makes the error of an answer. */
  constructor(
    status: number,
    message: string,
    hint = "",
    path = "",
    errors: readonly ConfigProblem[] = [],
  ) {
    super(message);
    this.status = status;
    this.hint = hint;
    this.path = path;
    this.errors = errors;
  }
}

/** Returns the error that a service names; undefined if it names none. */
export function readServiceError(
  status: number,
  text: string,
): ServiceError | undefined {
  const body = parsed(text);
  if (!MESSAGES.Error.check(body, "", () => {})) return undefined;
  const { error } = body as unknown as ApiErrorBody;
  const { message, hint, path, errors } = error;
  return new ServiceError(status, message, hint, path, errors);
}

/**
 * Returns the message that a text is.
 *
 * @throws {Error} If it is not what `schema` describes; names the first defect.
 */
export function checkedAnswer<T>(
  path: string,
  text: string,
  schema: AnySchema,
): T {
  const value = parsed(text);
  schema.check(value, "", ({ path: at, problem }) => {
    const why = at === ""
      ? `it answers ${quoted(text)}`
      : `in its answer, ${at} ${problem}`;
    throw strangeAnswer(path, why);
  });
  return value as T;
}

/** Parses a JSON text; undefined if it is not an object. */
function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

/** Returns an answer as a message quotes it. */
export function quoted(text: string): string {
  return text === "" ? "nothing" : JSON.stringify(text.slice(0, QUOTED_LENGTH));
}
