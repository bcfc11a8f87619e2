/**
 * Lines that follow other lines, with no hardware between: wires from one
 * aggregator's output to another's input, copies, and inverted copies.
 *
 * @module
 */
import type { PendingRuleState } from "../../client/protocol.ts";
import { linesByReference } from "../../config/references/known_names.ts";
import type {
  LineReference,
  LineSpecification,
  Value,
} from "../../config/specification.ts";
import { Direction, Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { Backoff } from "../rules/backoff.ts";
import { oppositeOf } from "../level.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";
import { type Follower, Followers } from "./followers.ts";
import { SharedSource, type SharedUser } from "./shared_source.ts";

/**
 * Stands before the source of a line that others follow, and tells them of its
 * changes, whatever its own guest wants to hear of.
 *
 * **Ownership**: owns its source.
 */
export class FollowedSource extends SharedSource
  implements LineSource, SharedUser {
  readonly #followers: Followers;
  #listener: SourceListener | undefined;
  /** The edges that the line's own guest wants. */
  #guestEdges: Edges;
  /** The edges that the source reports. */
  #edges: Edges;
  /** The edges that it was asked for last. */
  #asked: Edges = Edges.None;
  /** Request of the line's own guest, present or last. */
  #operation: SourceOperation = SourceOperation.GetValue;
  #argument = 0;
  /** Has the source report what the followers want to hear of. */
  readonly #forFollowers: SharedUser = {
    start: () => this.#startEdges(),
    finish: (result) => {
      // A line that followers do not hear of would look as if it never moved.
      if (result === FAILED) this.#retry.retryLater();
      else this.#retry[Symbol.dispose]();
      return this.#finishEdges(result);
    },
    tell: () => {},
  };
  /** Asks for the followers' edges again. */
  readonly #retry: Backoff;
  #isReleased = false;
  /** The value that was driven last. */
  #driven: number = UNSPECIFIED;

  /**
   * Stands before a source that is in use.
   *
   * @param isBusy Whether an operation is under way that began before.
   * @param edges Those that the line's own guest has asked for.
   * @param loop Where edges for followers are asked for again.
   */
  constructor(
    source: LineSource,
    isBusy: boolean,
    edges: Edges,
    loop: EventLoop,
  ) {
    super(source, isBusy);
    this.#followers = new Followers(loop);
    this.#retry = new Backoff(loop, () => this.#syncEdges());
    this.#guestEdges = edges;
    this.#edges = edges;
  }

  get description(): string {
    return this.source.description;
  }

  get name(): string {
    return this.source.name;
  }

  get direction(): Direction {
    return this.source.direction;
  }

  get isAbsent(): boolean {
    return this.source.isAbsent === true;
  }

  get errno(): number {
    return this.source.errno ?? 0;
  }

  get isUsedAsInterrupt(): boolean {
    return this.source.isUsedAsInterrupt === true;
  }

  get pendingRule(): PendingRuleState | undefined {
    return this.source.pendingRule;
  }

  get wrapped(): LineSource {
    return this.source;
  }

  /** The line's value as its followers see it; `FAILED` if it is not known. */
  get value(): number {
    return this.direction === Direction.Output && this.#driven >= 0
      ? this.#driven
      : this.source.peek();
  }

  /** True if the line is driven. */
  get isDriven(): boolean {
    return !this.#isReleased && this.direction === Direction.Output;
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  /** Tells `follower` of changes until the result is disposed. */
  follow(follower: Follower): Disposable {
    this.#followers.add(follower);
    this.#syncEdges();
    return {
      [Symbol.dispose]: () => {
        if (this.#followers.delete(follower)) this.#syncEdges();
      },
    };
  }

  submit(operation: SourceOperation, argument: number): number {
    this.#operation = operation;
    this.#argument = argument;
    if (operation === SourceOperation.SetEdges) {
      this.#guestEdges = argument as Edges;
    } else if (operation === SourceOperation.Deactivate) {
      this.#guestEdges = Edges.None;
      if (this.#followers.size > 0) {
        this.#operation = SourceOperation.SetEdges;
      }
    }
    return this.perform(this);
  }

  start(): number {
    return this.#operation === SourceOperation.SetEdges
      ? this.#startEdges()
      : this.source.submit(this.#operation, this.#argument);
  }

  finish(result: number): number {
    if (this.#operation === SourceOperation.SetEdges) {
      return this.#finishEdges(result);
    }
    if (result >= 0) this.#done(this.#operation, this.#argument);
    return result;
  }

  tell(result: number): void {
    this.#listener?.completed(result);
  }

  peek(): number {
    return this.source.peek();
  }

  remember(operation: SourceOperation, argument: number): void {
    this.source.remember?.(operation, argument);
  }

  edge(value: number): void {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.#guestEdges & edge) !== 0) this.#listener?.edge(value);
    else this.#listener?.moved?.(value);
    this.#followers.tell(value);
  }

  presence(isPresent: boolean): void {
    this.#listener?.presence(isPresent);
    this.#followers.tell();
    if (isPresent) this.#syncEdges();
  }

  restored(): void {
    this.#listener?.restored();
    this.#followers.tell();
  }

  moved(value: number): void {
    this.#listener?.moved?.(value);
  }

  rulePending(rule: string, reason: string): void {
    this.#listener?.rulePending?.(rule, reason);
  }

  ruleHolds(rule: string, effort: string): void {
    this.#listener?.ruleHolds?.(rule, effort);
  }

  [Symbol.dispose](): void {
    this.#retry[Symbol.dispose]();
    this.#followers.stop();
    this.#listener = undefined;
    this.source[Symbol.dispose]();
  }

  protected override earlierCompleted(result: number): void {
    this.#listener?.completed(result);
  }

  /** Keeps up with what an operation made of the line. */
  #done(operation: SourceOperation, argument: number): void {
    switch (operation) {
      case SourceOperation.GetValue:
        return;
      case SourceOperation.SetValue:
        this.#driven = argument;
        break;
      case SourceOperation.Output:
        this.#driven = argument;
        this.#edges = Edges.None;
        break;
      case SourceOperation.Deactivate:
        this.#edges = Edges.None;
        break;
      case SourceOperation.Release:
        this.#driven = UNSPECIFIED;
        this.#edges = Edges.None;
        break;
    }
    this.#isReleased = operation === SourceOperation.Release;
    // A cause before its effects.
    this.#listener?.applied?.(operation, argument);
    this.#syncEdges();
    this.#followers.tell();
  }

  #wanted(): Edges {
    return this.#followers.size > 0 ? Edges.Both : this.#guestEdges;
  }

  #startEdges(): number {
    const wanted = this.#wanted();
    this.#asked = wanted;
    return wanted === this.#edges
      ? 0
      : this.source.submit(SourceOperation.SetEdges, wanted);
  }

  #finishEdges(result: number): number {
    if (result === 0) this.#edges = this.#asked;
    return result;
  }

  /**
   * Followers hear of an input's edges; an output's changes are ours to see.
   */
  #syncEdges(): void {
    const isInput = this.direction === Direction.Input && !this.#isReleased;
    if (isInput && this.#wanted() !== this.#edges && !this.isAbsent) {
      this.#retry.cancel();
      this.perform(this.#forFollowers);
    }
  }
}

