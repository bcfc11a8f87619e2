/**
 * An operation that a rule wants of a line and that the line has not taken yet:
 * when it is tried again, and when it is reported.
 *
 * @module
 */
import type { PendingRuleState } from "../../client/protocol.ts";
import { errnoCode, errnoText } from "../../../ffi/errno.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { Backoff } from "./backoff.ts";

/**
 * Rules that make operations by themselves, the weakest first: a stronger one
 * takes the place of a weaker one that has not been applied yet.
 */
export const RuleKind = {
  None: 0,
  /** Read an interlocked line whose value is not known. */
  Learn: 1,
  /** Put the line where its specification starts it. */
  Start: 2,
  /** Drive the value that an operator holds an output at. */
  Force: 3,
  /** Put an output where its guest wants it, after a force. */
  Back: 4,
  /** Make an output inactive that another one excludes. */
  Inactive: 5,
  /** Drive the safe value: the guest was silent for too long. */
  Safe: 6,
  /** Do what `on-disconnect` says: the guest is gone. */
  Gone: 7,
} as const;
/** One of the {@linkcode RuleKind} numbers. */
export type RuleKind = typeof RuleKind[keyof typeof RuleKind];

/** A failed rule is reported again after so long, later ever more rarely. */
const REPORT_AGAIN_MS = 10_000;
/** Longest interval between two reports. **Units**: milliseconds. */
const REPORT_RARELY_MS = 3_600_000;

/** The retries of one line's rule, from its first failure until it holds. */
export class PendingRule implements Disposable {
  /** Attempts that failed, of this and earlier rules of the line. */
  failures = 0;
  readonly #backoff: Backoff;
  readonly #loop: EventLoop;
  #state: PendingRuleState | undefined;
  #attempts = 0;
  #beganMs = 0;
  #nextReportMs = 0;
  #reportMs = REPORT_AGAIN_MS;

  /** Calls `onDue` when the rule is to be tried again. */
  constructor(loop: EventLoop, onDue: () => void) {
    this.#backoff = new Backoff(loop, onDue);
    this.#loop = loop;
  }

  /** The rule that failed and does not hold yet; undefined if none. */
  get state(): PendingRuleState | undefined {
    return this.#state;
  }

  /** True while the next attempt waits for its time. */
  get isWaiting(): boolean {
    return this.#backoff.isWaiting;
  }

  /**
   * Records a failed attempt and sets the next one.
   *
   * @param isRetried False if nothing is to be tried before the chip is back.
   * @returns True if the failure is to be reported now.
   */
  failed(rule: string, reason: string, isRetried: boolean): boolean {
    const now = this.#loop.now;
    const before = this.#state;
    const isFirst = before === undefined;
    const isOther = before?.rule !== rule || before.reason !== reason;
    if (isFirst) {
      this.#beganMs = now;
      this.#reportMs = REPORT_AGAIN_MS;
    }
    if (isOther) {
      this.#state = { rule, reason, since: before?.since ?? Date.now() };
    }
    this.failures++;
    this.#attempts++;
    if (isRetried) this.#backoff.retryLater();
    else this.#backoff.cancel();
    // Two alternating reasons are reported once, too.
    if (!isFirst && now < this.#nextReportMs) return false;
    this.#nextReportMs = now + this.#reportMs;
    this.#reportMs = Math.min(2 * this.#reportMs, REPORT_RARELY_MS);
    return true;
  }

  /** Sets an attempt, with nothing to report yet. */
  retryLater(): void {
    this.#backoff.retryLater();
  }

  /** Cancels the attempt that is set, since one is made right now. */
  trying(): void {
    this.#backoff.cancel();
  }

  /**
   * Ends the retries: the rule holds, or none is wanted any more.
   *
   * @returns The duration and number of failed attempts, in words; undefined if
   * there were none.
   */
  over(): string | undefined {
    this.#backoff[Symbol.dispose]();
    if (this.#state === undefined) return undefined;
    const seconds = ((this.#loop.now - this.#beganMs) / 1000).toFixed(1);
    const attempts = this.#attempts === 1
      ? "1 failed attempt"
      : `${this.#attempts} failed attempts`;
    this.#state = undefined;
    this.#attempts = 0;
    return `${attempts} in ${seconds} s`;
  }

  [Symbol.dispose](): void {
    this.#backoff[Symbol.dispose]();
  }
}

/** Returns the cause of a failure in words, from a source's error number. */
export function failureReason(errno: number): string {
  return errno === 0
    ? "the line did not take it"
    : `${errnoText(errno)} (${errnoCode(errno)})`;
}
