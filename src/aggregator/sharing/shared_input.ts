/**
 * One host input for several aggregators (an emergency stop that every control
 * system sees): each user has interrupts of its own.
 *
 * Edges that came while a kept line was not served are for all users that were
 * there before: also for those that return after they were notified.
 *
 * @module
 */
import type { Value } from "../../line/value.ts";
import { Direction, Edges, FAILED } from "../../line/port.ts";
import { invertValue } from "../level.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";
import { SharedSource } from "./shared_source.ts";
import type { SharedUser } from "./source_turns.ts";

/** Operation of the source for a user: edges are requested on behalf of all. */
type Step =
  | typeof SourceOperation.GetValue
  | typeof SourceOperation.Input
  | typeof SourceOperation.SetEdges
  | typeof SourceOperation.Release;

/** Line as one user sees it. */
interface SharedInputUse {
  /** Set if this user's value is the opposite of the source's. */
  isInverted: boolean;
  /** Called when this user goes. */
  onClose: () => void;
}

/** A host input with several users. **Ownership**: owns its source. */
export class SharedInput extends SharedSource {
  /** Another list when a user comes or goes: who goes through it, goes on. */
  #taps: readonly InputTap[] = [];
  readonly #onUnused: () => void;
  readonly #defer: (task: () => void) => void;
  /** The edges that the source reports. */
  #edges: Edges;
  /** The edges that it was asked for last. */
  #asked: Edges = Edges.None;
  /** Has a user's edges taken back who is there no more. */
  readonly #closing: SharedUser = {
    start: () => this.startStep(SourceOperation.SetEdges),
    finish: (result) => this.finishStep(SourceOperation.SetEdges, result),
    tell: () => {},
  };
  /** Events so far of a kept source; undefined once all users are there. */
  #early: number[] | undefined;

  /**
   * `onUnused` is called when the last user has gone, with the source; `defer`
   * does something a moment later.
   */
  constructor(
    source: LineSource,
    onUnused: () => void,
    defer: (task: () => void) => void,
  ) {
    super(source);
    this.#onUnused = onUnused;
    this.#defer = defer;
    this.#edges = source.keptEdges ?? Edges.None;
    if (this.#edges !== Edges.None) this.#early = [];
  }

  /** One more user. **Ownership**: the caller's. */
  open(use: SharedInputUse): LineSource {
    const tap = new InputTap(this, this.source, use);
    if (this.#early !== undefined) {
      tap.edges = tap.forUser(this.#edges);
      if (this.#early.length > 0) {
        tap.catchUp(this.#early);
        this.#defer(() => tap.caughtUp());
      }
    }
    this.#taps = [...this.#taps, tap];
    return tap;
  }

  /** The users have come that an earlier process had: it is as ever. */
  takenOver(): void {
    this.#early = undefined;
  }

  /** Takes a tap's request. */
  ask(tap: InputTap, operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.Output:
      case SourceOperation.SetValue:
        return FAILED;
      case SourceOperation.GetValue:
        tap.step = SourceOperation.GetValue;
        break;
      case SourceOperation.Input:
        tap.isReleased = false;
        tap.step = SourceOperation.Input;
        break;
      case SourceOperation.SetEdges:
        tap.isReleased = false;
        tap.edges = argument as Edges;
        tap.step = SourceOperation.SetEdges;
        break;
      case SourceOperation.Deactivate:
        tap.edges = Edges.None;
        tap.step = SourceOperation.SetEdges;
        break;
      case SourceOperation.Release:
        tap.isReleased = true;
        tap.edges = Edges.None;
        // Only when no user wants the line any more is it let go.
        tap.step = this.#taps.every(({ isReleased }) => isReleased)
          ? SourceOperation.Release
          : SourceOperation.SetEdges;
    }
    return this.turns.perform(tap);
  }

  /** Has the source do its part of what a user asked. */
  startStep(step: Step): number {
    if (step !== SourceOperation.SetEdges) return this.source.submit(step, 0);
    const wanted = this.#wanted();
    this.#asked = wanted;
    return wanted === this.#edges
      ? 0
      : this.source.submit(SourceOperation.SetEdges, wanted);
  }

  /** The source has done it, or has not. */
  finishStep(step: Step, result: number): number {
    if (result === 0) {
      // Users may want other edges by now: their turn is yet to come.
      if (step === SourceOperation.SetEdges) this.#edges = this.#asked;
      else if (step === SourceOperation.Release) this.#edges = Edges.None;
    }
    return result;
  }

  /** A user goes. */
  close(tap: InputTap): void {
    if (!this.#taps.includes(tap)) return;
    this.#taps = this.#taps.filter((other) => other !== tap);
    tap.onClose();
    if (this.#taps.length > 0) {
      this.turns.perform(this.#closing);
      return;
    }
    this.source[Symbol.dispose]();
    this.#onUnused();
  }

  edge(value: number): void {
    this.#early?.push(value);
    for (const tap of this.#taps) tap.receive(value);
  }

  presence(isPresent: boolean): void {
    for (const tap of this.#taps) tap.listener?.presence(isPresent);
  }

  restored(): void {
    for (const tap of this.#taps) tap.listener?.restored();
  }

  #wanted(): Edges {
    let edges: number = Edges.None;
    for (const tap of this.#taps) edges |= tap.sourceEdges;
    return edges as Edges;
  }
}

/** One user's end of a shared input. */
class InputTap implements LineSource, SharedUser {
  readonly direction = Direction.Input;
  /** Operation for this user, or the last one. */
  step: Step = SourceOperation.GetValue;
  edges: Edges = Edges.None;
  isReleased = false;
  listener: SourceListener | undefined;
  /** Events that are delivered a moment later, and newer ones behind them. */
  #backlog: number[] | undefined;
  readonly #shared: SharedInput;
  readonly #source: LineSource;
  readonly #isInverted: boolean;
  readonly onClose: () => void;

  constructor(shared: SharedInput, source: LineSource, use: SharedInputUse) {
    this.#shared = shared;
    this.#source = source;
    this.#isInverted = use.isInverted;
    this.onClose = use.onClose;
  }

  get description(): string {
    return `${this.#source.description}, shared`;
  }

  get name(): string {
    return this.#source.name;
  }

  get lostEdges(): number {
    return this.#source.lostEdges ?? 0;
  }

  get mergedEdges(): number {
    return this.#source.mergedEdges ?? 0;
  }

  get isAbsent(): boolean {
    return this.#source.isAbsent === true;
  }

  get errno(): number {
    return this.#source.errno ?? 0;
  }

  get isUsedAsInterrupt(): boolean {
    return this.#source.isUsedAsInterrupt === true;
  }

  get isUnstarted(): boolean {
    return this.#source.isUnstarted === true;
  }

  get isKept(): boolean {
    return this.#source.isKept === true;
  }

  get keptEdges(): Edges {
    return this.edges;
  }

  /** The edges of the source that mean the wanted edges here. */
  get sourceEdges(): Edges {
    return this.forUser(this.edges);
  }

  /** Converts edges of the source to this user's, and the other way round. */
  forUser(edges: Edges): Edges {
    if (!this.#isInverted || edges === Edges.None || edges === Edges.Both) {
      return edges;
    }
    return (edges ^ Edges.Both) as Edges;
  }

  attach(listener: SourceListener): void {
    this.listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    return this.#shared.ask(this, operation, argument);
  }

  peek(): number {
    return this.invertResult(this.#source.peek());
  }

  remember(operation: SourceOperation, argument: number): void {
    // What one user wants when its guest goes must not undo another's request.
    if (operation === SourceOperation.Input) {
      this.#source.remember?.(operation, argument);
    }
  }

  invertResult(result: number): number {
    return result >= 0 && this.#isInverted
      ? invertValue(result as Value)
      : result;
  }

  /** Delivers `events` before any newer one, once `caughtUp` is called. */
  catchUp(events: readonly number[]): void {
    this.#backlog = [...events];
  }

  /** Delivers what has waited. */
  caughtUp(): void {
    const events = this.#backlog;
    this.#backlog = undefined;
    for (const value of events ?? []) this.receive(value);
  }

  receive(sourceValue: number): void {
    if (this.#backlog !== undefined) {
      this.#backlog.push(sourceValue);
      return;
    }
    const value = this.invertResult(sourceValue);
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.edges & edge) !== 0) this.listener?.edge(value);
  }

  start(): number {
    return this.#shared.startStep(this.step);
  }

  finish(result: number): number {
    return this.step === SourceOperation.GetValue
      ? this.invertResult(result)
      : this.#shared.finishStep(this.step, result);
  }

  tell(result: number): void {
    this.listener?.completed(result);
  }

  [Symbol.dispose](): void {
    this.listener = undefined;
    this.#shared.close(this);
  }
}
