/**
 * A line that other lines follow, with no hardware between.
 *
 * @module
 */
import { Direction, Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { type LineSource, SourceOperation } from "../line_source.ts";
import { Backoff } from "../rules/backoff.ts";
import { type Follower, Followers } from "./followers.ts";
import { WrappingSource } from "../wrapping_source.ts";
import { type SharedUser, SourceTurns } from "./source_turns.ts";

/**
 * Wraps the source of a line that others follow, and notifies them of its
 * changes, whatever its own guest has enabled.
 */
export class FollowedSource extends WrappingSource implements SharedUser {
  /** Operations of the line's own guest, and edges for the followers. */
  readonly #turns = new SourceTurns();
  readonly #followers: Followers;
  /** The edges that the line's own guest wants. */
  #guestEdges: Edges;
  /** The edges that the source reports. */
  #edges: Edges;
  /** The edges that it was asked for last. */
  #asked: Edges = Edges.None;
  /** Request of the line's own guest, present or last. */
  #operation: SourceOperation = SourceOperation.GetValue;
  #argument = 0;
  /** Has the source report what the followers need. */
  readonly #forFollowers: SharedUser = {
    start: () => this.#startEdges(),
    finish: (result) => {
      // A line without reports to followers would look as if it never moved.
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
    super(source);
    if (isBusy) {
      this.#turns.follow((result) => this.listener?.completed(result));
    }
    this.#followers = new Followers(loop);
    this.#retry = new Backoff(loop, () => this.#syncEdges());
    this.#guestEdges = edges;
    this.#edges = edges;
    source.attach(this);
  }

  /** The line's value as its followers see it; `FAILED` if it is not known. */
  get value(): number {
    return this.direction === Direction.Output && this.#driven >= 0
      ? this.#driven
      : this.wrapped.peek();
  }

  /** True if the line is driven. */
  get isDriven(): boolean {
    return !this.#isReleased && this.direction === Direction.Output;
  }

  /** Notifies `follower` of changes until the result is disposed. */
  follow(follower: Follower): Disposable {
    this.#followers.add(follower);
    this.#syncEdges();
    return {
      [Symbol.dispose]: () => {
        if (this.#followers.delete(follower)) this.#syncEdges();
      },
    };
  }

  override submit(operation: SourceOperation, argument: number): number {
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
    return this.#turns.perform(this);
  }

  start(): number {
    return this.#operation === SourceOperation.SetEdges
      ? this.#startEdges()
      : this.wrapped.submit(this.#operation, this.#argument);
  }

  finish(result: number): number {
    if (this.#operation === SourceOperation.SetEdges) {
      return this.#finishEdges(result);
    }
    if (result >= 0) this.#done(this.#operation, this.#argument);
    return result;
  }

  tell(result: number): void {
    this.listener?.completed(result);
  }

  override completed(result: number): void {
    this.#turns.completed(result);
  }

  override edge(value: number): void {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.#guestEdges & edge) !== 0) this.listener?.edge(value);
    else this.listener?.moved?.(value);
    this.#followers.tell(value);
  }

  override presence(isPresent: boolean): void {
    this.listener?.presence(isPresent);
    this.#followers.tell();
    if (isPresent) this.#syncEdges();
  }

  override restored(): void {
    this.listener?.restored();
    this.#followers.tell();
  }

  override [Symbol.dispose](): void {
    this.#retry[Symbol.dispose]();
    this.#followers.stop();
    super[Symbol.dispose]();
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
    this.listener?.applied?.(operation, argument);
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
      : this.wrapped.submit(SourceOperation.SetEdges, wanted);
  }

  #finishEdges(result: number): number {
    if (result === 0) this.#edges = this.#asked;
    return result;
  }

  /**
   * Followers get an input's edges; an output's changes are ours to see.
   */
  #syncEdges(): void {
    const isInput = this.direction === Direction.Input && !this.#isReleased;
    if (isInput && this.#wanted() !== this.#edges && !this.isAbsent) {
      this.#retry.cancel();
      this.#turns.perform(this.#forFollowers);
    }
  }
}