/** Interface of a line for those that follow it. */
export interface FollowableLine {
  readonly name: string;
  readonly specification: Pick<LineSpecification, "name" | "source">;
  /** Makes the line one that can be followed. */
  followable(): FollowedSource;
}

/** The lines of one aggregator. */
interface Followable {
  readonly byName: ReadonlyMap<string, FollowableLine>;
  readonly byNumber: readonly FollowableLine[];
}

/**
 * Directory in which following lines find those they follow, by name or number.
 */
export class LineDirectory {
  readonly #lines = new Map<string, Followable>();
  readonly #followers = new Set<FollowerLine>();

  /** The lines of an aggregator can be followed from now on. */
  add(aggregator: string, lines: readonly FollowableLine[]): void {
    this.#lines.set(aggregator, {
      byNumber: lines,
      byName: linesByReference(lines),
    });
    this.#reconnect(aggregator);
  }

  /** They cannot any more: who followed them follows nothing. */
  remove(aggregator: string): void {
    this.#lines.delete(aggregator);
    this.#reconnect(aggregator);
  }

  /** Returns true if there is such a line. */
  has(reference: LineReference): boolean {
    return this.#lineOf(reference) !== undefined;
  }

  /** Returns the name of a line; undefined if there is no such line. */
  nameOf(reference: LineReference): string | undefined {
    return this.#lineOf(reference)?.name;
  }

  /** Connects a follower now and whenever its line comes, until disposed. */
  register(follower: FollowerLine): Disposable {
    this.#followers.add(follower);
    follower.connect(this.#find(follower.reference));
    return { [Symbol.dispose]: () => this.#followers.delete(follower) };
  }

  #find(reference: LineReference): FollowedSource | undefined {
    return this.#lineOf(reference)?.followable();
  }

  #lineOf(
    { aggregator, line, lineNumber }: LineReference,
  ): FollowableLine | undefined {
    const lines = this.#lines.get(aggregator);
    return lineNumber === undefined
      ? lines?.byName.get(line)
      : lines?.byNumber[lineNumber];
  }

  #reconnect(aggregator: string): void {
    for (const follower of this.#followers) {
      if (follower.reference.aggregator !== aggregator) continue;
      follower.connect(this.#find(follower.reference));
    }
  }
}

