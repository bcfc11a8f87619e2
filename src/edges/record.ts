/**
 * An edge as 32 bits: the state of a line before and after it, its cause, and
 * the rule that made it.
 *
 * @module
 */

/** Value of a line in a {@linkcode LineState}. */
export const UNKNOWN_VALUE = 2;

/**
 * State of a line in 4 bits: the value (0, 1, or {@linkcode UNKNOWN_VALUE}),
 * bit 2 set for an output, bit 3 set while the chip is present.
 */
export type LineState = number;

/** Bits of a {@linkcode LineState}. */
export const StateBits = { Value: 3, Output: 4, Present: 8 } as const;

/** Returns a state. */
export function lineState(
  value: number,
  isOutput: boolean,
  isPresent: boolean,
): LineState {
  return (value === 0 || value === 1 ? value : UNKNOWN_VALUE) |
    (isOutput ? StateBits.Output : 0) | (isPresent ? StateBits.Present : 0);
}

/** Origin of an edge. */
export const Cause = {
  /**
   * None: the value of a line became known, or is not known any more, without
   * an edge of its own.
   */
  Seen: 0,
  World: 1,
  Guest: 2,
  Rule: 3,
  Operator: 4,
  Follow: 5,
} as const;
/** One of the {@linkcode Cause} numbers. */
export type Cause = typeof Cause[keyof typeof Cause];

/** Rule that made an edge. */
export const EdgeRule = {
  None: 0,
  /** The state that a line begins with. */
  Start: 1,
  Interlock: 2,
  SafeAfter: 3,
  OnDisconnect: 4,
} as const;
/** One of the {@linkcode EdgeRule} numbers. */
export type EdgeRule = typeof EdgeRule[keyof typeof EdgeRule];

const BEFORE = 4;
const CAUSE = 8;
const RULE = 11;
const STATE_MASK = 15;
const SMALL_MASK = 7;

/** Packs an edge. */
export function packEdge(
  before: LineState,
  after: LineState,
  cause: Cause,
  rule: EdgeRule,
): number {
  return after | before << BEFORE | cause << CAUSE | rule << RULE;
}

/** State of the line after the edge. */
export function stateAfter(bits: number): LineState {
  return bits & STATE_MASK;
}

/** State of the line before the edge. */
export function stateBefore(bits: number): LineState {
  return bits >> BEFORE & STATE_MASK;
}

/** Cause of the edge, which may be none of {@linkcode Cause} in bad memory. */
export function unpackCause(bits: number): number {
  return bits >> CAUSE & SMALL_MASK;
}

/** Rule of the edge, which may be none of {@linkcode EdgeRule}. */
export function unpackRule(bits: number): number {
  return bits >> RULE & SMALL_MASK;
}
