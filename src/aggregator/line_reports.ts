/**
 * Reports of one line: what its rules and the kernel refuse.
 *
 * @module
 */
import { FAILED, type LineOperation } from "../line/port.ts";
import type { LineReporter, ReportedLine } from "./line_reporter.ts";
import { KernelRefusals } from "./rules/kernel_refusals.ts";

/** Counts and reports refusals of one line. */
export class LineReports {
  /** Receiver of the reports, if any. */
  reporter: LineReporter | undefined;
  /** Number of requests that the rules refused. */
  refusals = 0;
  readonly #line: ReportedLine;
  #kernelRefusals: KernelRefusals | undefined;

  /** Reports about `line`. */
  constructor(line: ReportedLine) {
    this.#line = line;
  }

  /** Counts and reports that a rule forbids a request; always `FAILED`. */
  refuse(reason: string): typeof FAILED {
    this.refusals++;
    this.reporter?.refused(this.#line, reason);
    return FAILED;
  }

  /** Reports what the kernel refused to a guest. */
  kernelAnswered(operation: LineOperation, result: number): void {
    if (result !== FAILED) return this.#kernelRefusals?.succeeded(operation);
    this.#kernelRefusals ??= new KernelRefusals();
    const errno = this.#kernelRefusals.refused(operation, this.#line.source);
    if (errno !== 0) this.reporter?.kernelRefused(this.#line, operation, errno);
  }
}
