/**
 * The operations that a line's rules make by themselves: now, after the
 * operation under way, and again until they hold.
 *
 * @module
 */
import type { PendingRuleState } from "../../client/protocol.ts";
import type { LineSpecification } from "../../config/specification.ts";
import { Direction, FAILED, LineOperation, PENDING } from "../../line/port.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import type { LineWork } from "../line_operations.ts";
import { innermost, type LineSource, SourceOperation } from "../line_source.ts";
import type { InterlockedSource } from "./interlock.ts";
import { isRefusedForGood, refusalAdvice } from "./kernel_refusals.ts";
import { failureReason, PendingRule, RuleKind } from "./pending_rule.ts";
import {
  INACTIVE,
  isDrive,
  LineStartError,
  type RuleStep,
  ruleStep,
} from "./rule_steps.ts";

/** Interface of a line for its rules. */
export interface RuledLine {
  /** The rules, and where the line comes from. */
  readonly specification: LineSpecification;
  /** Source of the line. */
  readonly source: LineSource;
  /** True while the source works on an operation. */
  readonly isBusy: boolean;
  /** The interlock before the source, if there is one. */
  readonly interlock: InterlockedSource | undefined;
  /** The step of a force, or of its end; undefined if it wants none. */
  readonly forceStep: RuleStep | undefined;
  /**
   * Asks the source for the operation of a rule of this kind: 0, a value, FAILED
   * or PENDING.
   */
  apply(operation: SourceOperation, argument: number, kind: RuleKind): number;
  /** Has an absent line be as a rule of this kind wants it, with its chip. */
  remember(step: RuleStep, kind: RuleKind): void;
  /** Counts and reports that something is refused. */
  refuse(reason: string): typeof FAILED;
  /** Reports a rule that could not be applied, and is retried. */
  rulePending(rule: string, reason: string): void;
  /** Reports a rule that holds after it had failed. */
  ruleHolds(rule: string, effort: string): void;
  /** A rule drove the line. */
  ruleDrove(): void;
  /** A rule was over without an operation. */
  idle(): void;
}

/** State of a line that its rules do not have where they want it. */
export interface UnsafeState {
  /** Cause, in words. */
  readonly reason: string;
  /** False if only a chip that comes back can change that. */
  readonly isRetried: boolean;
}

/** The rules of one line that make operations. */
export class LineRules implements Disposable {
  readonly #line: RuledLine;
  readonly #retries: PendingRule;
  /** Waits for an operation under way, or for its next attempt. */
  #waiting: RuleKind = RuleKind.None;
  /** The rule that the operation under way is for. */
  #underWay: RuleKind = RuleKind.None;
  #title = "";
  /** Called once the safe value is in force, for the guest's silence. */
  #onSafe: (() => void) | undefined;
  /** False until the line's chip was there once. */
  #wasPresent: boolean;
  /** The line has not taken the operation that starts it. */
  #isUnstarted = false;
  /** Set if the safe state was wanted before the line was started. */
  #startsSafe = false;

  /** Makes the operations of `line`'s rules; retries by `loop`. */
  constructor(line: RuledLine, loop: EventLoop, isPresent: boolean) {
    this.#line = line;
    this.#wasPresent = isPresent;
    this.#retries = new PendingRule(loop, () => this.tryWaiting());
  }

  /** The rule that could not be applied and is retried; undefined if none. */
  get pending(): PendingRuleState | undefined {
    return this.#retries.state;
  }

  /** Attempts that failed so far. */
  get failures(): number {
    return this.#retries.failures;
  }

  /** True while the line waits for the operation that starts it. */
  get isUnstarted(): boolean {
    return this.#isUnstarted;
  }

