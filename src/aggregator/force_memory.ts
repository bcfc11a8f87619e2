/**
 * Memory of the states that guests requested of forced outputs, for the next
 * process: it finds the lines at their forced values, and ends the forces.
 *
 * @module
 */
import { createMemFd } from "../../ffi/mem_fd.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { Mapping } from "../../ffi/mapping.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { RequestedState } from "./line_force.ts";
import { SourceOperation } from "./line_source.ts";
import { type FdStore, forcedFdName } from "./restart/fd_store.ts";

/** A byte of a line: 0 is none; otherwise an operation with its value. */
const MARK = 0x40;
const OPERATIONS: readonly SourceOperation[] = [
  SourceOperation.Input,
  SourceOperation.Output,
  SourceOperation.SetValue,
];

/** A byte for each line of one aggregator. **Ownership**: of its memory. */
export class ForceMemory implements Disposable {
  readonly #bytes: Uint8Array;
  readonly #mapping: Mapping;
  readonly #store: FdStore;
  readonly #name: string;

  /** Makes it for an aggregator with so many lines, and keeps it in `store`. */
  constructor(store: FdStore, aggregator: string, lineCount: number) {
    this.#store = store;
    this.#name = forcedFdName(aggregator);
    using file = createMemFd(this.#name, lineCount, { seal: true });
    this.#mapping = Mapping.map(file.fd, {
      length: lineCount,
      writable: true,
      subject: this.#name,
    });
    this.#bytes = new Uint8Array(this.#mapping.buffer, 0, lineCount);
    store.keep(this.#name, file.fd);
  }

  /** Has a line go back to this. */
  set(lineNumber: number, { operation, argument }: RequestedState): void {
    this.#bytes[lineNumber] = MARK | (operation << 1) |
      (argument === 1 ? 1 : 0);
  }

  /** The line is not forced any more. */
  clear(lineNumber: number): void {
    this.#bytes[lineNumber] = 0;
  }

  /** Keeps nothing any more. */
  [Symbol.dispose](): void {
    this.#store.drop(this.#name);
    this.#mapping[Symbol.dispose]();
  }
}

/** Takes what an earlier process left of forces, by lineNumber. */
export function takeForced(
  store: FdStore,
  aggregator: string,
): Map<number, RequestedState> {
  const name = forcedFdName(aggregator);
  const states = new Map<number, RequestedState>();
  for (const fd of store.take(name)) {
    using file = fd;
    store.drop(name);
    for (const [lineNumber, byte] of bytesOf(file, store).entries()) {
      const operation = (byte & ~MARK) >> 1;
      const known = OPERATIONS.find((one) => one === operation);
      if ((byte & MARK) === 0 || known === undefined) continue;
      states.set(lineNumber, { operation: known, argument: byte & 1 });
    }
  }
  return states;
}

function bytesOf(file: OwnedFd, store: FdStore): number[] {
  try {
    // Bytes below 0x80 are characters.
    const text = readSmallFile(`/proc/self/fd/${file.fd}`) ?? "";
    return [...text].map((character) => character.charCodeAt(0));
  } catch (error) {
    store.report(
      `what a force left cannot be read, and its lines stay as they are: ${
        error instanceof Error ? error.message : String(error)
      }`,
    );
    return [];
  }
}
