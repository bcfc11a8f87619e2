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
import {
  Addition,
  HeldLine,
  HeldLines,
  type LaneLineTitle,
  LET_GO_MS,
} from "./held_lines.ts";
import {
  type AggregatorDescription,
  errorOf,
  type LaneHandover,
} from "./messages.ts";
import { within } from "./within.ts";

/** Aggregators whose slow lines are served by lanes. */
export interface LanedAggregators {
  aggregators: AggregatorSpecification[];
  lanes: LaneHandover[];
  /** What an earlier process kept for the reactor. */
  kept: KeptFd[];
  /** To be ended once the reactor has them, or does not take them. */
  addition: Addition;
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

/** Slow lines of one chip, each with what the lanes have for it. */
interface ChipPlan {
  /** Lines that a running lane shares. */
  shared: { use: SlowLine; line: HeldLine }[];
  /** The others, and what a new lane is to have for them. */
  own: { use: SlowLine; slot: number }[];
  firsts: { use: SlowLine; line: HeldLine }[];
}

/** In place of a lane: the reactor has the line from it already. */
const NO_LANE = -1;

/** An aggregator is gone, but a chip that does not answer has its lines yet. */
export class LinesHeldError extends Error {
  override readonly name = "LinesHeldError";
  /** What is gone. */
  readonly removed: AggregatorDescription[];

  constructor(removed: AggregatorDescription[], lines: readonly HeldLine[]) {
    const [first, ...others] = lines;
    const line = first?.place ?? first?.title?.description;
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    super(
      `${
        removed[0]?.name
      } is removed, but ${line}${more} is not free yet: the ` +
        `chip has not answered for ${LET_GO_MS / 1000} s`,
    );
    this.removed = removed;
  }
}

/** The lanes of one service. **Ownership**: of the fds of all of them. */
export class Lanes {
  /** Each resolves when its lane has let all its lines go. */
  readonly #running = new Map<LaneHandover, Promise<void>>();
  readonly #held = new HeldLines();
  readonly #store: FdStore | undefined;
  readonly #crashed: (error: Error) => void;

  /**
   * Lanes take what an earlier process kept from `store`, if there is one.
   * `crashed` hears of one that died under those it served.
   */
  constructor(
    store: FdStore | undefined,
    crashed: (error: Error) => void,
  ) {
    this.#store = store;
    this.#crashed = crashed;
  }

