/**
 * The state of one line as last reported, and the edges between: each real
 * change once, in order, with its cause.
 *
 * @module
 */
import { ActiveTime } from "../edges/active_time.ts";
import type { EdgeRecorder } from "../edges/edge_recorder.ts";
import {
  Cause,
  EdgeRule,
  type LineState,
  lineState,
  packEdge,
  StateBits,
  UNKNOWN_VALUE,
} from "../edges/record.ts";
import type { LineSpecification } from "../config/specification.ts";
import { Direction, Edges } from "../line/port.ts";
import type { LineObservation } from "./line_observation.ts";
import { innermost, type LineSource, SourceOperation } from "./line_source.ts";
import { RuleKind } from "./rules/pending_rule.ts";

/** Rules by their kind. */
const RULES: Readonly<Record<RuleKind, EdgeRule>> = {
  [RuleKind.None]: EdgeRule.None,
  [RuleKind.Learn]: EdgeRule.None,
  [RuleKind.Start]: EdgeRule.Start,
  [RuleKind.Force]: EdgeRule.None,
  [RuleKind.Back]: EdgeRule.None,
  [RuleKind.Inactive]: EdgeRule.Interlock,
  [RuleKind.Safe]: EdgeRule.SafeAfter,
  [RuleKind.Gone]: EdgeRule.OnDisconnect,
};

/** A line's last edge. */
export interface LastEdge {
  /** Its cause, which is not {@linkcode Cause.Seen}. */
  readonly cause: Cause;
  /** Time since. **Units**: nanoseconds. */
  readonly ageNs: number;
}

/** Reports one line's edges. */
export class LineEdges {
  /** Number of the line in its aggregator. */
  lineNumber = 0;
  readonly #observation: LineObservation;
  /** The source, where it always knows what the line has. */
  readonly #shown: { readonly shown: number } | undefined;
  /** Cause of changes that come from the source. */
  readonly #sourceCause: Cause;
  #state: LineState;
  #recorder: EdgeRecorder | undefined;
  #id = 0;
  /** Cause of the operation under way. */
  #cause: Cause = Cause.Guest;
  #rule: EdgeRule = EdgeRule.None;
  readonly #counts: number[] = [0, 0, 0, 0, 0, 0];
  readonly #activeTime = new ActiveTime();
  /** Time of the last edge. **Units**: nanoseconds, monotonic. */
  readonly #changedAt = new Float64Array(1);
  #lastCause: Cause = Cause.Seen;
  /** Value of an input that an operator holds it at. */
  #forced: number | undefined;

  /** Begins with `source`, the source of `specification`, as it is. */
  constructor(
    source: LineSource,
    specification: LineSpecification,
    observation: LineObservation,
  ) {
    this.#observation = observation;
    const inner = innermost(source);
    this.#shown = inner.shown === undefined
      ? undefined
      : inner as { readonly shown: number };
    this.#sourceCause = deriveCause(specification);
    this.#state = packSourceState(source, this.#shown?.shown ?? UNKNOWN_VALUE);
  }

  /** Edges since the line is there, by {@linkcode Cause}. */
  get counts(): readonly number[] {
    return this.#counts;
  }

  /**
   * Time for which the line was known to be active; undefined if its edges are
   * not recorded, or its value is not known now. **Units**: seconds.
   */
  get activeSeconds(): number | undefined {
    const recorder = this.#recorder;
    const state = this.#state;
    if (recorder === undefined) return undefined;
    if ((state & StateBits.Value) === UNKNOWN_VALUE) return undefined;
    return this.#activeTime.secondsUntilNow(state, recorder);
  }

