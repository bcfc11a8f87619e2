/**
 * File in which a service has the names of its aggregators and lines, for
 * completion: a shell reads it faster than a program starts that would ask the
 * service.
 *
 * @module
 */
import { printable } from "./printable.ts";

/** Name of the file, in the directory of the service's sockets. */
export const WORDS_FILE = "words";

/** First word of the file: its form. */
export const WORDS_FORM = "gpioagg-words-1";

/** Largest file; of more names the service is asked. **Units**: bytes. */
const MAX_BYTES = 1024 * 1024;

/** Directories in which completion looks for services. */
const SERVICE_DIRECTORY = /(?:^|\/)gpioagg(?:-[^/]+)?(?:\/vm)?$/;

/** Returns true if completion looks for a service's words in a directory. */
export function isWordsDirectory(path: string): boolean {
  return SERVICE_DIRECTORY.test(path);
}

/** An aggregator, as far as its words go. */
export interface NamedAggregator {
  readonly name: string;
  readonly lines: readonly {
    readonly name: string;
    readonly lineNumber: number;
    readonly origin?: { readonly kind: string };
  }[];
}

/**
 * Returns the text of the file: a line for each aggregator and line, its fields
 * separated by tabs. The first line names the process: without it the names are
 * those of a service that is gone.
 *
 * @returns undefined if it would be longer than a shell should read.
 */
export function wordsText(
  pid: number,
  aggregators: readonly NamedAggregator[],
): string | undefined {
  const rows = [`${WORDS_FORM} ${pid}`];
  let length = 0;
  const add = (...fields: readonly string[]) => {
    // What would act on a terminal is typed rather than completed.
    if (!fields.every(isPrintable)) return;
    const row = fields.join("\t");
    length += row.length + 1;
    rows.push(row);
  };
  for (const { name, lines } of aggregators) {
    add("aggregator", name);
    for (const { name: own, lineNumber, origin } of lines) {
      add("line", name, own || String(lineNumber), origin?.kind ?? "");
    }
    if (length > MAX_BYTES) return undefined;
  }
  return rows.join("\n") + "\n";
}

/** Returns true if a text can be shown as it is. */
export function isPrintable(text: string): boolean {
  return printable(text, Infinity) === text;
}
