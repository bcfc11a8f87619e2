/**
 * One host output for several aggregators: active if any of them, or if all of
 * them, want it so (an alarm lamp that every guest may light).
 *
 * A user that let go of its vote counts as one that wants the line inactive. So
 * does one that asked for that in vain: what all votes come to is driven until
 * the line has taken it.
 *
 * What each user wants outlives a restart of this process where it is kept. The
 * output stays as it is until all users that are to come have come.
 *
 * @module
 */
import type { PendingRuleState } from "../../client/protocol.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { Direction, FAILED, UNSPECIFIED } from "../../line/port.ts";
import type { PersistedVote } from "../restart/persisted_vote.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";
import { failureReason, PendingRule } from "../rules/pending_rule.ts";
import { SharedSource } from "./shared_source.ts";
import type { SharedUser } from "./source_turns.ts";

/** Line as one user sees it. */
interface CombinedOutputUse {
  /** Name of the user's aggregator, for messages. */
  user: string;
  /** Set if its first vote is the value that is found. */
  keepsFound: boolean;
  /**
   * Memory in which its vote outlives this process. **Ownership**: the user's
   * end.
   */
  kept?: PersistedVote | undefined;
  /** Called when this user goes. */
  onClose: () => void;
}

/** A host output with several users. **Ownership**: owns its source. */
export class CombinedOutput extends SharedSource {
  /** Another list when a user comes or goes: who goes through it, goes on. */
  #taps: readonly CombinedUser[] = [];
  readonly #isAnd: boolean;
  readonly #onUnused: () => void;
  /**
   * Value that the source drives; undefined until it has been made an output.
   */
  #value: number | undefined;
  /** Value that it was asked to drive last. */
  #asked = 0;
  /** A drive failed since: the line may have either value. */
  #isUnsure = false;
  readonly #retries: PendingRule;
  /** Drives what the votes come to when no user asks for it. */
  readonly #ownDrive: SharedUser = {
    start: () => {
      this.#retries.trying();
      return this.startDriving();
    },
    finish: (result) => {
      if (result === FAILED && this.source.isAbsent !== true) this.#failed();
      return this.finishDriving(result);
    },
    tell: () => {},
  };
  /** Not all users of the earlier process are there again. */
  #isHeld: boolean;
  /** Value that operators hold the line at, through some of its users. */
  #forced: number | undefined;

  /**
   * A source that was kept is held as it is until `takenOver`. `onUnused` is
   * called when the last user has gone, with the source. What fails is retried
   * in `loop`.
   */
  constructor(
    source: LineSource,
    combine: "or" | "and",
    onUnused: () => void,
    loop: EventLoop,
  ) {
    super(source);
    this.#retries = new PendingRule(
      loop,
      () => this.turns.perform(this.#ownDrive),
    );
    this.#isAnd = combine === "and";
    this.#onUnused = onUnused;
    this.#isHeld = source.isKept === true &&
      source.direction === Direction.Output && source.peek() >= 0;
    if (this.#isHeld) this.#value = source.peek();
  }

  /** The users have come that an earlier process had: it is as ever. */
  takenOver(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.turns.perform(this.#ownDrive);
  }

  /** One more user. **Ownership**: the caller's. */
  open(use: CombinedOutputUse): LineSource {
    const tap = new CombinedUser(this, this.source, use);
    this.#taps = [...this.#taps, tap];
    return tap;
  }

  /** Has the line at a value for an operator, until the tap lets go of it. */
  force(tap: CombinedUser, value: number | undefined): void {
    tap.forced = value;
    this.#forced = this.#taps.find(({ forced }) => forced !== undefined)
      ?.forced;
  }

  /** Returns why a tap's operator cannot have the line at a value. */
  forceRefusal(tap: CombinedUser, value: number): string | undefined {
    for (const other of this.#taps) {
      if (other === tap) continue;
      const { user, forced, vote } = other;
      if (forced !== undefined && forced !== value) {
        return `the same output is forced to ${forced} by ${user}: end that ` +
          "first";
      }
      if (other.isRuled && vote !== value && this.#decides(vote)) {
        return `the same output is ${vote} by a rule of ${user}, whose state ` +
          "is not overridden";
      }
    }
    return undefined;
  }

  /** A tap's rule wants a value: a force of another one ends if it cannot be. */
  ruled(tap: CombinedUser, value: number): void {
    if (this.#forced === undefined || this.#forced === value) return;
    if (!this.#decides(value)) return;
    const reason = `a rule of ${tap.user} has the same output at ${value}`;
    for (const other of this.#taps) {
      if (other.forced !== undefined) other.listener?.overruled?.(reason);
    }
  }

  /** Takes a tap's request. */
  ask(tap: CombinedUser, operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.Input:
      case SourceOperation.SetEdges:
        return FAILED;
      case SourceOperation.Deactivate:
        return 0;
      case SourceOperation.GetValue:
        tap.isAsking = true;
        break;
      case SourceOperation.SetValue:
        tap.requestValue(argument);
        break;
      case SourceOperation.Output:
        tap.requestValue(
          argument === UNSPECIFIED ? tap.initialRequest() : argument,
        );
        break;
      case SourceOperation.Release:
        tap.requestValue(0);
    }
    return this.turns.perform(tap);
  }

  /** Reads the line, for a user. */
  startReading(): number {
    return this.source.submit(SourceOperation.GetValue, 0);
  }

  /** Has the source drive what all votes come to. */
  startDriving(): number {
    const value = this.#isHeld ? this.#value! : this.#combined();
    this.#asked = value;
    if (this.#value === undefined) {
      return this.source.submit(SourceOperation.Output, value);
    }
    return value === this.#value && !this.#isUnsure
      ? 0
      : this.source.submit(SourceOperation.SetValue, value);
  }

  /** The source drives it, or does not: then that is tried again. */
  finishDriving(result: number, asker?: CombinedUser): number {
    if (result !== FAILED) {
      const isOther = this.#value !== this.#asked;
      this.#value = this.#asked;
      this.#isUnsure = false;
      if (isOther) this.#tellOthers(asker);
      this.#holds();
    } else {
      this.#isUnsure = true;
      // The user is notified, if one asked. A chip that is away is driven when it
      // is back.
      if (this.source.isAbsent !== true) this.#retries.retryLater();
    }
    return result;
  }

  /** Value of all votes together, while the line has not taken it. */
  get pendingRule(): PendingRuleState | undefined {
    return this.#retries.state;
  }

  /** Value that the line has, as far as it is known. */
  get value(): number {
    return this.#value ?? FAILED;
  }

  #tellOthers(asker: CombinedUser | undefined): void {
    // A cause before its effects.
    asker?.listener?.applied?.(SourceOperation.SetValue, this.#asked);
    for (const tap of this.#taps) {
      if (tap !== asker) tap.listener?.moved?.(this.#asked);
    }
  }

  #failed(): void {
    const rule = `combined value ${this.#combined()}`;
    const reason = failureReason(this.source.errno ?? 0);
    if (this.#retries.failed(rule, reason, true)) {
      this.#taps[0]?.listener?.rulePending?.(rule, reason);
    }
  }

  #holds(): void {
    const { state } = this.#retries;
    const effort = this.#retries.over();
    if (state !== undefined && effort !== undefined) {
      this.#taps[0]?.listener?.ruleHolds?.(state.rule, effort);
    }
  }

  /** A user goes, and its vote with it. */
  close(tap: CombinedUser): void {
    // The last one's own rule decides its state.
    if (!this.#taps.includes(tap)) return;
    if (this.#taps.length === 1) this.takenOver();
    this.force(tap, undefined);
    this.#taps = this.#taps.filter((other) => other !== tap);
    tap.onClose();
    if (this.#taps.length > 0) {
      this.turns.perform(this.#ownDrive);
      return;
    }
    this.#retries[Symbol.dispose]();
    this.source[Symbol.dispose]();
    this.#onUnused();
  }

  edge(): void {
    // An output reports none.
  }

  restored(): void {
    // Nor has it a level interrupt.
  }

  presence(isPresent: boolean): void {
    // The votes may be others than when the chip went.
    if (isPresent) this.turns.perform(this.#ownDrive);
    for (const tap of this.#taps) tap.listener?.presence(isPresent);
  }

  /** Returns true for a vote that the others cannot change. */
  #decides(vote: number | undefined): boolean {
    return (vote === 1) !== this.#isAnd;
  }

  #combined(): number {
    if (this.#forced !== undefined) return this.#forced;
    // An "or" is decided by the first 1, an "and" by the first 0.
    for (const { vote } of this.#taps) {
      if (this.#decides(vote)) return this.#isAnd ? 0 : 1;
    }
    return this.#isAnd ? 1 : 0;
  }

  /** A vote that holds once the chip is there again. */
  remember(tap: CombinedUser, value: number): void {
    tap.vote = value;
    this.source.remember?.(SourceOperation.Output, this.#combined());
  }
}

/** One user's end of a combined output. */
export class CombinedUser implements LineSource, SharedUser {
  readonly direction = Direction.Output;
  /** Set while the line is read for this user, not driven. */
  isAsking = false;
  /** Set if an earlier process knew what this user wants. */
  readonly isKept: boolean;
  listener: SourceListener | undefined;
  /** Value that its operator holds the line at. */
  forced: number | undefined;
  /** True while its vote is that of a rule, not of its guest. */
  isRuled = false;
  readonly user: string;
  #kept: PersistedVote | undefined;
  #vote: number | undefined;
  /** Vote before the one that is being fulfilled. */
  #before: number | undefined;
  readonly #combined: CombinedOutput;
  readonly #source: LineSource;
  readonly #keepsFound: boolean;
  readonly onClose: () => void;

  constructor(
    combined: CombinedOutput,
    source: LineSource,
    use: CombinedOutputUse,
  ) {
    this.#combined = combined;
    this.#source = source;
    this.#keepsFound = use.keepsFound;
    this.onClose = use.onClose;
    this.user = use.user;
    this.#kept = use.kept;
    // Of a line that was requested anew nothing holds before it is started.
    this.#vote = source.isKept === true ? use.kept?.vote : undefined;
    this.isKept = this.#vote !== undefined;
  }

  /** The value that this user wants; undefined until it wants one. */
  get vote(): number | undefined {
    return this.#vote;
  }

  set vote(value: number | undefined) {
    this.#vote = value;
    if (this.#kept !== undefined) this.#kept.vote = value;
  }

  get description(): string {
    return `${this.#source.description}, combined`;
  }

  get name(): string {
    return this.#source.name;
  }

  get isAbsent(): boolean {
    return this.#source.isAbsent === true;
  }

  get shown(): number {
    return this.#source.isAbsent === true ? FAILED : this.#combined.value;
  }

  get errno(): number {
    return this.#source.errno ?? 0;
  }

  get isUsedAsInterrupt(): boolean {
    return this.#source.isUsedAsInterrupt === true;
  }

  get pendingRule(): PendingRuleState | undefined {
    return this.#combined.pendingRule;
  }

  attach(listener: SourceListener): void {
    this.listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    return this.#combined.ask(this, operation, argument);
  }

  peek(): number {
    return this.#source.peek();
  }

  remember(operation: SourceOperation, argument: number): void {
    if (operation === SourceOperation.Release) {
      this.#combined.remember(this, 0);
    } else if (operation !== SourceOperation.Input) {
      const vote = argument === UNSPECIFIED ? this.initialRequest() : argument;
      this.#combined.remember(this, vote);
    }
  }

  /** Holds the line at a value, for an operator; undefined: not any more. */
  force(value: number | undefined): void {
    this.#combined.force(this, value);
  }

  /** Returns why an operator cannot have that; undefined if it can. */
  forceRefusal(value: number): string | undefined {
    return this.#combined.forceRefusal(this, value);
  }

  /** A rule asks for this next: it does not stand behind an operator. */
  ruled(operation: SourceOperation, argument: number): void {
    if (operation === SourceOperation.Release) this.#combined.ruled(this, 0);
    const isDrive = operation === SourceOperation.Output ||
      operation === SourceOperation.SetValue;
    if (isDrive && argument !== UNSPECIFIED) {
      this.#combined.ruled(this, argument);
    }
  }

  /** Returns the vote of a user that says nothing: its last one, or none. */
  initialRequest(): number {
    return this.vote ?? (this.#keepsFound ? Math.max(0, this.peek()) : 0);
  }

  /** Wants the line so, unless that turns out to be impossible. */
  requestValue(value: number): void {
    this.isAsking = false;
    this.isRuled = false;
    this.#before = this.vote;
    this.vote = value;
  }

  start(): number {
    return this.isAsking
      ? this.#combined.startReading()
      : this.#combined.startDriving();
  }

  finish(result: number): number {
    if (this.isAsking) return result;
    // Nothing starts by itself later; what is to end, ends as soon as it can.
    if (result === FAILED && this.vote !== 0) this.vote = this.#before;
    return this.#combined.finishDriving(result, this);
  }

  tell(result: number): void {
    this.listener?.completed(result);
  }

  [Symbol.dispose](): void {
    this.listener = undefined;
    this.#kept?.[Symbol.dispose]();
    this.#kept = undefined;
    this.#combined.close(this);
  }
}