  /** The last edge that was recorded; undefined if there is none. */
  get last(): LastEdge | undefined {
    const recorder = this.#recorder;
    if (recorder === undefined || this.#lastCause === Cause.Seen) {
      return undefined;
    }
    return {
      cause: this.#lastCause,
      ageNs: Math.max(0, recorder.now - this.#changedAt[0]!),
    };
  }

  /** The line as last reported. */
  get state(): LineState {
    return this.#state;
  }

  /**
   * Records edges from now on, with this id.
   *
   * @param withInputs True to have an input report all edges, which is asked for
   * when the line is idle.
   */
  record(
    recorder: EdgeRecorder | undefined,
    id: number,
    withInputs: boolean,
  ): void {
    this.#recorder = recorder;
    this.#id = id;
    this.#observation.isRecorded = withInputs;
    if (recorder !== undefined) this.#activeTime.begin(this.#state, recorder);
  }

  /** The operations that follow are the guest's. */
  byGuest(): void {
    this.#cause = Cause.Guest;
    this.#rule = EdgeRule.None;
  }

  /** The operation that follows is a rule's. */
  byRule(kind: RuleKind): void {
    const isForce = kind === RuleKind.Force || kind === RuleKind.Back;
    this.#cause = isForce ? Cause.Operator : Cause.Rule;
    this.#rule = RULES[kind];
  }

  /**
   * An operator holds an input at a value from now on; undefined: not any more.
   */
  force(value: number | undefined, source: LineSource): void {
    this.#forced = value;
    this.#become(
      packSourceState(source, this.#knownValue(source)),
      Cause.Operator,
      EdgeRule.None,
    );
  }

  /** An operation took effect. */
  done(operation: SourceOperation, argument: number, source: LineSource): void {
    switch (operation) {
      case SourceOperation.GetValue:
        return;
      case SourceOperation.SetValue:
        return this.#became(
          this.#state & ~StateBits.Value |
            valueBits(this.#shown?.shown ?? argument),
        );
      case SourceOperation.Output:
        return this.#became(
          packSourceState(
            source,
            this.#shown?.shown ?? (argument < 0 ? source.peek() : argument),
          ),
        );
      case SourceOperation.Input:
      case SourceOperation.Release:
        return this.#turned(source);
      default:
        // Otherwise all edges are asked for again at once.
        if (!this.#observation.isObserved) this.heardAs(source);
    }
  }

  /** An edge that the source reported. */
  edge(value: number): void {
    if (this.#forced !== undefined) return;
    if (this.#isHeard) this.moved(value);
    // Half of the edges would look as if the line never went back.
    else this.#tell(this.#sourceCause);
  }

  /** The value changed for a cause that lies in the source. */
  moved(value: number): void {
    if (this.#forced !== undefined) return;
    const state = this.#state;
    const after = state & ~StateBits.Value | valueBits(value);
    if (after === state) return;
    let before = state;
    // There was an edge: the line had the other value.
    if ((state & StateBits.Value) === UNKNOWN_VALUE && value >= 0) {
      before = state & ~StateBits.Value | (1 - value);
    }
    this.#state = after;
    const isSeen = (after & StateBits.Value) === UNKNOWN_VALUE;
    if (!isSeen) this.#tell(this.#sourceCause);
    const recorder = this.#recorder;
    if (recorder === undefined) return;
    const cause = isSeen ? Cause.Seen : this.#sourceCause;
    recorder.recordStamped(this.#id, packEdge(before, after, cause, 0));
    this.#recorded(state, after, cause, recorder);
  }

  /** The line's chip went or came back. */
  presence(source: LineSource): void {
    this.#become(
      packSourceState(source, this.#knownValue(source)),
      Cause.World,
      EdgeRule.None,
    );
  }

  /** The value is known, or is not known any more, without an edge. */
  heardAs(source: LineSource): void {
    const value = this.#knownValue(source);
    const state = this.#state;
    const after = packSourceState(source, value);
    // Its direction and presence are reported as they are.
    if ((state & ~StateBits.Value) !== (after & ~StateBits.Value)) return;
    if (state === after) return;
    this.#state = after;
    this.#record(state, after, Cause.Seen, EdgeRule.None);
  }

  /** True if each edge of an input is reported. */
  get #isHeard(): boolean {
    return this.#shown !== undefined ||
      this.#observation.sourceEdges === Edges.Both;
  }

  /** The value as known now; unknown if later edges are not seen. */
  #knownValue(source: LineSource): number {
    if (this.#forced !== undefined) return this.#forced;
    if (this.#shown !== undefined) return this.#shown.shown;
    if (source.isAbsent === true) return UNKNOWN_VALUE;
    const isOutput = source.direction === Direction.Output;
    if (!isOutput && !this.#isHeard) return UNKNOWN_VALUE;
    const value = this.#state & StateBits.Value;
    return isOutput && value !== UNKNOWN_VALUE &&
        (this.#state & StateBits.Present) !== 0
      ? value
      : source.peek();
  }

  /** The line may have become an input. */
  #turned(source: LineSource): void {
    const isOutput = source.direction === Direction.Output;
    if (isOutput === ((this.#state & StateBits.Output) !== 0)) {
      return this.heardAs(source);
    }
    // The edge has the value that the line has now, known later or not.
    this.#became(packSourceState(source, this.#shown?.shown ?? source.peek()));
    this.heardAs(source);
  }

  #became(after: LineState): void {
    if (after !== this.#state) this.#become(after, this.#cause, this.#rule);
  }

  #become(after: LineState, cause: Cause, rule: EdgeRule): void {
    const before = this.#state;
    if (after === before) return;
    this.#state = after;
    this.#tell(cause);
    this.#record(before, after, cause, rule);
  }

  #record(
    before: LineState,
    after: LineState,
    cause: Cause,
    rule: EdgeRule,
  ): void {
    const recorder = this.#recorder;
    if (recorder === undefined) return;
    recorder.record(this.#id, packEdge(before, after, cause, rule));
    this.#recorded(before, after, cause, recorder);
  }

  #recorded(
    before: LineState,
    after: LineState,
    cause: Cause,
    recorder: EdgeRecorder,
  ): void {
    this.#activeTime.recorded(before, after, recorder);
    if (cause === Cause.Seen) return;
    this.#lastCause = cause;
    this.#changedAt[0] = recorder.lastTime[0]!;
  }

  #tell(cause: Cause): void {
    this.#counts[cause]!++;
    this.#observation.observer?.lineChanged(this.lineNumber);
  }
}

function valueBits(value: number): number {
  return value === 0 || value === 1 ? value : UNKNOWN_VALUE;
}

function packSourceState(source: LineSource, value: number): LineState {
  return lineState(
    value,
    source.direction === Direction.Output,
    source.isAbsent !== true,
  );
}

/** Returns the cause of what a source reports. */
function deriveCause({ source, combine }: LineSpecification): Cause {
  // What others have an output do comes from their lines.
  if (combine !== undefined) return Cause.Follow;
  switch (source.kind) {
    case "sim":
      return Cause.Operator;
    case "wire":
    case "copy":
    case "invert":
      return Cause.Follow;
    default:
      return Cause.World;
  }
}
