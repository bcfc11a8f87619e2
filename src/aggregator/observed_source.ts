/**
 * The source of a line, and what the line knows of it: the operation under way,
 * the edges that it reports, and its state as last reported.
 *
 * @module
 */
import type { LineSpecification } from "../config/specification.ts";
import { Edges, FAILED, PENDING, UNSPECIFIED } from "../line/port.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { LastRequest } from "./last_request.ts";
import { LineEdges } from "./line_edges.ts";
import { LineObservation } from "./line_observation.ts";
import { LineOperations, OBSERVING } from "./line_operations.ts";
import {
  findSource,
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";
import { RuleKind } from "./rules/pending_rule.ts";
import { CombinedUser } from "./sharing/combined_output.ts";
import { FollowedSource } from "./sharing/followed_source.ts";

/** One line's source. **Ownership**: the line disposes the source. */
export class ObservedSource {
  /** Operations of the source. */
  readonly operations: LineOperations = new LineOperations();
  /** Edges of the guest, and those of an observer. */
  readonly observation: LineObservation;
  /** State of the line as last reported, and the edges since. */
  readonly edges: LineEdges;
  /** Value that an output was last asked for. */
  readonly requested: LastRequest = new LastRequest();
  /** Rule that the operation under way is for; none: it is its guest's. */
  #kind: RuleKind = RuleKind.None;
  /** The line's end of a combined output, if it is one. */
  readonly #user: CombinedUser | undefined;
  #source: LineSource;

  /** Begins with the source of `specification`, as it is. */
  constructor(source: LineSource, specification: LineSpecification) {
    this.#source = source;
    this.#user = findSource(source, CombinedUser);
    this.observation = new LineObservation(source.keptEdges ?? Edges.None);
    this.edges = new LineEdges(source, specification, this.observation);
  }

  /** The source, with all that stands before it. */
  get source(): LineSource {
    return this.#source;
  }

  /** Puts a source that wraps this one before it. */
  wrap<T extends LineSource>(wrapper: T, listener: SourceListener): T {
    this.#source = wrapper;
    wrapper.attach(listener);
    return wrapper;
  }

  /** Makes the source one that other lines can follow. */
  followable(listener: SourceListener, loop: EventLoop): FollowedSource {
    const found = findSource(this.#source, FollowedSource);
    if (found !== undefined) return found;
    const { isBusy, isPutOff } = this.operations;
    const followed = new FollowedSource(
      this.#source,
      isBusy && !isPutOff,
      this.#edges(),
      loop,
    );
    return this.wrap(followed, listener);
  }

  /** Asks the source for an operation: 0, a value, `FAILED` or `PENDING`. */
  ask(
    operation: SourceOperation,
    argument: number,
    kind: RuleKind = RuleKind.None,
  ): number {
    this.#kind = kind;
    // All edges include those that a guest asks for.
    const isCovered = operation === SourceOperation.SetEdges &&
      this.observation.reportsAllEdges;
    const result = this.#source.submit(
      operation,
      isCovered ? Edges.Both : argument,
    );
    if (result === PENDING) this.operations.began(operation, argument);
    else this.done(operation, argument, result);
    return result;
  }

  /** Asks for what a rule wants; an operator's force is one as well. */
  askByRule(
    operation: SourceOperation,
    argument: number,
    kind: RuleKind,
  ): number {
    const isForce = kind === RuleKind.Force || kind === RuleKind.Back;
    const user = isForce ? undefined : this.#user;
    user?.ruled(operation, argument);
    const result = this.ask(operation, argument, kind);
    if (user !== undefined && result !== FAILED) user.isRuled = true;
    this.operations.isOwn = this.operations.isBusy;
    return result;
  }

  /** Has an absent source be as a rule wants it, once its chip is there. */
  rememberByRule(
    operation: SourceOperation,
    argument: number,
    kind: RuleKind,
  ): void {
    this.#source.remember?.(operation, argument);
    this.#note(operation, argument, 0, kind);
  }

  /** Its guest is gone. */
  guestGone(): void {
    this.observation.guestGone();
    this.requested.note(undefined);
  }

  /** The source has done what was asked of it, or has not. */
  done(operation: SourceOperation, argument: number, result: number): void {
    this.#note(operation, argument, result, this.#kind);
    if (result === FAILED) return;
    this.observation.done(operation, argument);
    this.edges.done(operation, argument, this.#source);
  }

  /** Takes note of what an output was asked for. */
  #note(
    operation: SourceOperation,
    argument: number,
    result: number,
    kind: RuleKind,
  ): void {
    // The line was started, or is held by an operator.
    if (kind === RuleKind.Start || kind === RuleKind.Force) return;
    switch (operation) {
      case SourceOperation.SetValue:
      case SourceOperation.Output:
      case SourceOperation.Input:
      case SourceOperation.Release:
        break;
      default:
        return;
    }
    const { requested } = this;
    // A vote that ends something holds also if the line has not taken it.
    if (this.#user !== undefined) return requested.note(this.#user.vote);
    if (result === FAILED) return;
    const isDrive = operation === SourceOperation.SetValue ||
      operation === SourceOperation.Output;
    if (!isDrive) requested.note(undefined);
    else if (argument !== UNSPECIFIED) requested.note(argument);
    else requested.note(requested.value ?? this.#source.peek());
  }

  /** Has the source report the edges that are wanted, if it does nothing else. */
  idle(): void {
    if (this.operations.isBusy) return;
    const result = this.observation.adjust(this.#source);
    if (result === undefined) return;
    if (result === PENDING) {
      this.operations.began(OBSERVING, 0);
      this.operations.isOwn = true;
    } else this.adjusted(result);
  }

  /** The source reports other edges than before, or does not. */
  adjusted(result: number): void {
    this.observation.adjusted(result);
    this.edges.heardAs(this.#source);
  }

  /** The edges that the source reports, or is just asked for. */
  #edges(): Edges {
    const { isBusy, operation, argument } = this.operations;
    const isAsked = isBusy && operation === SourceOperation.SetEdges;
    return isAsked && !this.observation.reportsAllEdges
      ? argument as Edges
      : this.observation.sourceEdges;
  }
}