  /** True if a rule that changes the line waits or is under way. */
  get #isUnsettled(): boolean {
    return this.#waiting > RuleKind.Learn || this.#underWay > RuleKind.Learn;
  }

  /** The line as one that is not in its declared state; undefined if it is. */
  get unsafe(): UnsafeState | undefined {
    if (!this.#isUnsettled) return undefined;
    const isAway = this.#line.source.isAbsent === true;
    if (isAway && !this.#wasPresent) return undefined;
    return {
      reason: this.#retries.state?.reason ?? "its chip has not answered yet",
      isRetried: !isAway,
    };
  }

  /**
   * Puts the line where its specification starts it, before any guest; retried
   * until the line has it. One that an earlier process had goes on as it is,
   * unless its rule forbids that.
   *
   * @throws {LineStartError} If the kernel refuses it for good, or the line does
   * without the kernel.
   */
  start(): void {
    const { specification, source, isBusy } = this.#line;
    // An interlock has it made inactive just now: it cannot be anything else.
    if (isBusy || this.#waiting >= RuleKind.Inactive) return;
    const { direction } = specification;
    if (innermost(source).isKept === true) {
      const isOutput = source.direction === Direction.Output;
      if (direction === "any" || direction === "output" && isOutput) return;
    }
    this.#isUnstarted = true;
    this.#startsSafe = false;
    const step = this.#planStep(RuleKind.Start);
    if (step === undefined) {
      this.#isUnstarted = false;
      return;
    }
    if (source.isAbsent === true) {
      this.#isUnstarted = false;
      this.#line.remember(step, RuleKind.Start);
      return;
    }
    const result = this.#attempt(RuleKind.Start);
    if (result !== FAILED) return;
    const operation = step.operation as LineOperation;
    if (isRefusedForGood(operation, source, specification)) {
      this.#isUnstarted = false;
      throw this.#startError(operation);
    }
    this.#failed(RuleKind.Start);
  }

  /** Gives the start up: another thread goes on with it. */
  abandonStart(): void {
    this.#isUnstarted = false;
    if (this.#waiting === RuleKind.Start) this.#waiting = RuleKind.None;
    this.#retries.over();
  }

  /** Returns true if a rule wants something of the source as it is. */
  asksFor(kind: RuleKind): boolean {
    const { specification, source } = this.#line;
    const state = { isUnknown: false, startsSafe: false };
    return ruleStep(kind, specification, source, state) !== undefined;
  }

  /** Has a rule applied: now, or after the operation under way. */
  want(kind: RuleKind): void {
    if (kind < this.#waiting) return;
    this.#waiting = kind;
    this.#startsSafe ||= this.#isUnstarted && kind >= RuleKind.Safe;
    this.tryWaiting();
  }

  /** Has the safe value applied; `onSafe` is called once an output has it. */
  goSafe(onSafe: (() => void) | undefined): void {
    this.#onSafe = onSafe;
    this.want(RuleKind.Safe);
  }

  /** The line's chip went or came back. */
  presence(isPresent: boolean): void {
    if (isPresent) this.#wasPresent = true;
    // The source must not come back as it was left. When it is there again, the
    // rule is made sure of, before any guest.
    this.tryWaiting();
  }

  /** An interlocked line of unknown value is read, once a failure asks for it. */
  wantToLearn(): void {
    if (this.#waiting !== RuleKind.None) return;
    if (this.#line.interlock?.isUnknown) this.#waiting = RuleKind.Learn;
  }

  /** The same, at once if nothing is under way. */
  checkLearn(): void {
    if (this.#line.isBusy) return;
    this.wantToLearn();
    if (this.#waiting === RuleKind.Learn && this.#isDue) this.tryWaiting();
  }

  /** Returns true if a guest's operation has to wait for a rule. */
  holdsBack(operation: LineOperation): boolean {
    return this.#waiting > RuleKind.Learn && isHeldBack(operation);
  }

  /**
   * Tries the waiting rule before a guest's operation, which is refused as long
   * as the rule does not hold.
   *
   * @returns 0 if the guest's operation may begin, PENDING if it is to wait, or
   * FAILED.
   */
  first(): number {
    if (this.#line.source.isAbsent === true) return FAILED;
    this.tryWaiting();
    if (this.#line.isBusy) return PENDING;
    return this.#waiting === RuleKind.None ? 0 : this.refuse();
  }

  /** Refuses a guest's operation, since the waiting rule does not hold. */
  refuse(): typeof FAILED {
    const { rule, reason } = this.#retries.state ??
      { rule: this.#title, reason: "its chip is away" };
    return this.#line.refuse(
      `its rule (${rule}) does not hold yet: ${reason}`,
    );
  }

  /** Takes the rule that the operation which has just ended was for. */
  takeUnderWay(): RuleKind {
    const kind = this.#underWay;
    this.#underWay = RuleKind.None;
    return kind;
  }

  /** The operation of a rule has ended. */
  answered(
    kind: RuleKind,
    operation: LineWork,
    result: number,
  ): void {
    if (result !== FAILED) this.#over(kind, operation as SourceOperation);
    else if (this.#waiting === RuleKind.None) this.#failed(kind);
    else if (kind > this.#waiting) this.#waiting = kind;
  }

  /** Tries the rule that waited for an operation, unless it waits for longer. */
  tryIfDue(): void {
    if (this.#waiting !== RuleKind.None && this.#isDue) this.tryWaiting();
  }

  /** Makes the operation that the waiting rule wants. */
  tryWaiting(): void {
    const kind = this.#waiting;
    if (kind === RuleKind.None || this.#line.isBusy) return;
    this.#waiting = RuleKind.None;
    this.#retries.trying();
    if (this.#attempt(kind) === FAILED) this.#failed(kind);
  }

  [Symbol.dispose](): void {
    this.#retries[Symbol.dispose]();
  }

  /** True unless the rule waits for its next attempt, or for its chip. */
  get #isDue(): boolean {
    return this.#retries.state === undefined ||
      !this.#retries.isWaiting && this.#line.source.isAbsent !== true;
  }

  /** Applies a rule, and at once again: one refusal is often the only one. */
  #attempt(kind: RuleKind): number {
    for (let attempt = 0; attempt < 2; attempt++) {
      const step = this.#planStep(kind);
      if (step === undefined) {
        this.#over(kind, undefined);
        return 0;
      }
      this.#title = step.title;
      if (this.#line.source.isAbsent === true) return FAILED;
      const result = this.#line.apply(step.operation, step.argument, kind);
      if (result === PENDING) {
        this.#underWay = kind;
        return PENDING;
      }
      if (result !== FAILED) {
        this.#over(kind, step.operation);
        return result;
      }
    }
    return FAILED;
  }

  /** The step that a rule wants now. An interlock wins over it. */
  #planStep(kind: RuleKind): RuleStep | undefined {
    const { specification, source, interlock } = this.#line;
    const isForce = kind === RuleKind.Force || kind === RuleKind.Back;
    const step = isForce ? this.#line.forceStep : ruleStep(
      kind,
      specification,
      source,
      {
        isUnknown: interlock?.isUnknown === true,
        startsSafe: this.#startsSafe,
      },
    );
    if (step === undefined || interlock === undefined) return step;
    // The start of a line that is excluded is refused, and reported as that.
    if (kind === RuleKind.Start) return step;
    if (!isDrive(step.operation) || step.argument === 0) return step;
    const blocker = interlock.blocker();
    if (blocker === undefined) return step;
    this.#line.refuse(blocker.exclusion);
    return interlock.isActive ? INACTIVE : undefined;
  }

  /** A rule holds, or has nothing to do; `operation` is what it did. */
  #over(
    kind: RuleKind,
    operation: SourceOperation | undefined,
  ): void {
    // What another rule has made of the line is its state from then on.
    if (kind === RuleKind.Start) this.#isUnstarted = false;
    if (kind > RuleKind.Start && operation !== undefined) {
      this.#isUnstarted = false;
    }
    const { state } = this.#retries;
    const effort = this.#retries.over();
    if (effort !== undefined && operation !== undefined) {
      this.#line.ruleHolds(state!.rule, effort);
    }
    if (operation === SourceOperation.SetValue) this.#onSafe?.();
    if (kind >= RuleKind.Safe) this.#onSafe = undefined;
    if (operation !== undefined) {
      if (isDrive(operation)) this.#line.ruleDrove();
    } else if (!this.#line.isBusy) this.#line.idle();
    if (this.#isUnstarted && kind > RuleKind.Start) {
      this.#waiting = RuleKind.Start;
      this.tryWaiting();
    }
    if (kind > RuleKind.Learn) this.checkLearn();
  }

  #failed(kind: RuleKind): void {
    const { source } = this.#line;
    const isAway = source.isAbsent === true;
    if (isAway) {
      // It may have gone just now, and must not come back as it was.
      const step = this.#planStep(kind);
      if (step === undefined) return this.#over(kind, undefined);
      this.#line.remember(step, kind);
    }
    this.#waiting = kind;
    // One that was never there has no state to be unsafe in.
    if (!this.#wasPresent) return;
    const reason = isAway ? "its chip is away" : this.#refusal(kind);
    if (this.#retries.failed(this.#title, reason, !isAway)) {
      this.#line.rulePending(this.#title, reason);
    }
  }

  /** Cause of the last refusal, and what it means for a start. */
  #refusal(kind: RuleKind): string {
    const { source, specification } = this.#line;
    const { errno = 0 } = source;
    const reason = failureReason(errno);
    const step = kind === RuleKind.Start ? this.#planStep(kind) : undefined;
    if (step === undefined) return reason;
    const operation = step.operation as LineOperation;
    const advice = refusalAdvice(operation, errno, source, specification);
    return advice === "" ? reason : `${reason}; ${advice}`;
  }

  #startError(operation: LineOperation): LineStartError {
    const { description, errno = 0 } = this.#line.source;
    const kind = operation === LineOperation.Input ? "input" : "output";
    return new LineStartError(
      `${description} cannot be made an ${kind}` +
        (errno === 0 ? "" : `: ${this.#refusal(RuleKind.Start)}`),
    );
  }
}

/** Returns true for what a guest must not do before a waiting rule holds. */
function isHeldBack(operation: LineOperation): boolean {
  return operation === LineOperation.SetValue ||
    operation === LineOperation.Output || operation === LineOperation.Input;
}
