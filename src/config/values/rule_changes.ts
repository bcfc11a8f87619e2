/**
 * Changes of a line's rules while its guest uses it.
 *
 * @module
 */
import type { Report } from "../document/problems.ts";
import type { LineSpecification } from "../specification.ts";
import {
  completeRules,
  findContradictions,
  type RuleKey,
  type RuleValues,
} from "./rules.ts";

/** Rules that may change under a guest. */
export const CHANGEABLE_RULES = [
  "direction",
  "initial",
  "safe",
  "on-disconnect",
  "safe-after",
  "min-interval",
] as const satisfies readonly RuleKey[];

/** The name of such a rule. */
export type ChangeableRule = typeof CHANGEABLE_RULES[number];

/** New values of some rules; null: as without the rule. */
type RuleChange = {
  readonly [K in ChangeableRule]?: RuleValues[K] | null | undefined;
};

/**
 * Returns a line with other rules; undefined if they contradict each other,
 * which is reported.
 */
export function changedLine(
  line: LineSpecification,
  change: RuleChange,
  report: Report,
): LineSpecification | undefined {
  const { kind } = line.source;
  const values: Record<string, unknown> = { ...toRuleValues(line) };
  for (const key of CHANGEABLE_RULES) {
    const value = change[key];
    if (value === undefined) continue;
    if (value === null) delete values[key];
    else values[key] = value;
  }
  const contradictions = findContradictions(values, kind);
  for (const { problem, hint } of contradictions) report(problem, hint);
  if (contradictions.length > 0) return undefined;
  const { origin, position, source, name } = line;
  return {
    origin,
    ...(position === undefined ? {} : { position }),
    source,
    ...completeRules(values, kind),
    ...(name === undefined ? {} : { name }),
  };
}

/** Returns the rules of a line without those that others imply. */
function toRuleValues(line: LineSpecification): RuleValues {
  const { source: { kind }, direction, onDisconnect } = line;
  const { bias, drive, initial, safe, combine } = line;
  const written: RuleValues = {
    ...(line.activeLow ? { "active-low": true } : {}),
    ...(line.debounceUs === 0 ? {} : { debounce: line.debounceUs }),
    ...(line.lane ? { lane: true } : {}),
    ...(line.shared === true ? { shared: true } : {}),
    ...(line.optional === true ? { optional: true } : {}),
    ...(bias === undefined ? {} : { bias }),
    ...(drive === undefined ? {} : { drive }),
    ...(initial === undefined ? {} : { initial }),
    ...(safe === undefined ? {} : { safe }),
    ...(combine === undefined ? {} : { combine }),
    ...(line.safeAfterUs === undefined
      ? {}
      : { "safe-after": line.safeAfterUs }),
    ...(line.minIntervalUs === undefined
      ? {}
      : { "min-interval": line.minIntervalUs }),
  };
  const implied = completeRules(written, kind);
  return {
    ...written,
    ...(direction === implied.direction ? {} : { direction }),
    ...(onDisconnect === implied.onDisconnect
      ? {}
      : { "on-disconnect": onDisconnect }),
  };
}
