/**
 * One host output for several aggregators: active if any of them, or if all of
 * them, want it so (an alarm lamp that every guest may light).
 *
 * A user that let go of its wish counts as one that wants the line inactive.
 *
 * What each user wants outlives a restart of this process where it is kept. The
 * output stays as it is until all users that are to come have come.
 *
 * @module
 */
import { Direction, FAILED, UNSPECIFIED } from "../virtio/line_port.ts";
import type { KeptWish } from "./kept_wish.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";
import { SharedSource, type SharedUser } from "./shared_source.ts";

/** How one user sees the line. */
export interface CombinedOutputUse {
  /** Whether its first wish is the value that is found. */
  keepsFound: boolean;
  /** Where its wish outlives this process. **Ownership**: the user's end. */
  kept?: KeptWish | undefined;
  /** Called when this user goes. */
  onClose: () => void;
}

/** A host output with several users. **Ownership**: owns its source. */
export class CombinedOutput extends SharedSource {
  /** Another list when a user comes or goes: who goes through it, goes on. */
  #taps: readonly OutputTap[] = [];
  readonly #isAnd: boolean;
  readonly #onUnused: () => void;
  /** What the source drives; undefined until it has been made an output. */
  #value: number | undefined;
  /** What it was asked to drive last. */
  #asked = 0;
  /** Drives what the wishes come to when no user asks for it. */
  readonly #ownDrive: SharedUser = {
    start: () => this.startDriving(),
    finish: (result) => this.finishDriving(result),
    tell: () => {},
  };
  /** Not all users of the earlier process are there again. */
  #isHeld: boolean;

  /**
   * A source that was kept is held as it is until `takenOver`. `onUnused` is
   * called when the last user has gone, with the source.
   */
  constructor(
    source: LineSource,
    combine: "or" | "and",
    onUnused: () => void,
  ) {
    super(source);
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
    this.perform(this.#ownDrive);
  }

  /** One more user. **Ownership**: the caller's. */
  open(use: CombinedOutputUse): LineSource {
    const tap = new OutputTap(this, this.source, use);
    this.#taps = [...this.#taps, tap];
    return tap;
  }

  /** What a tap was asked. */
  ask(tap: OutputTap, operation: SourceOperation, argument: number): number {
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
        tap.wishFor(argument);
        break;
      case SourceOperation.Output:
        tap.wishFor(argument === UNSPECIFIED ? tap.firstWish() : argument);
        break;
      case SourceOperation.Release:
        tap.wishFor(0);
    }
    return this.perform(tap);
  }

  /** Reads the line, for a user. */
  startReading(): number {
    return this.source.submit(SourceOperation.GetValue, 0);
  }

  /** Has the source drive what all wishes come to. */
  startDriving(): number {
    const value = this.#isHeld ? this.#value! : this.#combined();
    this.#asked = value;
    if (this.#value === undefined) {
      return this.source.submit(SourceOperation.Output, value);
    }
    return value === this.#value
      ? 0
      : this.source.submit(SourceOperation.SetValue, value);
  }

  /** The source drives it, or does not. */
  finishDriving(result: number): number {
    if (result === 0) this.#value = this.#asked;
    return result;
  }

  /** A user goes, and its wish with it. */
  close(tap: OutputTap): void {
    // The last one's own rule has said what it is to be.
    if (!this.#taps.includes(tap)) return;
    if (this.#taps.length === 1) this.takenOver();
    this.#taps = this.#taps.filter((other) => other !== tap);
    tap.onClose();
    if (this.#taps.length > 0) {
      this.perform(this.#ownDrive);
      return;
    }
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
    // The wishes may be others than when the chip went.
    if (isPresent) this.perform(this.#ownDrive);
    for (const tap of this.#taps) tap.listener?.presence(isPresent);
  }

  #combined(): number {
    // An "or" is decided by the first 1, an "and" by the first that is none.
    for (const { wish } of this.#taps) {
      if ((wish === 1) !== this.#isAnd) return this.#isAnd ? 0 : 1;
    }
    return this.#isAnd ? 1 : 0;
  }

  /** A wish that holds once the chip is there again. */
  remember(tap: OutputTap, value: number): void {
    tap.wish = value;
    this.source.remember?.(SourceOperation.Output, this.#combined());
  }
}

/** One user's end of a combined output. */
class OutputTap implements LineSource, SharedUser {
  readonly direction = Direction.Output;
  /** What is done for this user is to read the line, not to drive it. */
  isAsking = false;
  /** Whether an earlier process knew what this user wants. */
  readonly isKept: boolean;
  listener: SourceListener | undefined;
  #kept: KeptWish | undefined;
  #wish: number | undefined;
  /** What it wanted before the wish that is being fulfilled. */
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
    this.#kept = use.kept;
    this.#wish = use.kept?.wish;
    this.isKept = this.#wish !== undefined && source.isKept === true;
  }

  /** The value that this user wants; undefined until it wants one. */
  get wish(): number | undefined {
    return this.#wish;
  }

  set wish(value: number | undefined) {
    this.#wish = value;
    if (this.#kept !== undefined) this.#kept.wish = value;
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
      const wish = argument === UNSPECIFIED ? this.firstWish() : argument;
      this.#combined.remember(this, wish);
    }
  }

  /** What a user wants that says nothing: what it wanted, or nothing. */
  firstWish(): number {
    return this.wish ?? (this.#keepsFound ? Math.max(0, this.peek()) : 0);
  }

  /** Wants the line so, unless that turns out to be impossible. */
  wishFor(value: number): void {
    this.isAsking = false;
    this.#before = this.wish;
    this.wish = value;
  }

  start(): number {
    return this.isAsking
      ? this.#combined.startReading()
      : this.#combined.startDriving();
  }

  finish(result: number): number {
    if (this.isAsking) return result;
    if (result === FAILED) this.wish = this.#before;
    return this.#combined.finishDriving(result);
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
