/**
 * The command line's SPEC: one string that names lines and their rules.
 *
 *     CHIP/OFFSETS[,key=value...]   gpiochip0/0-7,9,direction=input
 *     LINE_NAME[,key=value...]      ESTOP,active-low,as=stop
 *     sim/N[,key=value...]          sim/8
 *     wire/AGGREGATOR.LINE          const/1   copy/LINE   invert/LINE
 *
 * CHIP is a name, number, path or label, or what it is known by for good:
 * `usb-serial:FT123+lines:8/0-7`, `label:soc-gpio/ESTOP`. A comma, slash or
 * backslash in a name is written with a backslash before it.
 *
 * @module
 */
import {
  type ChipIdentity,
  identityText,
  parseChipIdentity,
  startsWithKey,
} from "./chip_identity.ts";
import { ConfigError } from "./config_error.ts";
import { nearest } from "./nearest.ts";
import { parseValue } from "./readings.ts";
import {
  completeRules,
  contradictionsOf,
  type Rule,
  RULE_KEYS,
  type RuleKey,
  RULES,
  type RuleValues,
  withDefaults,
} from "./rules.ts";
import {
  type LineSpecification,
  MAX_LINES,
  type SourceSpecification,
} from "./specification.ts";

export { parsePeriodUs, parseValue } from "./readings.ts";

/** The keys of a SPEC with one line of help each, in the order of `--help`. */
export const SPEC_KEYS: Readonly<Record<string, string>> = Object.fromEntries(
  RULE_KEYS.map((key) => [key, RULES[key].help]),
);

const FORM = "CHIP/OFFSETS, LINE_NAME or sim/N, then ,key=value...";
const OFFSETS_ITEM = /^\d+(-\d+)?$/;
const VIRTUAL_HEAD = /^(wire|const|copy|invert)(?:\/(.*))?$/s;

/** Hears of everything that is wrong. */
type Report = (problem: string, hint?: string) => void;

/** What a SPEC says, before defaults. */
export interface SpecReading {
  sources: SourceSpecification[];
  values: RuleValues;
}

/**
 * Parses one SPEC into the lines that it names, in order.
 *
 * `simCount` is how many simulated lines the aggregator has already: their
 * names go on from there.
 *
 * @throws {ConfigError} If the SPEC is malformed or contradicts itself; the
 * message quotes it.
 */
export function parseLineSpec(spec: string, simCount = 0): LineSpecification[] {
  const errors: ConfigError[] = [];
  const report: Report = (problem, hint = "") =>
    errors.push(new ConfigError(problem, { path: `--line ${spec}`, hint }));
  const { sources, values } = readSpec(spec, report);
  const kind = sources[0]?.kind;
  if (kind !== undefined) {
    for (const { problem } of contradictionsOf(values, kind)) {
      report(problem, "Leave one of the two out");
    }
  }
  const lines = errors.length > 0
    ? []
    : linesOf({ origin: spec }, { sources, values }, {}, simCount, report);
  const [first] = errors;
  if (first !== undefined) throw first;
  return lines;
}

/**
 * The lines of one entry: sources and rules put together, and names made.
 *
 * The rules must not contradict each other.
 */
export function linesOf(
  written: Pick<LineSpecification, "origin" | "place">,
  { sources, values }: SpecReading,
  defaults: RuleValues,
  simCount: number,
  report: Report,
  names?: readonly string[],
): LineSpecification[] {
  return sources.map((source, index) => {
    const rules = completeRules(
      withDefaults(values, defaults, source.kind),
      source.kind,
    );
    const name = names?.[index] ??
      nameOf(source, values.as, index, sources.length, simCount);
    if (name !== undefined && name !== values.as) checkName(name, report);
    return {
      ...written,
      source,
      ...rules,
      ...(name === undefined ? {} : { name }),
    };
  });
}

function checkName(name: string, report: Report): void {
  const reading = RULES.as.kind.read(name);
  if ("problem" in reading) report(`"${name}" ${reading.problem}`);
}

function nameOf(
  source: SourceSpecification,
  base: string | undefined,
  index: number,
  count: number,
  simCount: number,
): string | undefined {
  if (base !== undefined) return count === 1 ? base : `${base}${index}`;
  return source.kind === "sim" ? `sim${simCount + index}` : undefined;
}

/** Reads a SPEC and reports everything that is wrong with its text. */
export function readSpec(spec: string, report: Report): SpecReading {
  const [head = "", ...items] = splitUnescaped(spec, ",");
  const sources = readSources(head, items, report);
  return { sources, values: readOptions(items, report) };
}

/** Reads what a SPEC begins with; takes further offsets from `items`. */
function readSources(
  head: string,
  items: string[],
  report: Report,
): SourceSpecification[] {
  if (head === "") {
    report("names no line", `A SPEC is ${FORM}`);
    return [];
  }
  const virtual = VIRTUAL_HEAD.exec(head);
  if (virtual !== null) return readVirtual(virtual[1]!, virtual[2], report);
  const slash = lastUnescapedSlash(head);
  const tail = head.slice(slash + 1);
  const chip = head.slice(0, Math.max(0, slash));
  if (slash > 0 && OFFSETS_ITEM.test(tail)) {
    const ranges = [tail];
    while (items[0] !== undefined && OFFSETS_ITEM.test(items[0])) {
      ranges.push(items.shift()!);
    }
    return chip === "sim"
      ? readSimulated(ranges, report)
      : readChipLines(chip, ranges, report);
  }
  if (head === "sim" || head.startsWith("sim/")) {
    report(
      `"${head}" does not say how many simulated lines`,
      `Simulated lines are asked for as sim/N, for instance sim/8`,
    );
    return [];
  }
  if (!startsWithKey(head)) {
    return [{ kind: "line-name", lineName: unescape(head) }];
  }
  const identity = readIdentity(slash > 0 ? unescape(chip) : head, report);
  if (slash <= 0 || tail === "") {
    report(
      `"${head}" names a chip but no line of it`,
      "Add the offsets or the name: label:soc-gpio/0-7, label:soc-gpio/ESTOP",
    );
    return [];
  }
  return identity === undefined ? [] : [{
    kind: "line-name",
    lineName: unescape(tail),
    chip: identityText(identity),
    identity,
  }];
}

