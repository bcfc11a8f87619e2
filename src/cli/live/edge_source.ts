/**
 * Edges of a running service: those that it keeps, and those that happen.
 *
 * @module
 */
import type { ServiceClient } from "../../client/client.ts";
import type { Edge, History } from "../../client/edges.ts";
import type { AggregatorState, ApiEvent } from "../../client/protocol.ts";

/** Edges of an answer of the history. */
const PAGE_EDGES = 50_000;

/** An event of a stream with edges. */
export type LiveEvent = ApiEvent;

/** Parts of a client that tell of edges. */
export interface EdgeSource {
  /** See `ServiceClient.list`. */
  list(): Promise<AggregatorState[]>;
  /** Returns edges of the past. **Units**: nanoseconds since 1970. */
  history(query: { from?: string; to?: string }): Promise<History>;
  /** Returns a snapshot and what happens from then on, every edge included. */
  edges(signal: AbortSignal): AsyncIterable<LiveEvent>;
}

/** Returns the edges of a service. */
export function serviceEdges(client: ServiceClient): EdgeSource {
  return {
    list: () => client.list(),
    history: (query) => client.history({ ...query, limit: PAGE_EDGES }),
    edges: (signal) => client.events(undefined, { edges: true, signal }),
  };
}

/** Edges of the past, page by page. */
export async function* readPages(
  source: EdgeSource,
  query: { from?: string; to?: string },
): AsyncGenerator<History, void> {
  let page = await source.history(query);
  const { to } = page;
  yield page;
  let known = new Set<string>();
  while (page.next !== undefined) {
    const { next, edges } = page;
    // Edges of the very time at which pages meet may be in both.
    const same = edges.filter(({ time }) => time === next).map(edgeKey);
    known = new Set([...known, ...same]);
    const following = await source.history({ from: next, to });
    yield {
      ...following,
      edges: following.edges.filter((edge) =>
        edge.time !== next || !known.has(edgeKey(edge))
      ),
    };
    if (following.next !== next) known.clear();
    page = following;
  }
}

/** Edges of the past that were read: those of a stream may be among them. */
export class ReadEdges {
  /** Highest number of an edge that was read, by aggregator. */
  readonly #numbers = new Map<string, number>();
  /** When those began that an aggregator has now: numbers begin anew then. */
  readonly #begins = new Map<string, bigint>();
  #toNs = 0n;

  /** Time up to which edges were read. **Units**: nanoseconds since 1970. */
  get toNs(): bigint {
    return this.#toNs;
  }

  /** Takes a page that was read. */
  add({ to, lines, edges }: History): void {
    this.#toNs = BigInt(to);
    for (const { aggregator, begins } of lines) {
      const begin = BigInt(begins ?? 0);
      if (begin <= (this.#begins.get(aggregator) ?? 0n)) continue;
      this.#begins.set(aggregator, begin);
      this.#numbers.delete(aggregator);
    }
    this.note(
      edges.filter(({ aggregator, time }) =>
        BigInt(time) >= (this.#begins.get(aggregator) ?? 0n)
      ),
    );
  }

  /** Takes edges of the stream. */
  note(edges: readonly Edge[]): void {
    for (const { aggregator, number } of edges) {
      const known = this.#numbers.get(aggregator) ?? -1;
      this.#numbers.set(aggregator, Math.max(known, number));
    }
  }

  /** Returns true if an edge of the past was read in neither way. */
  isNew({ aggregator, number }: Edge): boolean {
    return number > (this.#numbers.get(aggregator) ?? -1);
  }

  /** Returns true if an edge of the stream was read already. */
  has({ aggregator, number, time }: Edge): boolean {
    return BigInt(time) <= this.#toNs &&
      number <= (this.#numbers.get(aggregator) ?? -1);
  }
}

function edgeKey({ aggregator, number }: Edge): string {
  return `${aggregator}/${number}`;
}

/**
 * Events that wait here until they are taken: the service leaves out events for
 * clients that do not read.
 */
export class EventBuffer implements AsyncDisposable {
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;
  #waiting: LiveEvent[] = [];
  #wake = Promise.withResolvers<void>();
  #error: unknown;
  #isOver = false;

  /** Reads the events of `source` from now on. */
  constructor(source: EdgeSource) {
    this.#ended = this.#read(source);
  }

  /**
   * Returns what has come since the last time; waits for an event if there is
   * none. Undefined once the stream has ended.
   *
   * @throws {Error} As the stream does.
   */
  async take(): Promise<LiveEvent[] | undefined> {
    while (this.#waiting.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#isOver) return undefined;
      await this.#wake.promise;
    }
    const taken = this.#waiting;
    this.#waiting = [];
    this.#wake = Promise.withResolvers();
    return taken;
  }

  async #read(source: EdgeSource): Promise<void> {
    try {
      for await (const event of source.edges(this.#abort.signal)) {
        this.#waiting.push(event);
        this.#wake.resolve();
      }
    } catch (error) {
      if (error !== this.#abort.signal.reason) this.#error = error;
    }
    this.#isOver = true;
    this.#wake.resolve();
  }

  /** Ends the stream; what was not taken is discarded. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#ended;
  }

  /** Ends the stream; what has come can still be taken. */
  stop(): void {
    this.#abort.abort();
  }
}
