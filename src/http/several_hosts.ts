/**
 * Requests that name more than one host.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";

/**
 * Returns true if a request has several Host headers, of which `headers` has the
 * first only: what checks one may not be what acts on the other.
 *
 * **Source**: RFC 9112, 3.2: such a request is answered with 400.
 */
export function hasSeveralHosts(
  { rawHeaders }: Pick<IncomingMessage, "rawHeaders">,
): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (/^host$/i.test(rawHeaders[i]!)) count++;
  }
  return count > 1;
}
