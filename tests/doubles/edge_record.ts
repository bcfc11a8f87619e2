/**
 * A record of edges in this process's memory, for tests of lines.
 *
 * @module
 */
import type { AggregatorLine } from "../../src/aggregator/aggregator_line.ts";
import { EdgeRecorder } from "../../src/edges/edge_recorder.ts";
import { EdgeReader, ringBytes } from "../../src/edges/edge_ring.ts";
import {
  Cause,
  EdgeRule,
  stateAfter,
  StateBits,
  unpackCause,
  unpackRule,
} from "../../src/edges/record.ts";

const SIZE = 4096;

/** A record, and what it has of lines by name. */
export class EdgeRecordDouble {
  /** Time of edges. **Units**: nanoseconds. */
  now = 1000;
  /** The recorder. */
  readonly recorder: EdgeRecorder;
  readonly #reader: EdgeReader;
  readonly #lines: AggregatorLine[] = [];
  #next = 0;

  /** Begins with nothing. */
  constructor() {
    const memory = new SharedArrayBuffer(ringBytes(SIZE));
    this.recorder = new EdgeRecorder(memory, (into) => into[0] = this.now);
    this.#reader = new EdgeReader(memory);
  }

  /** Records the edges of a line from now on. */
  add(line: AggregatorLine, withInputs = false): void {
    const id = this.recorder.takeIds(1);
    this.#lines[id] = line;
    line.edges.record(this.recorder, id, withInputs);
    line.heard();
    this.taken();
  }

  /** Returns the edges since the last call: `FORWARD output 1 guest`. */
  taken(): string[] {
    const edges = this.#reader.read(this.#next, SIZE);
    this.#next = this.#reader.head;
    return edges.map(({ lineId, bits }) => {
      const state = stateAfter(bits);
      const value = state & StateBits.Value;
      const rule = findName(EdgeRule, unpackRule(bits));
      return [
        this.#lines[lineId]!.name,
        (state & StateBits.Present) === 0
          ? "absent"
          : (state & StateBits.Output) === 0
          ? "input"
          : "output",
        value > 1 ? "?" : value,
        findName(Cause, unpackCause(bits)).toLowerCase(),
        ...(rule === "None" ? [] : [rule]),
      ].join(" ");
    });
  }

  /** Returns the times of the edges since the last call. */
  times(): number[] {
    const edges = this.#reader.read(this.#next, SIZE);
    this.#next = this.#reader.head;
    return edges.map(({ time }) => time);
  }
}

function findName(
  names: Readonly<Record<string, number>>,
  code: number,
): string {
  return Object.entries(names).find(([, one]) => one === code)![0];
}
