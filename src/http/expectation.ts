/**
 * Expectations of a client (header Expect) before it sends the body.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";

/** Expectations that `node:http` fulfils by itself, by its own pattern. */
const CONTINUE = /(?:^|\W)100-continue(?:\W|$)/i;

/**
 * True if a request expects what this server does not do. `node:http` would
 * refuse it before it counts as a request: any number of them, whether their
 * answers are taken or not.
 */
export function expectsTooMuch({ headers }: IncomingMessage): boolean {
  return headers.expect !== undefined && !CONTINUE.test(headers.expect);
}