  /**
   * Starts a lane for every slow chip among the lines, and gives back the
   * aggregators with those lines replaced.
   *
   * @throws {Error} If a line cannot be had; the lanes that had been started
   * let theirs go.
   */
  async start(
    aggregators: readonly AggregatorSpecification[],
  ): Promise<LanedAggregators> {
    const { byChip, uses } = slowLinesByChip(aggregators);
    const places = uses.flatMap(({ located }) =>
      located === undefined ? [] : [lineText(located)]
    );
    await this.#settled(new Set(places));
    const addition = new Addition();
    // All at once, so that no other addition plans with the same lines.
    const plans = [...byChip.values()].map((slow) =>
      this.#plan(slow, addition)
    );
    const laned = aggregators.map((aggregator) => ({
      ...aggregator,
      lines: [...aggregator.lines],
    }));
    const lanes: LaneHandover[] = [];
    try {
      for (const { shared, own, firsts } of plans) {
        for (const { use, line } of shared) {
          replace(laned, use, { lane: NO_LANE, slot: 0, ...line.title! });
        }
        if (own.length === 0) continue;
        const handover = await this.#startLane(firsts);
        const lane = lanes.push(handover) - 1;
        for (const { use, slot } of own) {
          replace(laned, use, { lane, slot, ...firsts[slot]!.line.title! });
        }
      }
    } catch (error) {
      this.abandon(lanes, addition);
      for (const { firsts } of plans) {
        for (const { line } of firsts) if (!line.title) line.close();
      }
      throw error;
    }
    // What the lanes have taken by now is theirs.
    const kept = this.#shareOf(() => [
      ...aggregators.map(({ name }) => guestFdName(name)),
      ...uses.flatMap((use) => [...lineNames(use), ...wishNames(use)]),
    ]);
    return { aggregators: laned, lanes, kept, addition };
  }

  /** Lets lanes go that the reactor has not taken over. */
  abandon(lanes: readonly LaneHandover[], addition: Addition): void {
    addition.end(false);
    for (const handover of lanes) {
      // One that is over has closed its lines; its fds may be others' by now.
      if (!this.#running.has(handover)) continue;
      const { memoryFd, memoryBytes, wakeFd } = handover;
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

  /**
   * The aggregator `name` is about to be removed: nobody shares its lines any
   * more but who does so already.
   *
   * @returns What waits, once it is removed, until its lines are free. It gives
   * those that are not, since their chip does not answer.
   */
  async leave(name: string): Promise<() => Promise<HeldLine[]>> {
    const left = await this.#held.leave(name);
    return async () => {
      const isGone = await Promise.all(
        left.map((line) => within(line.gone, LET_GO_MS)),
      );
      return left.filter((_, i) => !isGone[i]);
    };
  }

  /** Waits until every lane has let its lines go. */
  async closed(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  /** Waits for what we ourselves take or let go: it is had in a moment. */
  async #settled(places: ReadonlySet<string>): Promise<void> {
    const deadline = performance.now() + LET_GO_MS;
    for (
      let moving = this.#held.moving(places);
      moving !== undefined;
      moving = this.#held.moving(places)
    ) if (!await within(moving, deadline - performance.now())) return;
  }

  /** Parts lines that a running lane shares from those that need a new one. */
  #plan(slow: readonly SlowLine[], addition: Addition): ChipPlan {
    const plan: ChipPlan = { shared: [], own: [], firsts: [] };
    const own: SlowLine[] = [];
    for (const use of slow) {
      const line = isShareable(use.specification)
        ? this.#held.joinable(use.place)
        : undefined;
      if (line === undefined) own.push(use);
      else plan.shared.push({ use, line });
    }
    for (const { use, line } of plan.shared) addition.use(line, use.owner);
    for (const use of firstUses(own)) {
      const line = new HeldLine(use.place, isShareable(use.specification));
      this.#held.add(line);
      plan.firsts.push({ use, line });
    }
    for (const use of own) {
      const slot = plan.firsts.findIndex((first) => isSameLine(first.use, use));
      addition.use(plan.firsts[slot]!.line, use.owner);
      plan.own.push({ use, slot });
    }
    return plan;
  }

  /** What an earlier process kept by these names. */
  #shareOf(names: () => string[]): KeptFd[] {
    const store = this.#store;
    return store === undefined || store.leftNames.length === 0
      ? []
      : store.share(names());
  }

  async #startLane(firsts: ChipPlan["firsts"]): Promise<LaneHandover> {
    using fds = new DisposableStack();
    const memoryBytes = laneMemoryBytes(firsts.length);
    const handover: LaneHandover = {
      memoryFd: fds.use(createMemFd("lane", memoryBytes)).fd,
      memoryBytes,
      wakeFd: fds.use(createEventFd()).fd,
      doneFd: fds.use(createEventFd()).fd,
    };
    const lines = firsts.map(({ line }) => line);
    const worker = new Worker(new URL("./lane_worker.ts", import.meta.url), {
      type: "module",
      name: "lane",
    });
    const opened = Promise.withResolvers<LaneReport & { kind: "ready" }>();
    const closed = this.#run(handover, lines, fds.move());
    let hasFailed = false;
    const fail = (error: Error) => {
      hasFailed = true;
      if (lines.some(({ title }) => title !== undefined)) this.#crashed(error);
      else opened.reject(error);
    };
    worker.onmessage = ({ data }: MessageEvent<LaneReport | "closed">) => {
      if (data === "closed") closed(hasFailed);
      else if (data.kind === "let-go") lines[data.slot]?.close();
      else if (data.kind === "problem") this.#store?.report(data.text);
      else if (data.kind === "ready") opened.resolve(data);
      else fail(errorOf(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail(new Error(`A lane failed: ${event.message}`));
      closed(true);
    };
    worker.postMessage(this.#startOf(handover, firsts.map(({ use }) => use)));
    const ready = await opened.promise;
    for (const [slot, line] of lines.entries()) line.open(ready.lines[slot]!);
    return handover;
  }

  /** Has a lane among those that run; gives what to call when it is over. */
  #run(
    handover: LaneHandover,
    lines: readonly HeldLine[],
    fds: DisposableStack,
  ): (hasFailed: boolean) => void {
    const closed = Promise.withResolvers<void>();
    this.#running.set(handover, closed.promise);
    return (hasFailed) => {
      if (!this.#running.delete(handover)) return;
      const isServed = lines.some(({ title }) => title !== undefined);
      for (const line of lines) line.close();
      // The reactor does not know that a lane has failed under it: the numbers
      // that it signals shall not be another file's.
      if (!hasFailed || !isServed) fds.dispose();
      closed.resolve();
    };
  }

  #startOf(handover: LaneHandover, slow: readonly SlowLine[]): LaneStart {
    const store = this.#store;
    return {
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
  }
}

/** Puts a lane's line in the place of the chip's. */
function replace(
  laned: readonly { lines: LineSpecification[] }[],
  { aggregator, line, specification, place }: SlowLine,
  source: { lane: number; slot: number } & LaneLineTitle,
): void {
  laned[aggregator]!.lines[line] = {
    ...specification,
    source: {
      kind: "lane",
      ...source,
      ...(place === undefined ? {} : { place }),
    },
  };
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
