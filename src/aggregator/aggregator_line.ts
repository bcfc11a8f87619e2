/**
 * One line of an aggregator: a source with the rules that stand between it and
 * whoever drives it.
 *
 * @module
 */
import type { LineSpecification } from "../config/specification.ts";
import {
  Direction,
  Edges,
  FAILED,
  type LineListener,
  LineOperation,
  type LinePort,
  PENDING,
  UNSPECIFIED,
} from "../virtio/line_port.ts";
import { FollowedSource } from "./follow.ts";
import { InterlockedSource } from "./interlock.ts";
import {
  innermost,
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";

/** Somebody on the host who wants to know when a line changes. */
export interface LineObserver {
  /** The line's direction or value may have changed. Must be cheap. */
  lineChanged(lineNumber: number): void;
}

/** Who is told of what a line's rules did, and of its chip. Must be cheap. */
export interface LineReporter {
  /** A rule refused a request. */
  refused(line: AggregatorLine, reason: string): void;
  /** The line's chip went, or came back. */
  presence(line: AggregatorLine, isPresent: boolean): void;
}

/** What stands before a line's operations; the line goes on in `admit`. */
export type Guard = (operation: LineOperation, argument: number) => number;

/** Of the operation under way: the source is asked for an observer's edges. */
const OBSERVING = -1;

/** Nothing was asked while a rule's operation was under way. */
const NOTHING = -1;
/** What was asked is of no use any more; whoever asked waits for an answer. */
const DROPPED = -2;

/** A rule that had to wait for an operation under way. */
const Later = { Nothing: 0, GuestGone: 1, Safe: 2 } as const;
type Later = typeof Later[keyof typeof Later];

/**
 * A {@linkcode LinePort} that enforces a line's rules on its way to the
 * {@linkcode LineSource}.
 *
 * **Ownership**: owns the source and disposes it.
 */
export class AggregatorLine implements LinePort, SourceListener, Disposable {
  readonly name: string;
  /** Told of what the rules did. */
  reporter: LineReporter | undefined;
  /** How many requests the rules refused. */
  refusals = 0;
  #specification: LineSpecification;
  #source: LineSource;
  #listener: LineListener | undefined;
  #lineNumber = 0;
  /** Told of changes, if anybody is: nobody costs one look at this field. */
  #observer: LineObserver | undefined;
  /** The edges that whoever is served wants to hear of. */
  #edges: Edges;
  /** They are an earlier process's guest's, who has not come back yet. */
  #hasKeptEdges: boolean;
  /** The source reports all edges, because somebody observes. */
  #isWide = false;
  #willBeWide = false;
  /** It cannot: it is not asked again while it is observed. */
  #isDeaf = false;
  #isReleased = false;
  /** An operation of the source is under way, the guest's or a rule's. */
  #pending = false;
  #underWay: SourceOperation | typeof OBSERVING = OBSERVING;
  #argument = 0;
  /** The one under way is a rule's: its result is nobody's. */
  #isRule = false;
  /** What a rule wants once the operation under way is done. */
  #later: Later = Later.Nothing;
  /** What the guest asked while a rule's operation was under way. */
  #queued: LineOperation | typeof NOTHING | typeof DROPPED = NOTHING;
  #queuedArgument = 0;

  /** Puts the rules of `specification` before `source`. */
  constructor(
    name: string,
    specification: LineSpecification,
    source: LineSource,
  ) {
    this.name = name;
    this.#specification = specification;
    this.#source = source;
    this.#edges = source.keptEdges ?? Edges.None;
    this.#hasKeptEdges = this.#edges !== Edges.None;
    source.attach(this);
  }

  /** The rules, and where the line comes from. */
  get specification(): LineSpecification {
    return this.#specification;
  }

  /** What the line is made of. */
  get source(): LineSource {
    return this.#source;
  }

  get direction(): Direction {
    return this.#source.direction;
  }

  /** Which line of its device it is. */
  get lineNumber(): number {
    return this.#lineNumber;
  }

  attach(listener: LineListener, lineNumber: number): void {
    this.#listener = listener;
    this.#lineNumber = lineNumber;
  }

  submit(operation: LineOperation, argument: number): number {
    return this.admit(operation, argument);
  }

  /** What `submit` does, behind the guard. */
  admit(operation: LineOperation, argument: number): number {
    const rule = this.#specification.direction;
    if (operation === LineOperation.Output) {
      if (rule === "input") return this.refuse("it is an input by rule");
    } else if (operation === LineOperation.Input) {
      if (rule === "output") return this.refuse("it is an output by rule");
    }
    if (this.#pending) {
      this.#queued = operation;
      this.#queuedArgument = argument;
      return PENDING;
    }
    // There is nothing to end, and the host line is not to be taken for it.
    if (operation === LineOperation.Deactivate && this.#isReleased) return 0;
    const result = this.#ask(operation, argument);
    if (this.#observer !== undefined && result === 0) {
      this.#observeResult(operation);
    }
    return result;
  }

  /**
   * Tells `observer` of changes from now on, or nobody. An input's changes are
   * seen even if its guest does not want to hear of them; the guest does not
   * notice.
   */
  observe(observer: LineObserver | undefined): void {
    this.#observer = observer;
    this.#isDeaf = false;
    this.#widen();
  }

  /** Somebody outside moved the line's pin, which no edge tells of. */
  pulled(): void {
    if (!this.#isWide) this.#observer?.lineChanged(this.#lineNumber);
  }

  /** Counts and reports that a rule forbids a request; always `FAILED`. */
  refuse(reason: string): typeof FAILED {
    this.refusals++;
    this.reporter?.refused(this, reason);
    return FAILED;
  }

  /**
   * Puts a guard before the line, or takes it away. A property of this object
   * shadows the method, so lines without a guard pay nothing.
   */
  setGuard(guard: Guard | undefined): void {
    if (guard !== undefined) this.submit = guard;
    else if (Object.hasOwn(this, "submit")) {
      this.submit = AggregatorLine.prototype.submit;
    }
  }

  /** Has other rules from now on; where the line comes from stays. */
  changeRules(specification: LineSpecification): void {
    this.#specification = {
      ...specification,
      source: this.#specification.source,
    };
  }

  /** Makes the line one that others can follow. */
  followable(): FollowedSource {
    const found = this.#find(FollowedSource);
    if (found !== undefined) return found;
    return this.#wrap(
      new FollowedSource(this.#source, this.#pending, this.#edgesOfSource()),
    );
  }

  /** Makes the line one that others can exclude; messages call it `title`. */
  interlocked(title: string): InterlockedSource {
    const found = this.#find(InterlockedSource);
    if (found !== undefined) return found;
    return this.#wrap(
      new InterlockedSource(title, this.#source, (reason) => {
        this.refuse(reason);
      }),
    );
  }

  /** Whether others exclude it. */
  get isInterlocked(): boolean {
    return this.#find(InterlockedSource) !== undefined;
  }

  /** Takes an output back that should not be active. */
  makeInactive(): void {
    if (!this.#pending && this.direction === Direction.Output) {
      this.#enforce(SourceOperation.Output, 0);
    }
  }

  /** The edges that the source reports, or is just asked for. */
  #edgesOfSource(): Edges {
    if (this.#isWide) return Edges.Both;
    const isAsked = this.#pending &&
      this.#underWay === SourceOperation.SetEdges;
    return isAsked ? this.#argument as Edges : this.#edges;
  }

  #wrap<T extends LineSource>(wrapper: T): T {
    this.#source = wrapper;
    wrapper.attach(this);
    return wrapper;
  }

  #find<T extends LineSource>(
    kind: new (...args: never[]) => T,
  ): T | undefined {
    for (
      let at: LineSource | undefined = this.#source;
      at !== undefined;
      at = at.wrapped
    ) if (at instanceof kind) return at;
    return undefined;
  }

  completed(result: number): void {
    const wasRule = this.#isRule;
    const operation = this.#underWay;
    this.#pending = false;
    this.#isRule = false;
    if (operation === OBSERVING) this.#widened(result);
    else if (result !== FAILED) {
      this.#done(operation, this.#argument);
      if (isChange(operation)) this.#observer?.lineChanged(this.#lineNumber);
    }
    const wasDropped = this.#queued === DROPPED;
    if (wasDropped) this.#queued = NOTHING;
    // A rule for a guest that is gone comes before whatever the next one asks.
    this.#applyLater();
    // The asker hears of it even if its guest has gone: it asked.
    if (!wasRule) this.#listener?.completed(this.#lineNumber, result);
    else if (wasDropped) this.#listener?.completed(this.#lineNumber, FAILED);
    if (!this.#pending && this.#queued !== NOTHING) this.#submitQueued();
    this.#widen();
  }

  edge(value: number): void {
    this.#observer?.lineChanged(this.#lineNumber);
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if (this.#isWide && (this.#edges & edge) === 0) return;
    this.#listener?.edge(this.#lineNumber, value);
  }

  presence(isPresent: boolean): void {
    this.#observer?.lineChanged(this.#lineNumber);
    this.reporter?.presence(this, isPresent);
    if (!isPresent) return;
    this.#listener?.restored?.(this.#lineNumber);
    // It may be another chip, and a rule may have had other edges remembered.
    this.#isDeaf = false;
    if (this.#observer !== undefined) this.#isWide = false;
    this.#widen();
  }

  restored(): void {
    this.#observer?.lineChanged(this.#lineNumber);
    this.#listener?.restored?.(this.#lineNumber);
  }

  /**
   * Puts the line where its specification starts it, before any guest. One that
   * an earlier process had goes on as it is, unless its rule forbids that.
   *
   * @throws {Error} If it cannot be made so.
   */
  start(): void {
    // An interlock has it made inactive just now: it cannot be anything else.
    if (this.#pending) return;
    const { direction } = this.#specification;
    if (innermost(this.#source).isKept === true) {
      const isOutput = this.direction === Direction.Output;
      if (direction === "any" || direction === "output" && isOutput) return;
    }
    const first = startOperation(this.#specification);
    if (first === undefined) return;
    const { operation, argument } = first;
    if (this.#source.isAbsent === true) {
      this.#source.remember?.(operation, argument);
    } else if (this.#apply(operation, argument) === FAILED) {
      const direction = operation === LineOperation.Input ? "input" : "output";
      throw new Error(
        `${this.#source.description} cannot be made an ${direction}`,
      );
    }
  }

  /** Puts the line where its `on-disconnect` rule wants it without a guest. */
  guestGone(): void {
    this.#hasKeptEdges = false;
    if (this.#pending) {
      // What the guest asked is of no use any more, but for its farewell.
      if (
        this.#queued !== NOTHING && this.#queued !== LineOperation.Deactivate
      ) this.#queued = DROPPED;
      this.#later = Later.GuestGone;
      return;
    }
    switch (this.#specification.onDisconnect) {
      case "keep":
        this.#widen();
        break;
      case "safe":
        this.goSafe();
        break;
      case "input":
        this.#enforce(SourceOperation.Input, 0);
        break;
      case "release":
        this.#enforce(SourceOperation.Release, 0);
        break;
    }
  }

  /**
   * Gives an output its safe value.
   *
   * @returns Whether it is an output that has one.
   */
  goSafe(): boolean {
    const { safe } = this.#specification;
    // A line that was left as an input is not driven against its wire.
    if (safe === undefined || this.direction !== Direction.Output) return false;
    if (this.#pending) {
      if (this.#later === Later.Nothing) this.#later = Later.Safe;
    } else this.#enforce(SourceOperation.SetValue, safe);
    return true;
  }

  /** Applies the rule for a missing guest, then lets the host line go. */
  [Symbol.dispose](): void {
    this.#listener = undefined;
    this.#observer = undefined;
    this.reporter = undefined;
    this.guestGone();
    this.#source[Symbol.dispose]();
  }

  /** A rule that holds for a line whose chip is away once it is back. */
  #enforce(operation: SourceOperation, argument: number): void {
    const source = this.#source;
    if (source.isAbsent === true) source.remember?.(operation, argument);
    else this.#apply(operation, argument);
  }

  #apply(operation: SourceOperation, argument: number): number {
    const result = this.#ask(operation, argument);
    this.#isRule = this.#pending;
    if (this.#observer !== undefined && result === 0) {
      this.#observeResult(operation);
    }
    return result;
  }

  #ask(operation: SourceOperation, argument: number): number {
    // All edges include those that a guest asks for.
    const isCovered = this.#isWide && operation === SourceOperation.SetEdges;
    const result = this.#source.submit(
      operation,
      isCovered ? Edges.Both : argument,
    );
    if (result === PENDING) {
      this.#pending = true;
      this.#underWay = operation;
      this.#argument = argument;
    } else if (result !== FAILED) this.#done(operation, argument);
    return result;
  }

  /** Keeps up with what an operation made of the line. */
  #done(operation: SourceOperation, argument: number): void {
    switch (operation) {
      case SourceOperation.GetValue:
      case SourceOperation.SetValue:
        return;
      case SourceOperation.SetEdges:
        this.#edges = argument as Edges;
        break;
      case SourceOperation.Input:
        break;
      default:
        this.#edges = Edges.None;
        this.#isWide = false;
    }
    this.#isReleased = operation === SourceOperation.Release;
    this.#hasKeptEdges &&= operation === SourceOperation.Input;
  }

  #observeResult(operation: SourceOperation): void {
    if (isChange(operation)) this.#observer!.lineChanged(this.#lineNumber);
    this.#widen();
  }

  /**
   * Has the source report all edges of an input while somebody observes, and
   * the guest's own ones otherwise.
   */
  #widen(): void {
    // What waits for a guest who comes back must not be taken for an observer.
    const isObserved = this.#observer !== undefined && !this.#isDeaf &&
      !this.#hasKeptEdges;
    if (this.#pending || this.#isReleased || isObserved === this.#isWide) {
      return;
    }
    const source = this.#source;
    if (source.direction !== Direction.Input || source.isAbsent === true) {
      return;
    }
    this.#willBeWide = isObserved;
    // What comes in between is not the guest's.
    this.#isWide = true;
    const result = source.submit(
      SourceOperation.SetEdges,
      isObserved ? Edges.Both : this.#edges,
    );
    if (result === PENDING) {
      this.#pending = true;
      this.#isRule = true;
      this.#underWay = OBSERVING;
    } else this.#widened(result);
  }

  #widened(result: number): void {
    if (result !== FAILED) this.#isWide = this.#willBeWide;
    else if (this.#willBeWide) {
      this.#isWide = false;
      this.#isDeaf = true;
    }
  }

  #applyLater(): void {
    const later = this.#later;
    this.#later = Later.Nothing;
    if (later === Later.GuestGone) this.guestGone();
    else if (later === Later.Safe) this.goSafe();
  }

  #submitQueued(): void {
    const operation = this.#queued as LineOperation;
    this.#queued = NOTHING;
    const result = this.admit(operation, this.#queuedArgument);
    if (result !== PENDING) this.#listener?.completed(this.#lineNumber, result);
  }
}

/** Whether an operation may change a line's direction or value. */
function isChange(operation: SourceOperation): boolean {
  return operation !== SourceOperation.GetValue &&
    operation !== SourceOperation.SetEdges;
}

/** The operation that starts a line as its specification wants it, if any. */
export function startOperation(
  specification: LineSpecification,
): { operation: LineOperation; argument: number } | undefined {
  const { direction, initial, safe } = specification;
  if (direction === "input") {
    return { operation: LineOperation.Input, argument: 0 };
  }
  if (initial === "as-is") {
    return direction === "output"
      ? { operation: LineOperation.Output, argument: UNSPECIFIED }
      : undefined;
  }
  if (direction === "output" || initial !== undefined) {
    return {
      operation: LineOperation.Output,
      argument: initial ?? safe ?? UNSPECIFIED,
    };
  }
  return undefined;
}
