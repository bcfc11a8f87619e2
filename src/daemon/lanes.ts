/**
 * Lanes, seen from the main isolate: which lines need one, and starting them
 * before the aggregators that use them.
 *
 * @module
 */
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { laneMemoryBytes, LaneSlot } from "../aggregator/lane_memory.ts";
import { isSlowChip, locateLine } from "../aggregator/locate.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../config/specification.ts";
import type { LaneReport, LaneStart } from "./lane_worker.ts";
import { errorOf, type LaneHandover } from "./messages.ts";

/** Aggregators whose slow lines are served by lanes. */
export interface LanedAggregators {
  aggregators: AggregatorSpecification[];
  lanes: LaneHandover[];
}

/** One line that needs a lane, and where it stands. */
interface SlowLine {
  aggregator: number;
  line: number;
  specification: LineSpecification;
  owner: string;
}

/** The lanes of one service. */
export class Lanes {
  /** Each resolves when its lane has let all its lines go. */
  readonly #running = new Set<Promise<void>>();

  /**
   * Starts a lane for every slow chip among the lines, and gives back the
   * aggregators with those lines replaced.
   *
   * @throws {Error} If a line cannot be had; the lanes that had been started
   * have let theirs go.
   */
  async start(
    aggregators: readonly AggregatorSpecification[],
  ): Promise<LanedAggregators> {
    const byChip = slowLinesByChip(aggregators);
    const laned = aggregators.map((aggregator) => ({
      ...aggregator,
      lines: [...aggregator.lines],
    }));
    const lanes: LaneHandover[] = [];
    try {
      for (const slow of byChip.values()) {
        const { handover, lines } = await this.#startLane(slow);
        for (const [slot, { aggregator, line }] of slow.entries()) {
          const specification = laned[aggregator]!.lines[line]!;
          laned[aggregator]!.lines[line] = {
            ...specification,
            source: { kind: "lane", lane: lanes.length, slot, ...lines[slot]! },
          };
        }
        lanes.push(handover);
      }
    } catch (error) {
      this.abandon(lanes);
      throw error;
    }
    return { aggregators: laned, lanes };
  }

  /** Lets lanes go that no reactor has taken over. */
  abandon(lanes: readonly LaneHandover[]): void {
    for (const { memoryFd, memoryBytes, wakeFd } of lanes) {
      using memory = Mapping.map(memoryFd, {
        length: memoryBytes,
        writable: true,
        subject: "lane memory",
      });
      for (let slot = 0; laneMemoryBytes(slot) < memoryBytes; slot++) {
        new LaneSlot(memory.buffer, slot).set("closing", 1);
      }
      signalFd(wakeFd);
    }
  }

  /** Waits until every lane has let its lines go. */
  async closed(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #startLane(slow: readonly SlowLine[]) {
    const memoryBytes = laneMemoryBytes(slow.length);
    const handover: LaneHandover = {
      memoryFd: createMemFd("lane", memoryBytes).release(),
      memoryBytes,
      wakeFd: createEventFd().release(),
      doneFd: createEventFd().release(),
    };
    const worker = new Worker(new URL("./lane_worker.ts", import.meta.url), {
      type: "module",
      name: "lane",
    });
    const opened = Promise.withResolvers<LaneReport & { kind: "ready" }>();
    const closed = Promise.withResolvers<void>();
    worker.onmessage = ({ data }: MessageEvent<LaneReport | "closed">) => {
      if (data === "closed") closed.resolve();
      else if (data.kind === "ready") opened.resolve(data);
      else opened.reject(errorOf(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      opened.reject(new Error(`A lane failed: ${event.message}`));
      closed.resolve();
    };
    this.#running.add(closed.promise);
    closed.promise.then(() => this.#running.delete(closed.promise));
    const start: LaneStart = {
      handover,
      lines: slow.map(({ specification, owner }) => ({ specification, owner })),
    };
    worker.postMessage(start);
    const { lines } = await opened.promise;
    return { handover, lines };
  }
}

function slowLinesByChip(
  aggregators: readonly AggregatorSpecification[],
): Map<string, SlowLine[]> {
  const byChip = new Map<string, SlowLine[]>();
  for (const [aggregator, { name: owner, lines }] of aggregators.entries()) {
    for (const [line, specification] of lines.entries()) {
      const located = locateLine(specification);
      if (located === undefined) continue;
      const { chipPath } = located;
      if (!specification.lane && !isSlowChip(chipPath)) continue;
      const slow = byChip.get(chipPath) ?? [];
      slow.push({ aggregator, line, specification, owner });
      byChip.set(chipPath, slow);
    }
  }
  return byChip;
}
