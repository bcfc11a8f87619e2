/**
 * Looking at shared memory for a while instead of waiting for a notification: a
 * wake-up less for each request while requests follow each other closely.
 *
 * Polling is begun after work that a notification announced. It goes on while
 * work keeps coming, and ends when nothing came for the period that was asked
 * for. Where periods pass in vain they are halved, down to none; a notification
 * within a period of the work before brings them back. What is spent on looking
 * is bounded by a share of a CPU. Nothing is looked at, and nothing wakes up, once
 * polling has ended.
 *
 * @module
 */
import type { Poll, PollSettings, PollTarget } from "./event_loop.ts";
import type { Share, TimeShares } from "./time_shares.ts";

/** Time between two looks at file descriptors, deadlines and the like. */
const LOOK_US = 5;
/** Looks at targets between two readings of the clock. */
const LOOKS = 128;
/** Readings of the clock between two looks at the rest, at most. */
const READINGS = 64;
/** Looks that take as long as serving a target, roughly. */
const LOOKS_OF_SERVING = 100;
/** Percent of a whole. */
const WHOLE = 100;
/** Looking that may be saved up. **Units**: microseconds times percent. */
const MAX_CREDIT = 10_000 * WHOLE;
/** Credit with which polling begins. */
const LEAST_CREDIT = MAX_CREDIT / 10;

/** The targets of one reactor that are looked at now. */
export class Polls {
  readonly #clock: () => number;
  readonly #shares: TimeShares;
  readonly #active: TargetPoll[] = [];
  #lookedAt = 0;
  /** Looks, and targets served, since then. */
  #looks = 0;
  #serves = 0;

  /** Makes an empty list. The clock returns µs modulo 2^32, as an i32. */
  constructor(clock: () => number, shares: TimeShares) {
    this.#clock = clock;
    this.#shares = shares;
  }

  /** True while a target is looked at: the reactor must not wait. */
  get isActive(): boolean {
    return this.#active.length > 0;
  }

  /** Makes the poll of one more target, which is not looked at yet. */
  add(target: PollTarget, settings: PollSettings, share: Share): Poll {
    return new TargetPoll(target, settings, share, this);
  }

  /**
   * Looks at targets in turn, and serves those with news, until it is time to
   * look at what else there is.
   */
  spin(): void {
    const active = this.#active;
    let readings = 0;
    let now: number;
    do {
      let left = LOOKS;
      while (left > 0 && active.length > 0) {
        this.#looks += active.length;
        left -= active.length;
        for (let i = 0; i < active.length; i++) {
          const poll = active[i]!;
          if (!poll.target.hasNews) continue;
          this.#serve(poll);
          left -= LOOKS_OF_SERVING;
        }
      }
      now = this.#clock();
    } while (
      active.length > 0 && elapsedUs(this.#lookedAt, now) < LOOK_US &&
      ++readings < READINGS
    );
    this.#settle(now);
  }

  #serve(poll: TargetPoll): void {
    const shares = this.#shares;
    poll.hasServed = true;
    this.#serves++;
    // Looking is not a part of the slice that begins now.
    shares.beginTurn();
    if (shares.mustWait(poll.share)) poll.target.serveLater();
    else shares.run(poll.share, poll.serve, 0);
  }

  /** Charges looking since the last look, and ends what is over. */
  #settle(now: number): void {
    const active = this.#active;
    const elapsed = Math.max(0, elapsedUs(this.#lookedAt, now));
    this.#lookedAt = now;
    const looks = this.#looks;
    const parts = looks + this.#serves * LOOKS_OF_SERVING;
    const each = Math.ceil(
      elapsed * looks / (parts * active.length || 1),
    );
    this.#looks = this.#serves = 0;
    // From the end: those that are over leave their places to later ones.
    for (let i = active.length - 1; i >= 0; i--) {
      const poll = active[i];
      if (poll === undefined || poll.goesOn(now, each)) continue;
      this.remove(poll);
      this.#shares.run(poll.share, poll.end, 0);
    }
  }

  /** Has a target looked at from now on. */
  activate(poll: TargetPoll, now: number): void {
    if (this.#active.length === 0) this.#lookedAt = now;
    this.#active.push(poll);
  }

  /** Looks at a target no more. */
  remove(poll: TargetPoll): void {
    const at = this.#active.indexOf(poll);
    if (at >= 0) this.#active.splice(at, 1);
    poll.isActive = false;
  }

  /** Returns the time. **Units**: µs modulo 2^32, as an i32. */
  now(): number {
    return this.#clock();
  }
}

/** One target with the history that decides how long it is looked at. */
class TargetPoll implements Poll {
  readonly target: PollTarget;
  readonly share: Share;
  readonly serve: () => void;
  readonly end: () => void;
  isActive = false;
  /** Work was found since the last look at the clock. */
  hasServed = false;
  readonly #settings: PollSettings;
  readonly #polls: Polls;
  /** Time without work after which looking ends; absent: the whole period. */
  #windowUs: number | undefined;
  #servedAt = 0;
  #credit = MAX_CREDIT;
  #creditAt = 0;

  constructor(
    target: PollTarget,
    settings: PollSettings,
    share: Share,
    polls: Polls,
  ) {
    this.target = target;
    this.#settings = settings;
    this.share = share;
    this.#polls = polls;
    this.serve = () => target.serveNews();
    this.end = () => target.pollEnded();
    this.#creditAt = this.#servedAt = polls.now();
  }

  begin(): boolean {
    const { periodUs } = this.#settings;
    if (this.isActive || periodUs === 0) return this.isActive;
    const now = this.#polls.now();
    const gap = elapsedUs(this.#servedAt, now);
    const isClose = gap >= 0 && gap <= periodUs;
    const window = this.#windowUs ?? periodUs;
    this.#windowUs = isClose ? periodUs : window;
    this.#servedAt = now;
    this.#earn(now);
    if (this.#windowUs === 0 || this.#credit < LEAST_CREDIT) return false;
    this.isActive = true;
    this.#polls.activate(this, now);
    return true;
  }

  stop(): void {
    if (this.isActive) this.#polls.remove(this);
  }

  /**
   * Takes `spentUs` of looking into account; false if it is to end: nothing came
   * for too long, or the share of the CPU is used up.
   */
  goesOn(now: number, spentUs: number): boolean {
    const { periodUs } = this.#settings;
    this.#earn(now);
    this.#credit -= spentUs * WHOLE;
    if (this.hasServed) {
      this.hasServed = false;
      this.#servedAt = now;
      this.#windowUs = periodUs;
    }
    if (this.#credit <= 0) return false;
    const elapsed = elapsedUs(this.#servedAt, now);
    const window = this.#windowUs ?? periodUs;
    if (elapsed >= 0 && elapsed < Math.min(window, periodUs)) return true;
    this.#windowUs = window >> 1;
    return false;
  }

  #earn(now: number): void {
    const elapsed = elapsedUs(this.#creditAt, now);
    this.#creditAt = now;
    const { sharePercent } = this.#settings;
    // More than that is saved by no share; it would be no small integer.
    const most = MAX_CREDIT / sharePercent;
    this.#credit = elapsed < 0 || elapsed >= most
      ? MAX_CREDIT
      : Math.min(MAX_CREDIT, this.#credit + elapsed * sharePercent);
  }
}

/** Time between two readings; negative for more than half a cycle (36 min). */
function elapsedUs(from: number, to: number): number {
  return (to - from) | 0;
}
