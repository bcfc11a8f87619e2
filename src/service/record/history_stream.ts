/**
 * Edges of a span, wherever they are kept.
 *
 * @module
 */
import { type Beginning, HistoryReader, type Span } from "./history.ts";
import type { EdgeStore } from "./edge_store.ts";
import type { StoredEdge } from "./stored_edge.ts";
import { atOnce, type Run } from "./turns.ts";

/** A reader of a span. **Ownership**: of what it has open. */
export interface HistoryStream extends Disposable {
  /** Edges that are missing within the span, so far. */
  readonly lost: number;
  /** Remarks on what could not be read, in words. */
  readonly notes: readonly string[];
  /** Looks for the lines and their states at the begin; first, and once. */
  begin(): Promise<Beginning>;
  /** Returns more edges by time; undefined at the end. */
  next(): Promise<StoredEdge[] | undefined>;
}

/** Reads a span that is in memory. */
export class MemoryHistory implements HistoryStream {
  readonly notes: readonly string[] = [];
  readonly #reader: HistoryReader;
  readonly #run: Run;
  #pieces: Iterator<StoredEdge[]> | undefined;

  /** Reads what `store` has now, in turns of `run`. */
  constructor(store: EdgeStore, span: Span, run: Run) {
    this.#reader = new HistoryReader(store, span);
    this.#run = run;
  }

  get lost(): number {
    return this.#reader.lost;
  }

  async begin(): Promise<Beginning> {
    return await this.#run(this.#reader.begin());
  }

  async next(): Promise<StoredEdge[] | undefined> {
    const pieces = this.#pieces ??= this.#reader.edges();
    const { value, done } = await this.#run(atOnce(() => pieces.next()));
    return done === true ? undefined : value;
  }

  [Symbol.dispose](): void {
    // Memory is the store's.
  }
}
