/**
 * The control API's requests and answers as messages: JSON in, JSON out.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";

/** Longest body that is read. **Units**: bytes. */
const MAX_BODY_BYTES = 256 * 1024;

/** An answer that says no. */
export class Refusal extends Error {
  /** Says no with an HTTP status, and how it is meant. */
  constructor(
    readonly status: number,
    message: string,
    readonly hint = "",
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
  }
}

/**
 * The body of a request.
 *
 * @throws {Refusal} If it is too long, or no JSON.
 * @throws {Error} If the client leaves in its middle.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (length > MAX_BODY_BYTES) {
      throw new Refusal(413, `A body is at most ${MAX_BODY_BYTES} bytes long`);
    }
    pieces.push(piece);
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Refusal(400, `The body is no JSON: ${why}`);
  }
}

/** Answers with JSON, all at once. */
export function reply(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": String(bytes.length),
    ...headers,
  });
  response.end(bytes);
}
