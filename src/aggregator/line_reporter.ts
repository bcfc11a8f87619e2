/**
 * Reports of an aggregator's lines: what their rules did, what the kernel
 * refused, and whether their chips are there.
 *
 * @module
 */
import type { LineSpecification } from "../config/specification.ts";
import type { LineOperation } from "../line/port.ts";
import type { LineSource } from "./line_source.ts";
import type { UnsafeState } from "./rules/line_rules.ts";

/** A line as reports name it. */
export interface ReportedLine {
  /** Name that the guest sees; may be empty. */
  readonly name: string;
  /** Number of the line in its aggregator. */
  readonly lineNumber: number;
  readonly specification: LineSpecification;
  readonly source: LineSource;
}

/** Receiver of what a line's rules did, and of its chip. Must be cheap. */
export interface LineReporter {
  /** A rule refused a request. */
  refused(line: ReportedLine, reason: string): void;
  /**
   * The kernel refused what the guest asked. Once for each operation and error
   * number, until the operation succeeds again.
   */
  kernelRefused(
    line: ReportedLine,
    operation: LineOperation,
    errno: number,
  ): void;
  /** The line's chip went, or came back. */
  presence(line: ReportedLine, isPresent: boolean): void;
  /** A rule could not be applied, and is retried. At a bounded rate. */
  rulePending(line: ReportedLine, rule: string, reason: string): void;
  /** A rule that could not be applied before holds now, after `effort`. */
  ruleHolds(line: ReportedLine, rule: string, effort: string): void;
}

/** A line that is not in the state that its rules want without a guest. */
export interface UnsafeLine extends UnsafeState {
  readonly line: ReportedLine;
}
