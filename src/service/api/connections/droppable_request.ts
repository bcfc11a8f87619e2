/**
 * Requests of clients that have gone again and that may be dropped, seen before
 * any of them is read: the cost of a connection is most of what a flood of them
 * takes.
 *
 * @module
 */

/** Methods that change nothing: a client that is gone gets nothing of them. */
const READ_ONLY = ["GET ", "HEAD "];
const LONGEST_METHOD = 8;
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/**
 * Returns true if a client that is gone wants nothing to be done: it asked for
 * an answer only, or its request's head has no end.
 *
 * @param sent Beginning of what it has sent.
 * @param isAll False if there may be more.
 */
export function isDroppable(sent: Uint8Array, isAll: boolean): boolean {
  const start = String.fromCharCode(...sent.subarray(0, LONGEST_METHOD));
  if (READ_ONLY.some((method) => start.startsWith(method))) return true;
  return isAll && !hasEmptyLine(sent);
}

/** True if there is a line without text: the end of a request's head. */
function hasEmptyLine(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(NEWLINE); at >= 0;) {
    const next = bytes[at + 1] === CARRIAGE_RETURN ? at + 2 : at + 1;
    if (bytes[next] === NEWLINE) return true;
    at = bytes.indexOf(NEWLINE, at + 1);
  }
  return false;
}
