/**
 * The reason of a failure in a message that names its file already.
 *
 * @module
 */
import { printable, printableError } from "./printable.ts";

/** A system call, and its subject: the file, or a directory above it. */
const CALL = /^\w+ failed on (?:[^:]|:(?! ))*: (?=[^:]*$)/;

/**
 * Returns why something failed on `path`, without another mention of `path`:
 * `no such file or directory (ENOENT)`.
 */
export function reasonOn(path: string, error: unknown): string {
  const text = printableError(error);
  const name = printable(path);
  for (const head of [`Cannot write to ${name}: `, `${name}: `]) {
    if (text.startsWith(head)) return text.slice(head.length);
  }
  return text.replace(CALL, "");
}
