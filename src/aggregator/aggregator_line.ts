/**
 * One line of an aggregator: a source with the rules that stand between it and
 * whatever drives it.
 *
 * @module
 */
import type { PendingRuleState } from "../client/protocol.ts";
import type { LineSpecification } from "../config/specification.ts";
import {
  Departure,
  type Direction,
  Edges,
  FAILED,
  type LineListener,
  LineOperation,
  type LinePort,
  PENDING,
  UNSPECIFIED,
} from "../line/port.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import type { LineObservation, LineObserver } from "./line_observation.ts";
import type { GuestTeardown } from "./guest_teardown.ts";
import type { LastRequest } from "./last_request.ts";
import type { LineEdges } from "./line_edges.ts";
import { type LineOperations, OBSERVING, PUT_OFF } from "./line_operations.ts";
import type { UnsafeLine } from "./line_reporter.ts";
import { LineReports } from "./line_reports.ts";
import { ObservedSource } from "./observed_source.ts";
import { LineTeardown } from "./line_teardown.ts";
import type { Guard, GuardListener } from "./guard.ts";
import type { LineForce } from "./line_force.ts";
import { type ForcibleLine, LineForcing } from "./line_forcing.ts";
import {
  findSource,
  type LineSource,
  type SourceListener,
  type SourceOperation,
} from "./line_source.ts";
import { checkExclusion, InterlockedSource } from "./rules/interlock.ts";
import { LineRules, type RuledLine } from "./rules/line_rules.ts";
import type { RuleStep } from "./rules/rule_steps.ts";
import { RuleKind } from "./rules/pending_rule.ts";
import type { FollowedSource } from "./sharing/followed_source.ts";

/**
 * A {@linkcode LinePort} that enforces a line's rules on its way to the
 * {@linkcode LineSource}.
 *
 * **Ownership**: owns the source and disposes it.
 */
