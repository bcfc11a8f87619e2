/**
 * A store of edges that a test writes itself.
 *
 * @module
 */
import type { Mapping } from "../../ffi/mapping.ts";
import { EdgeWriter } from "../../src/edges/edge_ring.ts";
import {
  Cause,
  type LineState,
  lineState,
  packEdge,
} from "../../src/edges/record.ts";
import type { EdgeSource } from "../../src/service/record/edge_source.ts";
import { EdgeStore } from "../../src/service/record/edge_store.ts";
import { mapRecord } from "../../src/service/record/record_memory.ts";

const stamp = new Float64Array(1);

/** One record of a store, and its writer. */
export class EdgeSourceDouble implements Disposable {
  /** The record as the service reads it. */
  readonly source: EdgeSource;
  readonly #mapping: Mapping;
  readonly #writer: EdgeWriter;

  /** Opens one more record of `store`. */
  constructor(store: EdgeStore) {
    this.source = store.open();
    this.#mapping = mapRecord(this.source.memory);
    this.#writer = new EdgeWriter(this.#mapping.buffer);
  }

  /** Begins to record an aggregator; returns the id of its first line. */
  begin(aggregator: string, names: string[], time = 0): number {
    const firstId = this.#writer.takeIds(names.length);
    this.source.began({
      aggregator,
      firstLine: 0,
      firstId,
      names,
      states: names.map(() => lineState(0, false, true)),
      time,
    });
    return firstId;
  }

  /** Writes that the guest of an input's line changed its value. */
  write(time: number, lineId: number, value: 0 | 1): void {
    const before = lineState(1 - value, false, true);
    this.change(time, lineId, before, lineState(value, false, true));
  }

  /** Writes any change of a line. */
  change(
    time: number,
    lineId: number,
    before: LineState,
    after: LineState,
  ): void {
    stamp[0] = time;
    this.#writer.write(stamp, lineId, packEdge(before, after, Cause.World, 0));
  }

  /** Frees the writer's memory. */
  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
  }
}

/**
 * Makes a store with room for `keep` edges in each record.
 *
 * @param readOffset Time since 1970 minus monotonic time. **Units**: nanoseconds.
 */
export function edgeStore(
  keep: number,
  readOffset?: () => bigint,
): EdgeStore {
  return new EdgeStore({ keep, withInputs: false }, readOffset);
}
