/**
 * Makes the lines of an aggregator safe whose process cannot do it any more.
 *
 * @module
 */
import { isChipSource } from "../../aggregator/sources/locate.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
  LineSpecification,
} from "../../config/specification.ts";
import { printableError } from "../../text/printable.ts";
import type { UnsafeLineState } from "../messages/messages.ts";
import {
  SAFE_LIMIT_MS,
  UnsafeLinesError,
} from "../messages/unsafe_lines_error.ts";
import {
  type AddAggregators,
  addEach,
  separated,
  separatedInterlocks,
} from "../separate_lines.ts";
import { RELEASE_MS, throwFirst } from "./process_end.ts";

/** Time in which an aggregator is tried as a whole. **Units**: ms. */
const WHOLE_MS = 250;

/** The reactor that does it. */
interface SafeReactor {
  readonly add: AddAggregators;
  remove(name: string, limitMs: number): Promise<unknown>;
  setInterlocks(
    interlocks: readonly InterlockSpecification[],
  ): Promise<unknown>;
}

/** Lines that are made safe by one reactor. */
export class LostLines {
  readonly #reactor: SafeReactor;
  readonly #limitMs: number;
  #interlocks: readonly InterlockSpecification[];

  /**
   * @param interlocks Those that hold meanwhile.
   * @param limitMs Limit of retries, from each call on. **Units**: ms.
   */
  constructor(
    reactor: SafeReactor,
    interlocks: readonly InterlockSpecification[],
    limitMs = RELEASE_MS + SAFE_LIMIT_MS,
  ) {
    this.#reactor = reactor;
    this.#interlocks = interlocks;
    this.#limitMs = limitMs;
  }

  /**
   * Puts lines into their declared state and releases them. A line that cannot
   * be requested keeps no other one from it, and is retried where that may help:
   * a service manager closes its copies of lines in its own time.
   *
   * @throws {UnsafeLinesError} If a line is not in its declared state.
   * @throws {Error} If the reactor fails.
   */
  async makeSafe(aggregators: AggregatorSpecification[]): Promise<void> {
    const begin = performance.now();
    const leftMs = (limitMs = this.#limitMs) =>
      Math.max(0, begin + limitMs - performance.now());
    // Stored before the lines exist: none may be driven against one.
    await this.#setInterlocks();
    const ends: Promise<unknown>[] = [];
    const refused: AggregatorSpecification[] = [];
    const added = ({ name }: AggregatorSpecification) => {
      ends.push(this.#reactor.remove(name, leftMs()));
    };
    const add: AddAggregators = (some) => this.#reactor.add(some);
    await addEach(add, aggregators, () => leftMs(WHOLE_MS), {
      added,
      refused: (aggregator) => void refused.push(aggregator),
    });
    for (const aggregator of refused) {
      this.#interlocks = separatedInterlocks(this.#interlocks, aggregator);
    }
    if (refused.length > 0) await this.#setInterlocks();
    const unsafe: UnsafeLineState[] = [];
    /** By the name of its part. */
    const titles = new Map<string, UnsafeLineState>();
    const parts = refused.flatMap((aggregator) =>
      separated(aggregator).flatMap((part, lineNumber) => {
        const line = part.lines[0]!;
        if (!hasState(line)) return [];
        titles.set(part.name, {
          aggregator: aggregator.name,
          lineNumber,
          line: line.name ?? String(lineNumber),
          reason: "",
          isRetried: false,
        });
        return [part];
      })
    );
    await addEach(add, parts, leftMs, {
      added,
      refused: ({ name }, error) => {
        unsafe.push({ ...titles.get(name)!, reason: printableError(error) });
      },
    });
    const results = await Promise.allSettled(ends);
    throwFirst([
      ...results.map((end) => inWords(end, titles)),
      ...(unsafe.length === 0 ? [] : [{
        status: "rejected" as const,
        reason: new UnsafeLinesError(undefined, unsafe),
      }]),
    ]);
  }

  async #setInterlocks(): Promise<void> {
    if (this.#interlocks.length === 0) return;
    await this.#reactor.setInterlocks(this.#interlocks);
  }
}

/** Returns true for a line that has to be put into a state. */
function hasState({ source, onDisconnect }: LineSpecification): boolean {
  return isChipSource(source) && onDisconnect !== "keep";
}

/** Names lines as their aggregator does, not its parts. */
function inWords(
  end: PromiseSettledResult<unknown>,
  titles: ReadonlyMap<string, UnsafeLineState>,
): PromiseSettledResult<unknown> {
  if (end.status === "fulfilled") return end;
  const error: unknown = end.reason;
  if (!(error instanceof UnsafeLinesError)) return end;
  const lines = error.lines.map((line) => {
    const title = titles.get(line.aggregator);
    return title === undefined ? line : { ...title, reason: line.reason };
  });
  return { ...end, reason: new UnsafeLinesError(undefined, lines) };
}