export class AggregatorLine
  implements LinePort, SourceListener, RuledLine, ForcibleLine, Disposable {
  readonly name: string;
  /** Reports of what the rules did, and of what is refused. */
  readonly reports: LineReports = new LineReports(this);
  /** Its state as last reported, and the edges since. */
  readonly edges: LineEdges;
  /** Holds it at a value, for an operator. */
  readonly forcing: LineForcing = new LineForcing(this);
  #specification: LineSpecification;
  readonly #loop: EventLoop;
  readonly #observed: ObservedSource;
  readonly #operations: LineOperations;
  readonly #observation: LineObservation;
  readonly #rules: LineRules;
  readonly #teardown: LineTeardown;
  #listener: LineListener | undefined;
  /** Number that the listener knows the line by: that of its adapter. */
  #listenerNumber = 0;
  #guard: Guard | undefined;
  #guardListener: GuardListener | undefined;
  #isWithdrawn = false;

  /** Puts the rules of `specification` before `source`; retries by `loop`. */
  constructor(
    name: string,
    specification: LineSpecification,
    source: LineSource,
    loop: EventLoop,
  ) {
    this.name = name;
    this.#specification = specification;
    this.#loop = loop;
    this.#rules = new LineRules(this, loop, source.isAbsent !== true);
    const observed = this.#observed = new ObservedSource(source, specification);
    this.#operations = observed.operations;
    this.#observation = observed.observation;
    this.edges = observed.edges;
    this.#teardown = new LineTeardown(
      this.#operations,
      () => this.completed(0),
    );
    source.attach(this);
  }

  /** Number of the line in its aggregator. */
  get lineNumber(): number {
    return this.edges.lineNumber;
  }

  /** Number of requests that the rules refused. */
  get refusals(): number {
    return this.reports.refusals;
  }

  /** Value that an output was last asked for. */
  get requested(): LastRequest {
    return this.#observed.requested;
  }

  /** The rules, and where the line comes from. */
  get specification(): LineSpecification {
    return this.#specification;
  }

  /** Source of the line. */
  get source(): LineSource {
    return this.#observed.source;
  }

  get direction(): Direction {
    return this.source.direction;
  }

  get isBusy(): boolean {
    return this.#operations.isBusy;
  }

  /** The force that holds the line, if one does. */
  get force(): LineForce | undefined {
    return this.forcing.current;
  }

  /** True from the moment on that guests do not use it any more. */
  get isWithdrawn(): boolean {
    return this.#isWithdrawn;
  }

  /** Time until the line may change again. **Units**: milliseconds. */
  get restMs(): number {
    return this.#guardListener?.restMs ?? 0;
  }

  get forceStep(): RuleStep | undefined {
    return this.forcing.step;
  }

  /** The value as its guest sees it; `FAILED` if it is not known. */
  get value(): number {
    return this.forcing.value;
  }

  get interlock(): InterlockedSource | undefined {
    return findSource(this.source, InterlockedSource);
  }

  attach(listener: LineListener, lineNumber: number): void {
    this.#listener = listener;
    this.#listenerNumber = lineNumber;
  }

  submit(operation: LineOperation, argument: number): number {
    const guard = this.#guard;
    return guard === undefined
      ? this.admit(operation, argument)
      : guard(operation, argument);
  }

  /** Continues `submit`, behind the guard. */
  admit(operation: LineOperation, argument: number): number {
    const rule = this.#specification.direction;
    if (operation === LineOperation.Output) {
      if (rule === "input") return this.refuse("it is an input by rule");
    } else if (operation === LineOperation.Input) {
      if (rule === "output") return this.refuse("it is an output by rule");
    }
    const force = this.forcing.current;
    if (force !== undefined) {
      const result = this.forcing.answer(force, operation, argument);
      if (result !== undefined) return result;
    }
    const operations = this.#operations;
    if (operations.isBusy) return operations.queue(operation, argument);
    const isLeft = operation === LineOperation.Deactivate &&
      argument === Departure.GuestGone;
    const isLater = isLeft && this.#observation.sourceEdges !== Edges.None &&
      this.#teardown.putOff();
    if (isLater) return operations.queue(operation, argument);
    if (this.#rules.holdsBack(operation)) {
      const result = this.#rules.first();
      if (result === PENDING) return operations.queue(operation, argument);
      if (result !== 0) return result;
    }
    // There is nothing to end, and the host line is not to be taken for it.
    const isLeave = operation === LineOperation.Deactivate;
    if (isLeave && this.#observation.isReleased) return 0;
    const { refusals } = this.reports;
    this.edges.byGuest();
    const result = this.#observed.ask(operation, argument);
    if (result !== PENDING && this.reports.refusals === refusals) {
      this.reports.kernelAnswered(operation, result);
    }
    if (result === FAILED || argument === UNSPECIFIED) this.#rules.checkLearn();
    if (result === 0 && this.#observation.isObserved) this.#observed.idle();
    return result;
  }

  /**
   * Reports changes to `observer` from now on, or to none. An input's changes
   * are seen even if its guest has not enabled them; the guest does
   * not notice.
   */
  observe(observer: LineObserver | undefined): void {
    this.#observation.observe(observer);
    this.#observed.idle();
  }

  /** Subscribes to its edges as the record needs, and notes its state. */
  heard(): void {
    this.edges.heardAs(this.source);
    this.#observed.idle();
  }

  /** The line's pin was moved from outside, which no edge reports. */
  pulled(): void {
    this.edges.moved(this.source.peek());
  }

  /** Counts and reports that a rule forbids a request; always `FAILED`. */
  refuse(reason: string): typeof FAILED {
    return this.reports.refuse(reason);
  }

  /** Puts a guard before the line, or takes it away. */
  setGuard(guard: Guard | undefined, listener?: GuardListener): void {
    this.#guard = guard;
    this.#guardListener = listener;
  }

  /** True if a guard looks at each request. */
  get isGuarded(): boolean {
    return this.#guard !== undefined;
  }

  /** Has the end of a guest take the time that `teardown` gives. */
  useTeardown(teardown: GuestTeardown): void {
    this.#teardown.teardown = teardown;
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
    return this.#observed.followable(this, this.#loop);
  }

  /** Makes the line one that others can exclude; messages call it `title`. */
  interlocked(title: string): InterlockedSource {
    const found = this.interlock;
    if (found !== undefined) return found;
    return this.#observed.wrap(
      new InterlockedSource(title, this.source, (reason) => {
        this.refuse(reason);
      }),
      this,
    );
  }

  want(kind: RuleKind): void {
    this.#rules.want(kind);
  }

  tellGuest(value: number): void {
    if (!this.#observation.isAskedFor(value)) return;
    this.#listener?.edge(this.#listenerNumber, value);
  }

  tellRestored(): void {
    this.#listener?.restored?.(this.#listenerNumber);
  }

  /** Takes an output back that should not be active. */
  makeInactive(): void {
    this.forcing.overrule("an interlock makes it inactive");
    this.#rules.want(RuleKind.Inactive);
  }

  /** Reads the line for its interlock, if its value is not known. */
  learn(): void {
    this.#rules.want(RuleKind.Learn);
  }

  /** The rule that could not be applied and is retried; undefined if none. */
  get pendingRule(): PendingRuleState | undefined {
    return this.#rules.pending ?? this.source.pendingRule;
  }

  /** Attempts of rules that failed so far. */
  get ruleFailures(): number {
    return this.#rules.failures;
  }

  completed(result: number): void {
    const operations = this.#operations;
    const { isOwn, operation, argument } = operations;
    const rule = this.#rules.takeUnderWay();
    operations.ended();
    if (!isOwn) this.reports.kernelAnswered(operation as LineOperation, result);
    if (operation === OBSERVING) this.#observed.adjusted(result);
    else if (operation === PUT_OFF) {
      // Its source was not asked for anything.
    } else {
      this.#observed.done(operation, argument, result);
      const isRule = rule !== RuleKind.None;
      const isUnknown = result === FAILED ? !isRule : argument === UNSPECIFIED;
      if (isUnknown) this.#rules.wantToLearn();
    }
    const wasDropped = operations.takeDropped();
    if (rule !== RuleKind.None) this.#rules.answered(rule, operation, result);
    // A rule for a guest that is gone comes before whatever the next one asks.
    this.#rules.tryIfDue();
    // The caller is notified even if its guest has gone.
    if (!isOwn) this.#answer(result);
    else if (wasDropped) this.#answer(FAILED);
    this.#submitWaiting();
    this.#observed.idle();
  }

  edge(value: number): void {
    this.edges.edge(value);
    if (this.forcing.current !== undefined) return;
    if (this.#observation.isForGuest(value)) {
      this.#listener?.edge(this.#listenerNumber, value);
    }
  }

  applied(operation: SourceOperation, argument: number): void {
    this.edges.done(operation, argument, this.source);
  }

  moved(value: number): void {
    this.edges.moved(value);
  }

  presence(isPresent: boolean): void {
    this.edges.presence(this.source);
    this.reports.reporter?.presence(this, isPresent);
    this.#rules.presence(isPresent);
    if (!isPresent) return;
    checkExclusion(this);
    this.tellRestored();
    this.#observation.present();
    this.#observed.idle();
  }

  rulePending(rule: string, reason: string): void {
    this.reports.reporter?.rulePending(this, rule, reason);
  }

  ruleHolds(rule: string, effort: string): void {
    this.reports.reporter?.ruleHolds(this, rule, effort);
  }

  ruleDrove(): void {
    this.#guardListener?.ruleDrove();
  }

  restored(): void {
    this.edges.heardAs(this.source);
    this.tellRestored();
  }

  /**
   * Puts the line where its specification starts it, before any guest; retried
   * until the line has it.
   *
   * @throws {LineStartError} If it is refused for good.
   */
  start(): void {
    this.#rules.start();
  }

  /**
   * Leaves the start to the thread that is handed the line.
   *
   * @returns Whether there is anything left to do.
   */
  handStartOver(): boolean {
    const { isUnstarted } = this.#rules;
    this.#rules.abandonStart();
    return isUnstarted;
  }

  /** Puts the line where its `on-disconnect` rule wants it without a guest. */
  guestGone(): void {
    this.#observed.guestGone();
    // The guest's queued request is obsolete.
    this.#operations.drop();
    if (this.#specification.onDisconnect !== "keep") {
      this.forcing.overrule("its guest is gone");
      this.#enforce(RuleKind.Gone, () => this.#rules.want(RuleKind.Gone));
    } else this.#observed.idle();
  }

  /** Has a safe state applied while the turn's time lasts, or else first. */
  #enforce(kind: RuleKind, want: () => void): void {
    // What asks nothing of the source takes no time.
    if (this.#rules.asksFor(kind)) this.#teardown.enforce(want);
    else want();
  }

  /**
   * Gives an output its safe value. It is not driven against its wire if it was
   * left as an input.
   *
   * @param onSafe Called once an output has it: now, or after retries.
   */
  goSafe(onSafe?: () => void): void {
    this.forcing.overrule("its guest is silent");
    this.#enforce(RuleKind.Safe, () => this.#rules.goSafe(onSafe));
  }

  /**
   * Ends the line's use by guests for good and applies its rule. It stays
   * requested, and the rule is retried, until it is disposed.
   */
  withdraw(): void {
    if (this.#isWithdrawn) return;
    this.#isWithdrawn = true;
    this.#listener = undefined;
    this.forcing.end("its aggregator ends", true);
    this.#teardown.end();
    this.guestGone();
  }

  /** The line as one that is not in its declared state; undefined if it is. */
  get unsafe(): UnsafeLine | undefined {
    const state = this.#rules.unsafe;
    return state && { line: this, ...state };
  }

  /** Applies the rule for a missing guest, then lets the host line go. */
  [Symbol.dispose](): void {
    this.#listener = undefined;
    this.forcing.end("its aggregator ends", true);
    this.#observation.observe(undefined);
    this.reports.reporter = undefined;
    this.#teardown.end();
    if (!this.#isWithdrawn) this.guestGone();
    this.drop();
  }

  /** Lets the host line go as it is. */
  drop(): void {
    this.#rules[Symbol.dispose]();
    this.source[Symbol.dispose]();
  }

  overruled(reason: string): void {
    this.forcing.end(reason, true);
  }

  apply(operation: SourceOperation, argument: number, kind: RuleKind): number {
    this.edges.byRule(kind);
    const result = this.#observed.askByRule(operation, argument, kind);
    if (result === 0 && this.#observation.isObserved) this.#observed.idle();
    return result;
  }

  remember({ operation, argument }: RuleStep, kind: RuleKind): void {
    this.#observed.rememberByRule(operation, argument, kind);
  }

  idle(): void {
    this.#observed.idle();
  }

  #answer(result: number): void {
    this.#guardListener?.answered(result);
    this.#listener?.completed(this.#listenerNumber, result);
  }

  #submitWaiting(): void {
    if (this.#operations.isBusy) return;
    const { waitingArgument } = this.#operations;
    const operation = this.#operations.takeWaiting();
    if (operation === undefined) return;
    // The rule was just tried, and failed.
    const result = this.#rules.holdsBack(operation)
      ? this.#rules.refuse()
      : this.admit(operation, waitingArgument);
    if (result !== PENDING) this.#answer(result);
  }
}
