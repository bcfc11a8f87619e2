/**
 * Reports of one line of an aggregator.
 *
 * @module
 */
import type { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import type { ReportedLine } from "../../aggregator/line_reporter.ts";
import { innermost } from "../../aggregator/line_source.ts";
import { Direction, FAILED } from "../../line/port.ts";
import type { Line, LineChangeState } from "../../client/protocol.ts";
import { describeDetails } from "./line_details.ts";
import type { LineCounts } from "../messages/messages.ts";

/** Returns a line as it is now. */
export function describeLine(
  line: AggregatorLine,
  lineNumber: number,
): Line {
  const { lineNumber: number, name, ...state } = describeState(
    line,
    lineNumber,
  );
  return {
    lineNumber: number,
    name,
    source: line.source.description,
    ...describeDetails(line),
    ...state,
  };
}

/** Returns the state of a line, without what hardly changes. */
export function describeState(
  { name, value, direction, pendingRule }: AggregatorLine,
  lineNumber: number,
): Omit<LineChangeState, "changes"> {
  return {
    lineNumber,
    name,
    direction: direction === Direction.Output ? "output" : "input",
    ...(value === FAILED ? {} : { value }),
    ...(pendingRule === undefined ? {} : { pendingRule }),
  };
}

/** Returns what was counted of a line. */
export function countLine(
  line: AggregatorLine,
): LineCounts {
  const { name, refusals, source, edges, direction } = line;
  const { ruleFailures, pendingRule, value, force } = line;
  const { lostEdges = 0, mergedEdges = 0 } = innermost(source);
  const isRulePending = pendingRule !== undefined;
  const { activeSeconds } = edges;
  return {
    name,
    ...(value === FAILED ? {} : { value }),
    ...(activeSeconds === undefined ? {} : { activeSeconds }),
    isOutput: direction === Direction.Output,
    isPresent: source.isAbsent !== true,
    edges: edges.counts.slice(),
    refusals,
    ...(force === undefined ? {} : { isForced: true as const }),
    isRulePending,
    ruleFailures,
    lostEdges,
    mergedEdges,
  };
}

/** Returns the name of a line, or its number if it has none. */
export function formatTitle({ name, lineNumber }: ReportedLine): string {
  return name === "" ? `line ${lineNumber}` : name;
}
