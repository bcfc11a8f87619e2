/**
 * The control API's requests and answers as messages: JSON in, JSON out.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ConfigProblem } from "../../../client/protocol.ts";
import { printable, printableJson } from "../../../text/printable.ts";
import {
  countKeys,
  examineJson,
  jsonFault,
  keyGivenTwice,
  positionAt,
} from "./json_text.ts";

/** Longest body that is read. **Units**: bytes. */
const MAX_BODY_BYTES = 256 * 1024;

/** Deepest nesting of a body; no request needs more than three levels. */
const MAX_BODY_DEPTH = 32;

/** An error response. */
export class HttpError extends Error {
  /** Errors of a configuration file that caused it. */
  readonly errors: readonly ConfigProblem[] | undefined;

  /**
   * Makes the error of an HTTP status.
   *
   * @param hint One line that says what to do.
   * @param path Invalid value in the body; the message begins with it.
   * @param errors Errors of a configuration file that caused it.
   */
  constructor(
    readonly status: number,
    message: string,
    readonly hint = "",
    readonly headers: Record<string, string> = {},
    readonly path = "",
    errors?: readonly ConfigProblem[],
  ) {
    super(printable(message, 2048));
    this.errors = errors;
  }
}

/**
 * Reads the body of a request.
 *
 * @throws {HttpError} If it is too long.
 * @throws {Error} If the client leaves in its middle.
 */
export async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  // No answer after 10 s to a body that is refused anyway.
  if (Number(request.headers["content-length"]) > MAX_BODY_BYTES) {
    throw tooLong();
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of request as AsyncIterable<Uint8Array>) {
      length += piece.length;
      if (length > MAX_BODY_BYTES) throw tooLong();
      pieces.push(piece);
    }
  } catch (cause) {
    if (cause instanceof HttpError) throw cause;
    throw new Error("The client left before its request was complete", {
      cause,
    });
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

function tooLong(): HttpError {
  return new HttpError(413, `A body is at most ${MAX_BODY_BYTES} bytes long`);
}

/** Returns the refusal of a request that the aggregator's lines refused. */
export function refusedByLines(error: unknown): HttpError {
  return new HttpError(409, errorMessage(error));
}

/** Returns the message of what was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Returns the value of a JSON text.
 *
 * @throws {HttpError} If it is invalid, nested too deep, or has a key twice.
 */
export function parseJson(body: Uint8Array): unknown {
  const text = decode(body);
  const { isDeep, keys } = examineJson(text, MAX_BODY_DEPTH);
  if (isDeep) {
    throw new HttpError(
      400,
      `The body is nested deeper than ${MAX_BODY_DEPTH} levels`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notJson(text);
  }
  if (countKeys(value) !== keys) {
    const key = printable(keyGivenTwice(text) ?? "");
    throw new HttpError(
      400,
      `The body has the key "${key}" twice in an object`,
    );
  }
  return value;
}

function notJson(text: string): HttpError {
  if (text.trim() === "") {
    return new HttpError(400, "The body is empty, not JSON");
  }
  const { index, expected } = jsonFault(text) ?? { index: 0, expected: "JSON" };
  const { line, column } = positionAt(text, index);
  const found = index === text.length
    ? "it ends"
    : `there is "${String.fromCodePoint(text.codePointAt(index)!)}"`;
  return new HttpError(
    400,
    `The body is not valid JSON: line ${line}, column ${column}: ${found} ` +
      `instead of ${expected}`,
  );
}

function decode(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new HttpError(400, "The body is not valid UTF-8");
  }
}

/** Answers with JSON, all at once. */
export function reply(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const bytes = new TextEncoder().encode(printableJson(body));
  sendBytes(response, status, bytes, "application/json", headers);
}

/** Answers with bytes, all at once. They are not copied. */
export function sendBytes(
  response: ServerResponse,
  status: number,
  bytes: Uint8Array,
  contentType: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": String(bytes.length),
    ...headers,
  });
  response.end(bytes);
}
