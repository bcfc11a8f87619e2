/**
 * Plays a plan through the control API: a little ahead of time, so that the
 * service's own timer decides when a line changes.
 *
 * @module
 */
import type { PlayRequest, PlayState } from "../../client/play.ts";
import type { Plan, PlannedPart } from "./plan.ts";

/** Steps are sent this long before their time. **Units**: nanoseconds. */
const AHEAD_NS = 2e9;
/** Time between the first request and the first step. **Units**: ns. */
const LEAD_NS = 250_000_000n;
/** Most steps of a request, which keeps it below the size of a body. */
const STEPS_PER_REQUEST = 1024;
/** Most steps that wait in the service. */
const MOST_WAITING = 32_768;
/** Interval of looks. **Units**: milliseconds. */
const LOOK_MS = 100;

/** Parts of a client that play. */
export interface PlayTarget {
  /** See `ServiceClient.play`. */
  play(aggregator: string, request: PlayRequest): Promise<PlayState>;
  /** See `ServiceClient.playState`. */
  playState(aggregator: string): Promise<PlayState>;
  /** See `ServiceClient.cancelPlay`. */
  cancelPlay(aggregator: string): Promise<PlayState>;
}

/** Surroundings of a play. */
interface PlayOptions {
  /** Set if it begins again at its end, until it is ended. */
  readonly loop: boolean;
  /** Aborted to end it. */
  readonly signal: AbortSignal;
  /** Returns the time. **Units**: nanoseconds since 1970. */
  readonly now: () => bigint;
  /** Resolves after some milliseconds, sooner if the signal is aborted. */
  readonly sleep: (ms: number) => Promise<void>;
}

/** Result of a play. */
export interface PlayResult {
  /** Time of the first step. **Units**: nanoseconds since 1970. */
  readonly startNs: bigint;
  /** Number of steps that were played. */
  readonly played: number;
  /** Greatest median of the aggregators. **Units**: microseconds. */
  readonly medianLateUs: number;
  /** **Units**: microseconds. */
  readonly worstLateUs: number;
  /** True if the signal ended it. */
  readonly isCut: boolean;
}

/**
 * Plays until the end of the plan, or until the signal is aborted; what waits
 * is cancelled then.
 *
 * @throws {Error} If the service refuses.
 */
export async function playPlan(
  target: PlayTarget,
  plan: Plan,
  options: PlayOptions,
): Promise<PlayResult> {
  const { now, sleep, signal } = options;
  const startNs = now() + LEAD_NS;
  const feeds = plan.parts.map((part) =>
    new Feed(target, part, startNs, options.loop ? plan.durationNs : undefined)
  );
  const endNs = startNs + BigInt(plan.durationNs);
  try {
    while (!signal.aborted) {
      const atNs = Number(now() - startNs);
      for (const feed of feeds) await feed.fill(atNs + AHEAD_NS);
      const isOver = feeds.every(({ isOver }) => isOver);
      if (isOver && now() >= endNs) break;
      await sleep(LOOK_MS);
    }
  } finally {
    // Also if another part was refused.
    for (const feed of feeds) await feed.end().catch(() => {});
  }
  const states = feeds.map(({ state }) => state);
  return {
    startNs,
    isCut: signal.aborted,
    played: states.reduce((sum, { played }) => sum + played, 0),
    medianLateUs: Math.max(...states.map((one) => one.medianLateUs)),
    worstLateUs: Math.max(...states.map((one) => one.worstLateUs)),
  };
}

/** Sends the steps of one aggregator as their time comes near. */
class Feed {
  readonly #target: PlayTarget;
  readonly #part: PlannedPart;
  readonly #startNs: bigint;
  /** Duration of a round; undefined: there is one only. */
  readonly #roundNs: number | undefined;
  #next = 0;
  #round = 0;
  /** False while a request may have been refused. */
  #isSettled = true;
  state: PlayState = { waiting: 0, played: 0, medianLateUs: 0, worstLateUs: 0 };

  constructor(
    target: PlayTarget,
    part: PlannedPart,
    startNs: bigint,
    roundNs: number | undefined,
  ) {
    this.#target = target;
    this.#part = part;
    this.#startNs = startNs;
    this.#roundNs = roundNs;
  }

  /** True once all steps are played. */
  get isOver(): boolean {
    return this.#isSettled && this.#roundNs === undefined &&
      this.#next === this.#part.steps.length && this.state.waiting === 0;
  }

  /** Sends the steps up to a time; looks how far the service is. */
  async fill(untilNs: number): Promise<void> {
    const { aggregator } = this.#part;
    let hasSent = false;
    while (this.state.waiting <= MOST_WAITING) {
      const steps = this.#take(untilNs);
      if (steps.length === 0) break;
      const from = String(this.#startNs);
      const request = { from, steps };
      this.#isSettled = false;
      this.state = await this.#target.play(aggregator, request);
      this.#isSettled = true;
      hasSent = true;
    }
    if (!hasSent && !this.isOver) {
      this.state = await this.#target.playState(aggregator);
    }
  }

  /** Cancels what waits. */
  async end(): Promise<void> {
    if (this.isOver) return;
    this.state = await this.#target.cancelPlay(this.#part.aggregator);
  }

  #take(untilNs: number): PlayRequest["steps"] {
    const { steps, lines } = this.#part;
    const taken: PlayRequest["steps"] = [];
    while (taken.length < STEPS_PER_REQUEST) {
      if (this.#next === steps.length) {
        if (this.#roundNs === undefined) break;
        this.#next = 0;
        this.#round++;
      }
      const { afterNs, line, value } = steps[this.#next]!;
      const atNs = afterNs + this.#round * (this.#roundNs ?? 0);
      if (atNs > untilNs) break;
      taken.push({ afterNs: atNs, line: lines[line]!, value });
      this.#next++;
    }
    return taken;
  }
}
