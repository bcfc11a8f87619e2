/**
 * Edge events of several requests as one stream, in batches.
 *
 * @module
 */
import { errnoCode } from "../../../ffi/errno.ts";
import { EdgeEventBatch } from "../../gpio/edge_event.ts";
import { waitForEvents } from "../../gpio/wait.ts";
import { pollMs } from "./event_options.ts";
import { LostEvents } from "./lost_events.ts";
import type { RequestGroup } from "../lines/requests.ts";
import { libcText, ToolError } from "../program/tool_error.ts";

/** An edge of one of the lines. */
export interface Edge {
  /** The line's position in the user's order. */
  readonly line: number;
  /**
   * 1 for a rising edge, after which the line is active; 0 for a falling one.
   */
  readonly value: 0 | 1;
  /** Nanoseconds of the event clock. */
  readonly timestampNs: bigint;
  /** Counts the events of the request. */
  readonly seqno: number;
  /** Counts the events of the line. */
  readonly lineSeqno: number;
  /** Number of edges of this line that the kernel dropped before this one. */
  readonly lost: number;
}

const RISING = 1;
/** Number of events of one read: a flood is read with few calls. */
const BATCH = 256;

/** Reads edges; keeps no allocation per event. */
export class EdgeReader {
  readonly #sources: readonly {
    readonly fd: number;
    readonly group: RequestGroup;
    readonly lineAt: ReadonlyMap<number, number>;
  }[];
  readonly #batch = new EdgeEventBatch(BATCH);
  /** Edges that the kernel dropped. */
  readonly lost: LostEvents;

  /** Reads the edges of `lines` lines in some requests. */
  constructor(groups: readonly RequestGroup[], lines: number) {
    this.#sources = groups.map((group) => ({
      fd: group.request.fd,
      group,
      lineAt: new Map(
        group.request.offsets.map((
          offset,
          bit,
        ) => [offset, group.indices[bit]!]),
      ),
    }));
    this.lost = new LostEvents(lines);
  }

  /**
   * Waits for edges, up to `ms` milliseconds, and reads up to `most` of them.
   *
   * @returns The edges in order of time; none after the time limit.
   * @throws {ToolError} If a chip is gone.
   *
   * **Blocking**: the whole isolate.
   */
  read(ms: number, most: number): Edge[] {
    const edges: Edge[] = [];
    const ready = waitForEvents(this.#sources, pollMs(ms));
    for (const { group: { request, chipPath }, lineAt } of ready) {
      const count = request.readEvents(this.#batch);
      if (count < 0) {
        throw new ToolError(
          `error reading line events on chip '${chipPath}': ${
            libcText(errnoCode(-count))
          }`,
        );
      }
      for (let i = 0; i < count; i++) edges.push(this.#edge(i, lineAt));
    }
    if (ready.length > 1) {
      edges.sort((a, b) => Number(a.timestampNs - b.timestampNs));
    }
    return edges.slice(0, most);
  }

  #edge(i: number, lineAt: ReadonlyMap<number, number>): Edge {
    const batch = this.#batch;
    const line = lineAt.get(batch.offsetAt(i))!;
    const lineSeqno = batch.lineSeqnoAt(i);
    return {
      line,
      value: batch.kindAt(i) === RISING ? 1 : 0,
      timestampNs: batch.timestampAt(i),
      seqno: batch.seqnoAt(i),
      lineSeqno,
      lost: this.lost.note(line, lineSeqno),
    };
  }
}