/** Converts the followed line to a line's value. */
type View = (followed: FollowedSource) => number;

/** Converts the value that the followed line had. */
type EdgeView = (value: number) => number;

/** A line that follows another one: always an input to its own guest. */
export class FollowerLine implements LineSource, Follower {
  /** Empty, but for one that stands for the followed line itself. */
  readonly name: string;
  readonly direction = Direction.Input;
  readonly description: string;
  /** The line that is followed. */
  readonly reference: LineReference;
  readonly #view: View;
  readonly #edgeView: EdgeView | undefined;
  /** The value while there is no line to follow. */
  readonly #alone: number;
  readonly #registration: Disposable;
  #followed: FollowedSource | undefined;
  #following: Disposable | undefined;
  #listener: SourceListener | undefined;
  #edges: Edges = Edges.None;
  #value: number = FAILED;
  /** Edges were not asked for yet: a new follower may have missed some. */
  #isFresh = true;

  /** Makes the line of a specification whose source is a reference. */
  constructor(specification: LineSpecification, directory: LineDirectory) {
    const { reference, view, edgeView, alone, title } = followingOf(
      specification,
    );
    this.reference = reference;
    this.#view = view;
    this.#edgeView = edgeView;
    this.#alone = alone;
    const isTwin = reference.lineNumber !== undefined;
    this.name = (isTwin && directory.nameOf(reference)) || "";
    this.description = `${title} ${reference.aggregator}.${
      this.name || reference.line
    }`;
    this.#registration = directory.register(this);
  }

  /** Follows this line from now on, or none. */
  connect(followed: FollowedSource | undefined): void {
    if (followed === this.#followed) return;
    this.#following?.[Symbol.dispose]();
    this.#followed = followed;
    this.#following = followed?.follow(this);
    this.followedChanged();
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.GetValue:
        return this.peek();
      case SourceOperation.SetEdges:
        this.#isFresh = false;
        this.#edges = argument as Edges;
        this.#value = this.peek();
        return 0;
      case SourceOperation.Input:
        return 0;
      case SourceOperation.Deactivate:
      case SourceOperation.Release:
        this.#isFresh = false;
        this.#edges = Edges.None;
        return 0;
      case SourceOperation.Output:
      case SourceOperation.SetValue:
        return FAILED;
    }
  }

  get shown(): number {
    return this.peek();
  }

  peek(): number {
    const followed = this.#followed;
    return followed === undefined ? this.#alone : this.#view(followed);
  }

  followedChanged(told?: number): void {
    const value = this.peek();
    const before = this.#value;
    // Edges of a kept line may have come and gone, also before a session that
    // goes on asked for them again: its value does not tell.
    if (told !== undefined && this.#edgeView !== undefined && before >= 0) {
      this.#value = value;
      const seen = this.#edgeView(told);
      if (this.#wants(seen)) this.#listener?.edge(seen);
      else if (value !== before) this.#listener?.moved?.(value);
      return;
    }
    if (value === before) return;
    this.#value = value;
    this.#listener?.moved?.(value);
    if (value < 0) return;
    if (before < 0) this.#listener?.restored();
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.#edges & edge) !== 0) this.#listener?.edge(value);
  }

  /** Returns true if the edge to a value is asked for, or may still be. */
  #wants(value: number): boolean {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    return this.#isFresh || (this.#edges & edge) !== 0;
  }

  [Symbol.dispose](): void {
    this.#listener = undefined;
    this.#registration[Symbol.dispose]();
    this.#following?.[Symbol.dispose]();
    this.#following = undefined;
    this.#followed = undefined;
  }
}

function followingOf(
  { source, activeLow, bias }: LineSpecification,
): {
  reference: LineReference;
  view: View;
  /** Absent where edges of an input are not seen. */
  edgeView?: EdgeView;
  alone: number;
  title: string;
} {
  const flip = (value: number) =>
    value < 0 ? value : oppositeOf(value as Value);
  switch (source.kind) {
    case "wire": {
      // What is on the wire is the other side's value; it is not driven: the
      // bias does, as it would a wire of copper.
      const own = activeLow ? flip : (value: number) => value;
      const idle = own(bias === "pull-up" ? 1 : 0);
      return {
        reference: source.to,
        view: (line) => line.isDriven ? own(line.value) : idle,
        alone: idle,
        title: "wire to",
      };
    }
    case "copy":
      return {
        reference: source.of,
        view: (line) => line.value,
        edgeView: (value) => value,
        alone: FAILED,
        title: "copy of",
      };
    case "invert":
      return {
        reference: source.of,
        view: (line) => flip(line.value),
        edgeView: flip,
        alone: FAILED,
        title: "opposite of",
      };
    default:
      throw new TypeError(`A ${source.kind} line follows no other`);
  }
}
