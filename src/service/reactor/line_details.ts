/**
 * Source, rules and interlocks of a line as data.
 *
 * @module
 */
import type { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import type { LineForce } from "../../aggregator/line_force.ts";
import type { LastEdge } from "../../aggregator/line_edges.ts";
import type { EdgeCause } from "../../client/edges.ts";
import type { Line, LineOrigin, LineRules } from "../../client/protocol.ts";
import type {
  LineReference,
  LineSpecification,
  SourceSpecification,
} from "../../config/specification.ts";
import { Cause } from "../../edges/record.ts";

/** Names of excluded lines that are reported; interlocks can have thousands. */
const MAX_INTERLOCKS = 32;
const NS_PER_MS = 1e6;

/** Members that change with the rules only. */
type Fixed = Pick<Line, "origin" | "rules">;

const CAUSES: Readonly<Record<Cause, EdgeCause | undefined>> = {
  [Cause.Seen]: undefined,
  [Cause.World]: "world",
  [Cause.Guest]: "guest",
  [Cause.Rule]: "rule",
  [Cause.Operator]: "operator",
  [Cause.Follow]: "follow",
};

/** The same object for each question: lists of thousands of lines are asked for. */
const known = new WeakMap<LineSpecification, Fixed>();

/** Returns the details of a line, as it is now. */
export function describeDetails(
  line: AggregatorLine,
): Pick<
  Line,
  "origin" | "rules" | "interlocks" | "drivenBy" | "since" | "forced"
> {
  const { specification, interlock, edges: { last }, force } = line;
  const interlocks = interlock === undefined
    ? []
    : excludedBy(interlock).slice(0, MAX_INTERLOCKS);
  return {
    ...describeFixed(specification),
    ...(interlocks.length === 0 ? {} : { interlocks }),
    ...(last === undefined ? {} : describeChange(last)),
    ...(force === undefined ? {} : { forced: toForced(force, line) }),
  };
}

function toForced(
  { value, info, isOutput, requested }: LineForce,
  { source }: AggregatorLine,
): NonNullable<Line["forced"]> {
  const otherwise = isOutput ? requested.argument : source.peek();
  return {
    value,
    ...(otherwise === 0 || otherwise === 1 ? { otherwise } : {}),
    ...info,
  };
}

function describeChange(
  { cause, ageNs }: LastEdge,
): Pick<Line, "drivenBy" | "since"> {
  const drivenBy = CAUSES[cause];
  if (drivenBy === undefined) return {};
  return { drivenBy, since: Math.round(Date.now() - ageNs / NS_PER_MS) };
}

function excludedBy(
  interlock: NonNullable<AggregatorLine["interlock"]>,
): string[] {
  const titles = new Set<string>();
  for (const group of interlock.groups) {
    for (const other of group) {
      if (other !== interlock) titles.add(other.title);
      if (titles.size >= MAX_INTERLOCKS) return [...titles];
    }
  }
  return [...titles];
}

function describeFixed(specification: LineSpecification): Fixed {
  let fixed = known.get(specification);
  if (fixed === undefined) {
    const origin = toLineOrigin(specification.source);
    const rules = describeRules(specification);
    fixed = {
      ...(origin === undefined ? {} : { origin }),
      ...(Object.keys(rules).length === 0 ? {} : { rules }),
    };
    known.set(specification, fixed);
  }
  return fixed;
}

function toLineOrigin(source: SourceSpecification): LineOrigin | undefined {
  const { kind } = source;
  switch (kind) {
    case "chip":
      return { kind, chip: source.chip, offset: source.offset };
    case "line-name": {
      const { lineName, chip } = source;
      return { kind, lineName, ...(chip === undefined ? {} : { chip }) };
    }
    case "sim":
      return { kind };
    case "const":
      return { kind, value: source.value };
    case "wire":
      return { kind, of: formatReference(source.to) };
    case "copy":
    case "invert":
      return { kind, of: formatReference(source.of) };
    case "lane":
      return source.origin === undefined
        ? undefined
        : toLineOrigin(source.origin);
  }
}

function formatReference({ aggregator, line }: LineReference): string {
  return `${aggregator}.${line}`;
}

function describeRules(
  {
    direction,
    activeLow,
    bias,
    drive,
    debounceUs,
    initial,
    safe,
    onDisconnect,
    safeAfterUs,
    minIntervalUs,
    shared,
    combine,
  }: LineSpecification,
): LineRules {
  return {
    ...(direction === "any" ? {} : { direction }),
    ...(activeLow ? { activeLow } : {}),
    ...(bias === undefined ? {} : { bias }),
    ...(drive === undefined ? {} : { drive }),
    ...(debounceUs === 0 ? {} : { debounceUs }),
    ...(initial === undefined ? {} : { initial }),
    ...(safe === undefined ? {} : { safe }),
    ...(onDisconnect === "keep" ? {} : { onDisconnect }),
    ...(safeAfterUs === undefined ? {} : { safeAfterUs }),
    ...(minIntervalUs === undefined ? {} : { minIntervalUs }),
    ...(shared === undefined ? {} : { shared }),
    ...(combine === undefined ? {} : { combine }),
  };
}
