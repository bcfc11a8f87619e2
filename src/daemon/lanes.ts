/**
 * Lanes, seen from the main isolate: which lines need one, and starting them
 * before the aggregators that use them.
 *
 * @module
 */
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { realPath } from "../../ffi/files.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import {
  guestFdName,
  lineFdName,
  wishFdName,
} from "../aggregator/fd_keeper.ts";
import { laneMemoryBytes, LaneSlot } from "../aggregator/lane_memory.ts";
import {
  isChipSource,
  isSlowChip,
  isSlowIdentity,
  type LocatedLine,
  locateIfThere,
} from "../aggregator/locate.ts";
import { isShareable, lineText } from "../aggregator/source_factory.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../config/specification.ts";
import type { FdStore, KeptFd } from "./fd_store.ts";
import type { LaneReport, LaneStart } from "./lane_worker.ts";
import { errorOf, type LaneHandover } from "./messages.ts";

/** Aggregators whose slow lines are served by lanes. */
export interface LanedAggregators {
  aggregators: AggregatorSpecification[];
  lanes: LaneHandover[];
  /** What an earlier process kept for the reactor. */
  kept: KeptFd[];
}

/** One line of a chip. */
interface ChipUse {
  specification: LineSpecification;
  owner: string;
  /** Where it is; undefined while its chip is away. */
  located: LocatedLine | undefined;
}

/** One line that needs a lane, and where it stands. */
interface SlowLine extends ChipUse {
  aggregator: number;
  line: number;
  /** The host line in words; undefined while its chip is away. */
  place: string | undefined;
}

/** What a lane says of one of its lines. */
interface LaneLineTitle {
  name: string;
  description: string;
}

/** In place of a lane: the reactor has the line from it already. */
const NO_LANE = -1;

/** The lanes of one service. */
export class Lanes {
  /** Each resolves when its lane has let all its lines go. */
  readonly #running = new Set<Promise<void>>();
  /** Lines of running lanes that others can share, by place. */
  readonly #shareable = new Map<string, LaneLineTitle>();
  readonly #store: FdStore | undefined;

  /** Lanes take what an earlier process kept from `store`, if there is one. */
  constructor(store: FdStore | undefined) {
    this.#store = store;
  }

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
    const { byChip, uses } = slowLinesByChip(aggregators);
    const laned = aggregators.map((aggregator) => ({
      ...aggregator,
      lines: [...aggregator.lines],
    }));
    const replace = (
      { aggregator, line, specification, place }: SlowLine,
      source: { lane: number; slot: number } & LaneLineTitle,
    ) => {
      laned[aggregator]!.lines[line] = {
        ...specification,
        source: {
          kind: "lane",
          ...source,
          ...(place === undefined ? {} : { place }),
        },
      };
    };
    const lanes: LaneHandover[] = [];
    try {
      for (const slow of byChip.values()) {
        const [shared, own] = this.#partition(slow);
        for (const { use, title } of shared) {
          replace(use, { lane: NO_LANE, slot: 0, ...title });
        }
        if (own.length === 0) continue;
        const firsts = firstUses(own);
        const { handover, lines } = await this.#startLane(firsts);
        for (const use of own) {
          const slot = firsts.findIndex((first) => isSameLine(first, use));
          replace(use, { lane: lanes.length, slot, ...lines[slot]! });
        }
        lanes.push(handover);
      }
    } catch (error) {
      this.abandon(lanes);
      throw error;
    }
    // What the lanes have taken by now is theirs.
    const kept = this.#shareOf(() => [
      ...aggregators.map(({ name }) => guestFdName(name)),
      ...uses.flatMap((use) => [...lineNames(use), ...wishNames(use)]),
    ]);
    return { aggregators: laned, lanes, kept };
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

  /** Parts lines that a running lane shares from those that need a new one. */
  #partition(
    slow: readonly SlowLine[],
  ): [{ use: SlowLine; title: LaneLineTitle }[], SlowLine[]] {
    const shared: { use: SlowLine; title: LaneLineTitle }[] = [];
    const own: SlowLine[] = [];
    for (const use of slow) {
      const title = use.place !== undefined && isShareable(use.specification)
        ? this.#shareable.get(use.place)
        : undefined;
      if (title === undefined) own.push(use);
      else shared.push({ use, title });
    }
    return [shared, own];
  }

  /** What an earlier process kept by these names. */
  #shareOf(names: () => string[]): KeptFd[] {
    const store = this.#store;
    return store === undefined || store.leftNames.length === 0
      ? []
      : store.share(names());
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
      else if (data.kind === "problem") this.#store?.report(data.text);
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
    const store = this.#store;
    const start: LaneStart = {
      handover,
      ...(store === undefined ? {} : {
        notifySocket: store.notifySocket,
        kept: this.#shareOf(() => slow.flatMap(lineNames)),
      }),
      lines: slow.map(({ specification, owner }) => ({
        specification: alone(specification),
        owner,
      })),
    };
    worker.postMessage(start);
    const { lines } = await opened.promise;
    for (const [slot, { place, specification }] of slow.entries()) {
      if (place === undefined || !isShareable(specification)) continue;
      this.#shareable.set(place, lines[slot]!);
      closed.promise.then(() => this.#shareable.delete(place));
    }
    return { handover, lines };
  }
}

/** Whether two entries are one line that is shared. */
function isSameLine(a: SlowLine, b: SlowLine): boolean {
  return a === b || a.place !== undefined && a.place === b.place &&
      isShareable(a.specification) && isShareable(b.specification);
}

/** Each line once: a lane has a shared line one time, for all of its users. */
function firstUses(slow: readonly SlowLine[]): SlowLine[] {
  return slow.filter((use, i) =>
    slow.findIndex((other) => isSameLine(other, use)) === i
  );
}

/** A line as a lane has it: who shares it is not the lane's to know. */
function alone(
  { shared: _shared, combine: _combine, ...specification }: LineSpecification,
): LineSpecification {
  return specification;
}

/** All lines of chips, and by chip those that need a lane. */
function slowLinesByChip(
  aggregators: readonly AggregatorSpecification[],
): { byChip: Map<string, SlowLine[]>; uses: ChipUse[] } {
  const byChip = new Map<string, SlowLine[]>();
  const uses: ChipUse[] = [];
  for (const [aggregator, { name: owner, lines }] of aggregators.entries()) {
    for (const [line, specification] of lines.entries()) {
      const { source, lane } = specification;
      if (!isChipSource(source)) continue;
      const located = locateIfThere(specification);
      const use = { specification, owner, located };
      uses.push(use);
      const isSlow = lane ||
        (located === undefined
          ? isSlowIdentity(source)
          : isSlowChip(located.chipPath));
      if (!isSlow) continue;
      // Lines of a chip that is away are of one chip if they say the same.
      const chip = located?.chipPath ?? `absent ${source.chip}`;
      const slow = byChip.get(chip) ?? [];
      const place = located && lineText(located);
      slow.push({ ...use, aggregator, line, place });
      byChip.set(chip, slow);
    }
  }
  return { byChip, uses };
}

/** What a line's request is kept as: by its chip's own name, not a link's. */
function lineNames({ located }: ChipUse): string[] {
  if (located === undefined) return [];
  const { chipPath, offset } = located;
  const path = realPath(chipPath) ?? chipPath;
  return [lineFdName(path.slice(path.lastIndexOf("/") + 1), offset)];
}

/** What its user's wish is kept as, which is never a lane's. */
function wishNames({ specification, owner, located }: ChipUse): string[] {
  return located === undefined || specification.combine === undefined
    ? []
    : [wishFdName(lineText(located), owner)];
}
