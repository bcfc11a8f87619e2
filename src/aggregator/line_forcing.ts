/**
 * The force of a line: its begin, its end, and the operations meanwhile.
 *
 * @module
 */
import { FAILED, LineOperation } from "../line/port.ts";
import type { LineEdges } from "./line_edges.ts";
import { backStep, type LineForce, type RequestedState } from "./line_force.ts";
import { findSource, type LineSource } from "./line_source.ts";
import { RuleKind } from "./rules/pending_rule.ts";
import type { RuleStep } from "./rules/rule_steps.ts";
import { CombinedUser } from "./sharing/combined_output.ts";

/** Parts of a line that its force uses. */
export interface ForcibleLine {
  readonly source: LineSource;
  readonly edges: LineEdges;
  /** Wants a rule applied, and retried until it holds. */
  want(kind: RuleKind): void;
  /** Reports a value to the guest, if it asked for that. */
  tellGuest(value: number): void;
  /** Has the guest's driver read the line again. */
  tellRestored(): void;
}

/** Holds a line at a value for a time. */
export class LineForcing {
  readonly #line: ForcibleLine;
  #force: LineForce | undefined;
  /** Step that leads back, after a force or a restart. */
  #back: RuleStep | undefined;

  /** Begins without a force. */
  constructor(line: ForcibleLine) {
    this.#line = line;
  }

  /** The force that holds the line, if one does. */
  get current(): LineForce | undefined {
    return this.#force;
  }

  /** The value as the line's guest sees it; `FAILED` if it is not known. */
  get value(): number {
    const force = this.#force;
    return force === undefined || force.isOutput
      ? this.#line.source.peek()
      : force.value;
  }

  /** The step of a force, or of its end. */
  get step(): RuleStep | undefined {
    return this.#force?.step ?? this.#back;
  }

  /**
   * Answers an operation of the guest while a force lasts.
   *
   * @returns Its result; undefined if it is to be done.
   */
  answer(
    force: LineForce,
    operation: LineOperation,
    argument: number,
  ): number | undefined {
    if (force.isOutput) return force.keep(operation, argument) ? 0 : undefined;
    if (operation === LineOperation.GetValue) return force.value;
    if (operation === LineOperation.Output) {
      this.end("its guest made it an output", true);
    }
    return undefined;
  }

  /** Holds the line at a value from now on; retried until an output has it. */
  begin(force: LineForce): void {
    const { source, edges } = this.#line;
    const before = this.value;
    this.#force = force;
    if (force.isOutput) {
      findSource(source, CombinedUser)?.force(force.value);
      return this.#line.want(RuleKind.Force);
    }
    edges.force(force.value, source);
    if (before !== force.value) this.#line.tellGuest(force.value);
  }

  /**
   * Ends the force, if there is one.
   *
   * @param goesBack False if a rule puts an output elsewhere.
   */
  end(reason: string, goesBack: boolean): void {
    const force = this.#force;
    if (force === undefined) return;
    this.#force = undefined;
    if (force.isOutput) {
      findSource(this.#line.source, CombinedUser)?.force(undefined);
    }
    if (!force.isOutput) this.#release(force);
    else if (goesBack) this.goBack(force.requested);
    force.ended(reason);
  }

  /** Ends the force of an output that a rule takes. */
  overrule(reason: string): void {
    if (this.#force?.isOutput === true) this.end(reason, false);
  }

  /**
   * Goes to what its guest asked for, after a force or another cause; retried
   * until it has it.
   */
  goBack(requested: RequestedState, cause = "a force"): void {
    this.#back = backStep(requested, cause);
    this.#line.want(RuleKind.Back);
  }

  /** Lets an input have its own value again. */
  #release(force: LineForce): void {
    const { source, edges } = this.#line;
    edges.force(undefined, source);
    const value = source.peek();
    if (value === FAILED) this.#line.tellRestored();
    else if (value !== force.value) this.#line.tellGuest(value);
  }
}
