/**
 * Lanes, seen from the main isolate: finds the lines that need one, and starts
 * lanes before the aggregators that use them.
 *
 * @module
 */
import {
  forcedFdName,
  goneFdName,
  guestFdName,
  lineFdName,
  requestedFdName,
  sessionFdNames,
  voteFdNames,
} from "../../aggregator/restart/fd_store.ts";
import {
  isChipSource,
  isSlowChip,
  isSlowIdentity,
  type LocatedLine,
  locateIfThere,
  wantedText,
  writtenLine,
} from "../../aggregator/sources/locate.ts";
import {
  isShareable,
  lineText,
} from "../../aggregator/sources/source_factory.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../../config/specification.ts";
import { sourceNames } from "../../config/references/known_names.ts";
import { kernelNameAt } from "../../gpio/chip_nodes.ts";
import { withOneScan } from "../../gpio/lookup.ts";
import type { KeptFd, ManagerFdStore } from "../restart/manager_fd_store.ts";
import type { LaneStart } from "./lane_worker.ts";
import { type LaneEvents, RunningLane } from "./running_lane.ts";
import {
  HeldLine,
  HeldLines,
  type LaneLineTitle,
  LET_GO_MS,
  OPEN_MS,
  PendingAdd,
} from "./held_lines.ts";
import type {
  AggregatorDescription,
  LaneHandover,
} from "../messages/messages.ts";
import { settlesWithin } from "../../async/wait.ts";

/** Aggregators whose slow lines are served by lanes. */
interface LanedAggregators {
  aggregators: AggregatorSpecification[];
  lanes: LaneHandover[];
  /** Fds that an earlier process kept for the reactor. */
  kept: KeptFd[];
  /** To be settled once the reactor has accepted or rejected them. */
  addition: PendingAdd;
}

/** One line of a chip. */
interface ChipUse {
  specification: LineSpecification;
  owner: string;
  /** Its position; undefined while its chip is absent. */
  located: LocatedLine | undefined;
}

/** One line that needs a lane, and its index. */
interface SlowLine extends ChipUse {
  aggregator: number;
  line: number;
  /** The host line as text; undefined while its chip is absent. */
  hostLine: string | undefined;
}

/** Slow lines of one chip, and the lanes' lines for them. */
interface ChipPlan {
  /** Lines that a running lane shares. */
  shared: { use: SlowLine; line: HeldLine }[];
  /** The others, and the records that a new lane gets for them. */
  own: { use: SlowLine; slot: number }[];
  firstUses: { use: SlowLine; line: HeldLine }[];
}

/** Replaces a lane once the reactor has taken over its line. */
const NO_LANE = -1;

/**
 * An aggregator is removed, but a chip that does not answer still holds lines
 * of it.
 */
export class LinesHeldError extends Error {
  override readonly name = "LinesHeldError";
  /** The removed aggregators. */
  readonly removed: AggregatorDescription[];
  /** Lines that are not free yet, as text. */
  readonly lines: readonly string[];

  constructor(removed: AggregatorDescription[], lines: readonly string[]) {
    const [line, ...others] = lines;
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    super(
      `${
        removed[0]?.name
      } is removed, but ${line}${more} is not free yet: the ` +
        `chip has not answered for ${LET_GO_MS / 1000} s`,
    );
    this.removed = removed;
    this.lines = lines;
  }
}

/** Program of a lane's Worker. */
const PROGRAM = new URL("./lane_worker.ts", import.meta.url);

/** The lanes of one service. **Ownership**: of the fds of all of them. */
export class Lanes {
  readonly #running = new Map<LaneHandover, RunningLane>();
  readonly #held = new HeldLines();
  readonly #store: ManagerFdStore | undefined;
  readonly #events: LaneEvents;
  readonly #program: URL;

  /**
   * Lanes take what an earlier process kept from `store`, if there is one.
   *
   * @param program Program of their Workers; tests bring their own.
   */
  constructor(
    store: ManagerFdStore | undefined,
    events: LaneEvents,
    program: URL = PROGRAM,
  ) {
    this.#store = store;
    this.#events = events;
    this.#program = program;
  }

  /** True while there is a lane. */
  get isAnyRunning(): boolean {
    return this.#running.size > 0;
  }

