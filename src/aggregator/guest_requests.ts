/**
 * Values that a guest's session asked of its outputs, for the next process: a
 * line whose chip is away when a process ends is let go with it, and the guest,
 * whose session goes on, does not ask again.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import type { AggregatorLine } from "./aggregator_line.ts";
import { identifyLines } from "./line_identities.ts";
import { LineMemory, readStates } from "./line_memory.ts";
import { innermost, SourceOperation } from "./line_source.ts";
import { type FdStore, requestedFdName } from "./restart/fd_store.ts";
import { findOrigin, isKnownForGood } from "./sources/locate.ts";

/** Last requests of the lines of one aggregator. */
export class GuestRequests {
  readonly #name: string;
  readonly #lines: readonly AggregatorLine[];
  readonly #store: FdStore | undefined;
  #memory: LineMemory | undefined;
  /** Set if the store has memory of an earlier process. */
  #isLeft = false;

  /** Takes what the aggregator's guest asked of `lines` from `store`. */
  constructor(
    name: string,
    lines: readonly AggregatorLine[],
    store: FdStore | undefined,
  ) {
    this.#name = requestedFdName(name);
    this.#lines = lines;
    this.#store = store;
  }

  /**
   * Takes what an earlier process left. Nothing is driven before the session is
   * seen to go on.
   *
   * @param isAwaited False if there was no guest: then nothing is believed.
   */
  resume(isAwaited: boolean): void {
    const store = this.#store;
    const left = store?.take(this.#name) ?? [];
    this.#isLeft = left.length > 0;
    // Of two it is not known which is the last.
    const [file] = isAwaited && left.length === 1 ? left : [];
    if (store !== undefined && file !== undefined) {
      const states = readStates(
        file,
        store,
        identifyLines(this.#lines),
        () => {},
      );
      for (const [lineNumber, { argument }] of states) {
        const line = this.#lines[lineNumber];
        if (line === undefined || !isKnown(line)) continue;
        line.requested.resume(argument, innermost(line.source).isKept !== true);
      }
    }
    for (const fd of left) fd.close();
    if (!isAwaited) this.#drop();
  }

  /**
   * A guest is served from now on, until {@linkcode gone}.
   *
   * @param isSame True if it is the session that an earlier process served: lines
   * that do not have what it asked for get it, at once or with their chip.
   */
  began(isSame: boolean): void {
    if (this.#memory !== undefined) return;
    for (const { requested } of isSame ? [] : this.#lines) {
      requested.note(undefined);
    }
    this.#begin();
    for (const line of this.#lines) if (line.requested.isDue) apply(line);
  }

  /** The guest is gone: it asks for nothing any more. */
  gone(): void {
    for (const { requested } of this.#lines) {
      requested.note(undefined);
      requested.keepIn(undefined, 0);
    }
    this.#memory?.[Symbol.dispose]();
    this.#memory = undefined;
    this.#drop();
  }

  #begin(): void {
    const store = this.#store;
    if (store === undefined || !this.#lines.some(isKnown)) return;
    this.#drop();
    try {
      this.#memory = new LineMemory(
        store,
        this.#name,
        identifyLines(this.#lines),
      );
    } catch (error) {
      if (!isOsError(error)) throw error;
      store.report(`what the guest requests is not kept: ${error.message}`);
      return;
    }
    for (const [i, line] of this.#lines.entries()) {
      if (isKnown(line)) line.requested.keepIn(this.#memory, i);
    }
  }

  /** Drops what an earlier process left. */
  #drop(): void {
    if (this.#isLeft) this.#store?.drop(this.#name);
    this.#isLeft = false;
  }
}

/**
 * Returns true for a chip's line that its configuration names by what stays: a
 * number may be another chip's by now, which its guest never asked for anything.
 */
function isKnown({ specification: { source } }: AggregatorLine): boolean {
  const origin = findOrigin(source);
  return origin !== undefined && isKnownForGood(origin);
}

/** Has a line do what its guest's session asked for in an earlier process. */
function apply({ requested, source, forcing }: AggregatorLine): void {
  const state = {
    operation: SourceOperation.Output,
    argument: requested.value!,
  };
  requested.isDue = false;
  if (source.isAbsent !== true) return forcing.goBack(state, "a restart");
  source.remember?.(state.operation, state.argument);
}
