/**
 * The operations that a line's rules make by themselves.
 *
 * @module
 */
import type { LineSpecification } from "../../config/specification.ts";
import { Direction, UNSPECIFIED } from "../../line/port.ts";
import { type LineSource, SourceOperation } from "../line_source.ts";
import { RuleKind } from "./pending_rule.ts";

/** One operation of a rule. */
export interface RuleStep {
  readonly operation: SourceOperation;
  readonly argument: number;
  /** The line state that it leads to: `safe value 0`. */
  readonly title: string;
}

/** State of a line that its rules depend on. */
interface RuleState {
  /** Its interlock has to learn the line's value. */
  readonly isUnknown: boolean;
  /** It is started with its safe value: its guest was gone before that. */
  readonly startsSafe: boolean;
}

/**
 * Returns the operation that a rule wants of a line as it is now, and undefined
 * where there is nothing to do.
 */
export function ruleStep(
  kind: RuleKind,
  specification: LineSpecification,
  source: LineSource,
  { isUnknown, startsSafe }: RuleState,
): RuleStep | undefined {
  switch (kind) {
    case RuleKind.None:
    // These are the line's own.
    case RuleKind.Force:
    case RuleKind.Back:
      return undefined;
    case RuleKind.Learn:
      return isUnknown ? LEARN : undefined;
    case RuleKind.Start:
      return startStep(specification, startsSafe);
    case RuleKind.Inactive:
      return source.direction === Direction.Output ? INACTIVE : undefined;
    case RuleKind.Safe:
      return safeStep(specification, source);
    case RuleKind.Gone:
      switch (specification.onDisconnect) {
        case "keep":
          return undefined;
        case "safe":
          return safeStep(specification, source);
        case "input":
          return INPUT;
        case "release":
          return RELEASE;
      }
  }
}

const LEARN: RuleStep = {
  operation: SourceOperation.GetValue,
  argument: 0,
  title: "known value for its interlock",
};
/** Takes an excluded output back. */
export const INACTIVE: RuleStep = {
  operation: SourceOperation.Output,
  argument: 0,
  title: "inactive by its interlock",
};
const INPUT: RuleStep = {
  operation: SourceOperation.Input,
  argument: 0,
  title: "input",
};
/** Makes an output of a line, with the value that it has. */
const OUTPUT: RuleStep = {
  operation: SourceOperation.Output,
  argument: UNSPECIFIED,
  title: "output",
};
const RELEASE: RuleStep = {
  operation: SourceOperation.Release,
  argument: 0,
  title: "released",
};

function safeStep(
  { safe }: LineSpecification,
  source: LineSource,
): RuleStep | undefined {
  // A line that was left as an input is not driven against its wire.
  if (safe === undefined || source.direction !== Direction.Output) {
    return undefined;
  }
  return {
    operation: SourceOperation.SetValue,
    argument: safe,
    title: `safe value ${safe}`,
  };
}

/** A line did not take the operation that starts it. */
export class LineStartError extends Error {
  /** Always `"LineStartError"`. */
  override readonly name = "LineStartError";
}

/** Returns true for an operation that drives a line, or may. */
export function isDrive(operation: SourceOperation): boolean {
  return operation === SourceOperation.SetValue ||
    operation === SourceOperation.Output;
}

/** The step that starts a line as its specification wants it, if any. */
export function startStep(
  specification: LineSpecification,
  startsSafe = false,
): RuleStep | undefined {
  const { direction, initial, safe } = specification;
  if (direction === "input") return INPUT;
  const first = startsSafe ? safe ?? initial : initial ?? safe;
  if (first === "as-is" || first === undefined) {
    return direction === "output" ? OUTPUT : undefined;
  }
  if (direction !== "output" && initial === undefined) return undefined;
  return {
    operation: SourceOperation.Output,
    argument: first,
    title: `output, ${first} at first`,
  };
}