  /**
   * Starts a lane for every slow chip among the lines, and returns the
   * aggregators with those lines replaced.
   *
   * @param leaves True to leave lines as they are for the next process if one
   * of them cannot be requested.
   * @throws {Error} If a line cannot be requested; the lanes that had been
   * started release theirs, unless they leave them.
   */
  async start(
    aggregators: readonly AggregatorSpecification[],
    leaves = false,
  ): Promise<LanedAggregators> {
    const { byChip, uses } = slowLinesByChip(aggregators);
    const hostLines = uses.flatMap(({ located }) =>
      located === undefined ? [] : [lineText(located)]
    );
    await this.#settled(new Set(hostLines));
    const addition = new PendingAdd();
    // Registered at once, so that no other addition plans with the same lines.
    const plans = [...byChip.values()].map((slow) =>
      this.#plan(slow, addition)
    );
    const laned = aggregators.map((aggregator) => ({
      ...aggregator,
      lines: [...aggregator.lines],
    }));
    const lanes: LaneHandover[] = [];
    try {
      for (const { shared, own, firstUses } of plans) {
        for (const { use, line } of shared) {
          replace(laned, use, { lane: NO_LANE, slot: 0, ...line.title! });
        }
        if (own.length === 0) continue;
        const handover = await this.#startLane(firstUses, leaves);
        const lane = lanes.push(handover) - 1;
        for (const { use, slot } of own) {
          replace(laned, use, { lane, slot, ...firstUses[slot]!.line.title! });
        }
      }
    } catch (error) {
      if (leaves) throw error;
      this.abandon(lanes, addition);
      for (const { firstUses } of plans) {
        for (const { line } of firstUses) if (!line.title) line.close();
      }
      throw error;
    }
    // Kept fds that the lanes have taken belong to them now.
    const kept = this.#shareOfStore(() => [
      ...aggregators.flatMap((
        { name },
      ) => guestNames(name)),
      ...uses.flatMap((use) => [...lineNames(use), ...voteNames(use)]),
      ...sessionNames(aggregators),
    ]);
    return { aggregators: laned, lanes, kept, addition };
  }

  /** Ends lanes that the reactor has not taken over. */
  abandon(lanes: readonly LaneHandover[], addition: PendingAdd): void {
    addition.end(false);
    for (const handover of lanes) this.#running.get(handover)?.abandon();
  }

  /**
   * The aggregator `name` is about to be removed: from now on only current
   * users share its lines.
   *
   * @returns A function that, once it is removed, waits until its lines are
   * free. It returns the lines that are not, because their chip does not
   * answer.
   */
  async leave(name: string): Promise<() => Promise<string[]>> {
    const left = await this.#held.leave(name);
    return async () => {
      const isGone = await Promise.all(
        left.map((line) => settlesWithin(line.gone, LET_GO_MS)),
      );
      return left.filter((_, i) => !isGone[i]).map((line) =>
        line.hostLine ?? line.title?.description ?? "a line"
      );
    };
  }

  /** Waits until every lane has released its lines. */
  async closed(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ over }) => over));
  }

  /**
   * Waits for lines that this service is opening or releasing, which takes a
   * moment.
   */
  async #settled(hostLines: ReadonlySet<string>): Promise<void> {
    const deadline = performance.now() + OPEN_MS;
    for (
      let line = this.#held.moving(hostLines);
      line !== undefined;
      line = this.#held.moving(hostLines)
    ) {
      const left = deadline - performance.now();
      const limit = line.isUsed ? left : Math.min(left, LET_GO_MS);
      if (!await settlesWithin(line.settled!, limit)) return;
    }
  }

  /**
   * Separates lines that a running lane shares from those that need a new one.
   */
  #plan(slow: readonly SlowLine[], addition: PendingAdd): ChipPlan {
    const plan: ChipPlan = { shared: [], own: [], firstUses: [] };
    const own: SlowLine[] = [];
    for (const use of slow) {
      const line = isShareable(use.specification)
        ? this.#held.joinable(lineKey(use))
        : undefined;
      if (line === undefined) own.push(use);
      else plan.shared.push({ use, line });
    }
    for (const { use, line } of plan.shared) addition.use(line, use.owner);
    for (const use of firstUses(own)) {
      const line = new HeldLine(lineKey(use), isShareable(use.specification));
      this.#held.add(line);
      plan.firstUses.push({ use, line });
    }
    for (const use of own) {
      const slot = plan.firstUses.findIndex((first) =>
        isSameLine(first.use, use)
      );
      addition.use(plan.firstUses[slot]!.line, use.owner);
      plan.own.push({ use, slot });
    }
    return plan;
  }

  /** Fds that an earlier process kept by these names. */
  #shareOfStore(names: () => string[]): KeptFd[] {
    const store = this.#store;
    return store === undefined || store.leftNames.length === 0
      ? []
      : store.share(names());
  }

  async #startLane(
    firstUses: ChipPlan["firstUses"],
    leaves: boolean,
  ): Promise<LaneHandover> {
    const lane = RunningLane.create({
      program: this.#program,
      lines: firstUses.map(({ line }) => line),
      start: { ...this.#prepareStart(firstUses.map(({ use }) => use)), leaves },
    }, this.#events);
    const { handover } = lane;
    this.#running.set(handover, lane);
    lane.over.then(() => this.#running.delete(handover));
    await lane.start();
    return handover;
  }

  #prepareStart(slow: readonly SlowLine[]): Omit<LaneStart, "handover"> {
    const store = this.#store;
    return {
      ...(store === undefined ? {} : {
        notifySocket: store.notifySocket,
        kept: this.#shareOfStore(() => slow.flatMap(lineNames)),
      }),
      lines: slow.map(({ specification, owner }, slot) => ({
        specification: withoutSharing(specification),
        owner,
        slot,
      })),
    };
  }
}

/** Replaces the chip's line by a lane's line. */
function replace(
  laned: readonly { lines: LineSpecification[] }[],
  { aggregator, line, specification, hostLine }: SlowLine,
  source: { lane: number; slot: number } & LaneLineTitle,
): void {
  laned[aggregator]!.lines[line] = {
    ...specification,
    source: {
      kind: "lane",
      ...source,
      ...(hostLine === undefined ? {} : { hostLine }),
      knownAs: sourceNames(specification.source),
      origin: specification.source,
    },
  };
}

/** Place of a line; while it is away, the place that is written down. */
function lineKey({ hostLine, specification }: SlowLine): string | undefined {
  if (hostLine !== undefined) return hostLine;
  const { source } = specification;
  return isChipSource(source) ? wantedText(source) : undefined;
}

/** True if two entries are one shared line. */
function isSameLine(a: SlowLine, b: SlowLine): boolean {
  const place = lineKey(a);
  return a === b || place !== undefined && place === lineKey(b) &&
      isShareable(a.specification) && isShareable(b.specification);
}

/** Each line once: a lane opens a shared line once, for all of its users. */
function firstUses(slow: readonly SlowLine[]): SlowLine[] {
  return slow.filter((use, i) =>
    slow.findIndex((other) => isSameLine(other, use)) === i
  );
}

/** A line as its lane sees it: the users are not the lane's concern. */
function withoutSharing(
  { shared: _shared, combine: _combine, ...specification }: LineSpecification,
): LineSpecification {
  return specification;
}

/** All lines of chips, and by chip those that need a lane. */
interface FoundUses {
  byChip: Map<string, SlowLine[]>;
  uses: ChipUse[];
}

function slowLinesByChip(
  aggregators: readonly AggregatorSpecification[],
): FoundUses {
  return withOneScan(() => findUses(aggregators));
}

function findUses(
  aggregators: readonly AggregatorSpecification[],
): FoundUses {
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
      // Lines of an absent chip belong to one chip if they name the same.
      const chip = located?.chipPath ?? `absent ${source.chip}`;
      const slow = byChip.get(chip) ?? [];
      const hostLine = located && lineText(located);
      slow.push({ ...use, aggregator, line, hostLine });
      byChip.set(chip, slow);
    }
  }
  return { byChip, uses };
}

