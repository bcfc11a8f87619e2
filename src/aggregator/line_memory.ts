/**
 * Memory of the states that guests requested of lines, for the next process: it
 * finds forced outputs at their forced values, and ends the forces; and it finds
 * lines that their chip, which was away, has given no value.
 *
 * The next process may have read a changed file: lines have other numbers then,
 * and each state comes with a mark of its line. An older version, which reads
 * bytes only, takes no character of a mark for a state.
 *
 * @module
 */
import { createMemFd } from "../../ffi/mem_fd.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { Mapping } from "../../ffi/mapping.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { RequestedState } from "./line_force.ts";
import { SourceOperation } from "./line_source.ts";
import type { FdStore } from "./restart/fd_store.ts";

/** A byte of a line: 0 is none; otherwise an operation with its value. */
const MARK = 0x40;
const OPERATIONS: readonly SourceOperation[] = [
  SourceOperation.Input,
  SourceOperation.Output,
  SourceOperation.SetValue,
];

/** Characters of a line's mark, of which none is a state. */
const MARK_LENGTH = 8;
const LINE_MARKS = /^[0-9a-f]*$/;
const encoder = new TextEncoder();

/**
 * A byte for each line of one aggregator, then a mark of each line.
 * **Ownership**: of its memory.
 */
export class LineMemory implements Disposable {
  readonly #bytes: Uint8Array;
  readonly #mapping: Mapping;
  readonly #store: FdStore;
  readonly #name: string;

  /**
   * Makes it for an aggregator with lines of these identities, and keeps it in
   * `store` as `name`.
   *
   * @throws {OsError} If there is no memory or fd for it.
   */
  constructor(
    store: FdStore,
    name: string,
    identities: readonly string[],
  ) {
    this.#store = store;
    this.#name = name;
    const { length: lineCount } = identities;
    const length = lineCount * (1 + MARK_LENGTH);
    using file = createMemFd(this.#name, length, { seal: true });
    this.#mapping = Mapping.map(file.fd, {
      length,
      writable: true,
      subject: this.#name,
    });
    encoder.encodeInto(
      identities.map(hashIdentity).join(""),
      new Uint8Array(this.#mapping.buffer, lineCount, length - lineCount),
    );
    this.#bytes = new Uint8Array(this.#mapping.buffer, 0, lineCount);
    store.keep(this.#name, file.fd);
  }

  /** Has a line go back to this. */
  set(lineNumber: number, { operation, argument }: RequestedState): void {
    this.setOperation(lineNumber, operation, argument);
  }

  /** The same, of the parts of a state. */
  setOperation(
    lineNumber: number,
    operation: SourceOperation,
    argument: number,
  ): void {
    this.#bytes[lineNumber] = MARK | (operation << 1) |
      (argument === 1 ? 1 : 0);
  }

  /** The line has no such state any more. */
  clear(lineNumber: number): void {
    this.#bytes[lineNumber] = 0;
  }

  /** Keeps nothing any more. */
  [Symbol.dispose](): void {
    this.#store.drop(this.#name);
    this.#mapping[Symbol.dispose]();
  }
}

/**
 * Reads the states that an earlier process left, by lineNumber.
 *
 * @param identities Of the lines that there are now.
 * @param onOther Called with the former number of each line that is not there
 * any more.
 *
 * **Ownership**: the fd is lent.
 */
export function readStates(
  file: OwnedFd,
  store: FdStore,
  identities: readonly string[],
  onOther: (lineNumber: number) => void,
): Map<number, RequestedState> {
  const states = new Map<number, RequestedState>();
  const numberNow = numbersNow(readMemory(file, store), identities);
  for (const [before, byte] of numberNow.bytes.entries()) {
    const operation = (byte & ~MARK) >> 1;
    const known = OPERATIONS.find((one) => one === operation);
    if ((byte & MARK) === 0 || known === undefined) continue;
    const lineNumber = numberNow.of(before);
    if (lineNumber === undefined) onOther(before);
    else states.set(lineNumber, { operation: known, argument: byte & 1 });
  }
  return states;
}

/** Bytes of the lines of an earlier process, and their numbers now. */
interface EarlierLines {
  readonly bytes: readonly number[];
  /** Returns undefined if there is no such line any more. */
  of(lineNumber: number): number | undefined;
}

function numbersNow(
  text: string,
  identities: readonly string[],
): EarlierLines {
  // Bytes below 0x80 are characters.
  const bytes = (part: string) =>
    [...part].map((character) => character.charCodeAt(0));
  const count = text.length / (1 + MARK_LENGTH);
  const marks = text.slice(count);
  if (!Number.isInteger(count) || !LINE_MARKS.test(marks)) {
    // An older version has written it, for the lines in their order.
    const isSame = text.length === identities.length;
    return {
      bytes: bytes(text),
      of: (lineNumber) => isSame ? lineNumber : undefined,
    };
  }
  const now = new Map<string, number | undefined>();
  for (const [i, one] of identities.entries()) {
    const mark = hashIdentity(one);
    // Of two lines with one mark it is neither.
    now.set(mark, now.has(mark) ? undefined : i);
  }
  return {
    bytes: bytes(text.slice(0, count)),
    of: (lineNumber) => {
      const at = lineNumber * MARK_LENGTH;
      return now.get(marks.slice(at, at + MARK_LENGTH));
    },
  };
}

/** FNV-1a: distinguishes the lines of one aggregator; not a protection. */
function hashIdentity(identity: string): string {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < identity.length; i++) {
    hash = Math.imul(hash ^ identity.charCodeAt(i), 0x0100_0193);
  }
  return (hash >>> 0).toString(16).padStart(MARK_LENGTH, "0");
}

function readMemory(file: OwnedFd, store: FdStore): string {
  try {
    return readSmallFile(`/proc/self/fd/${file.fd}`) ?? "";
  } catch (error) {
    store.report(
      `what guests requested cannot be read, and their lines stay as they are: ${
        error instanceof Error ? error.message : String(error)
      }`,
    );
    return "";
  }
}