function readIdentity(text: string, report: Report): ChipIdentity | undefined {
  const parsed = parseChipIdentity(text);
  if (parsed === undefined || "identity" in parsed) return parsed?.identity;
  report(parsed.problem, parsed.hint);
  return undefined;
}

function readVirtual(
  kind: string,
  text: string | undefined,
  report: Report,
): SourceSpecification[] {
  if (kind === "const") {
    const value = parseValue(text ?? "");
    if (value !== undefined) return [{ kind, value }];
    report(
      `"const${text === undefined ? "" : `/${text}`}" says no value`,
      "A constant line is const/0 or const/1",
    );
    return [];
  }
  if (text === undefined || text === "") {
    report(
      `"${kind}" does not say which line`,
      `Write ${kind}/LINE, or ${kind}/AGGREGATOR.LINE`,
    );
    return [];
  }
  const reference = { aggregator: "", line: unescape(text) };
  switch (kind) {
    case "wire":
      return [{ kind, to: reference }];
    default:
      return [{ kind: kind as "copy" | "invert", of: reference }];
  }
}

function readSimulated(
  ranges: readonly string[],
  report: Report,
): SourceSpecification[] {
  const count = Number(ranges[0]);
  if (
    ranges.length > 1 || !(Number.isInteger(count) && count >= 1) ||
    count > MAX_LINES
  ) {
    report(
      `"${ranges.join(",")}" is no number of simulated lines`,
      `Simulated lines are asked for as sim/N with N from 1 to ${MAX_LINES}`,
    );
    return [];
  }
  return Array.from({ length: count }, () => ({ kind: "sim" }));
}

function readChipLines(
  text: string,
  ranges: readonly string[],
  report: Report,
): SourceSpecification[] {
  const identity = startsWithKey(text)
    ? readIdentity(unescape(text), report)
    : undefined;
  const chip = identity === undefined ? unescape(text) : identityText(identity);
  const offsets = readOffsets(ranges, report);
  return offsets.map((offset) => ({
    kind: "chip",
    chip,
    offset,
    ...(identity === undefined ? {} : { identity }),
  }));
}

/** Reads offsets and ranges such as `0-3`, in order. */
export function readOffsets(
  ranges: readonly string[],
  report: Report,
): number[] {
  const offsets = new Set<number>();
  for (const range of ranges) {
    const [first, last = first] = range.split("-").map(Number) as [
      number,
      number?,
    ];
    if (!OFFSETS_ITEM.test(range) || last >= MAX_LINES || first > last) {
      report(
        !OFFSETS_ITEM.test(range)
          ? `"${range}" is no offset and no range of offsets`
          : first > last
          ? `the range ${range} runs backwards`
          : `offset ${last} is out of range`,
        `Offsets are numbers and ranges such as 0-7,9, below ${MAX_LINES}`,
      );
      continue;
    }
    for (let offset = first; offset <= last; offset++) {
      if (offsets.has(offset)) report(`offset ${offset} is named twice`);
      offsets.add(offset);
    }
  }
  return [...offsets];
}

function readOptions(items: readonly string[], report: Report): RuleValues {
  const values: Record<string, unknown> = {};
  for (const item of items) {
    const equals = item.indexOf("=");
    const key = equals < 0 ? item : item.slice(0, equals);
    if (!isRuleKey(key)) {
      reportUnknownKey(key, item, report);
      continue;
    }
    if (values[key] !== undefined) {
      report(`the key "${key}" is given twice`);
      continue;
    }
    const { kind, isFlag, help }: Rule<unknown> = RULES[key];
    if (equals < 0) {
      if (isFlag === true) values[key] = true;
      else report(`the key "${key}" has no value`, `Write ${key}=…: ${help}`);
      continue;
    }
    const text = unescape(item.slice(equals + 1));
    const reading = kind.read(text);
    if ("value" in reading) values[key] = reading.value;
    else report(`${key}=${text} ${reading.problem}`, reading.hint);
  }
  return values;
}

function isRuleKey(key: string): key is RuleKey {
  return Object.hasOwn(RULES, key);
}

function reportUnknownKey(key: string, item: string, report: Report): void {
  if (OFFSETS_ITEM.test(item)) {
    report(
      `offset ${item} stands behind a key`,
      "The offsets come first: gpiochip0/0-3,7,direction=input",
    );
    return;
  }
  const near = nearest(key, RULE_KEYS);
  report(
    `unknown key "${key}"`,
    near === undefined
      ? `The keys are ${RULE_KEYS.join(", ")}`
      : `Did you mean ${near}?`,
  );
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts = [""];
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === "\\" && i + 1 < text.length) {
      parts[parts.length - 1] += char + text[++i]!;
    } else if (char === separator) parts.push("");
    else parts[parts.length - 1] += char;
  }
  return parts;
}

function lastUnescapedSlash(text: string): number {
  let slash = text.lastIndexOf("/");
  while (slash > 0 && text[slash - 1] === "\\") {
    slash = text.lastIndexOf("/", slash - 1);
  }
  return slash;
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, "$1");
}