/** Returns the names of what says how an aggregator's guest left it. */
function guestNames(aggregator: string): string[] {
  return [guestFdName, goneFdName, forcedFdName, requestedFdName].map((name) =>
    name(aggregator)
  );
}

/** Returns the names of sessions with VMMs. */
function sessionNames(
  aggregators: readonly AggregatorSpecification[],
): string[] {
  return aggregators
    .filter(({ vfioUser, vhostUser, qemuPins, usbredir }) =>
      vfioUser !== undefined || vhostUser !== undefined ||
      qemuPins !== undefined || usbredir !== undefined
    )
    .flatMap(({ name }) => sessionFdNames(name));
}

/** Returns the names by which a service manager keeps an aggregator's fds. */
export function keptNames(
  aggregators: readonly AggregatorSpecification[],
): string[] {
  const { uses } = slowLinesByChip(aggregators);
  return [
    ...aggregators.flatMap(({ name }) => guestNames(name)),
    ...sessionNames(aggregators),
    ...uses.flatMap((use) => [...lineNames(use), ...voteNames(use)]),
  ];
}

/**
 * Returns the name under which a line's request is kept: the kernel's name of
 * its chip.
 */
function lineNames({ located }: ChipUse): string[] {
  if (located === undefined) return [];
  const { chipPath, offset } = located;
  return [lineFdName(kernelNameAt(chipPath), offset)];
}

/**
 * Returns the names under which its requested value may be kept, which is never
 * a lane's.
 */
function voteNames({ specification, owner, located }: ChipUse): string[] {
  const { source, combine } = specification;
  return combine === undefined || !isChipSource(source) ? [] : [
    ...voteFdNames(
      writtenLine(source),
      located && lineText(located),
      owner,
    ),
  ];
}
