/**
 * The command line's SPEC: one string that names lines and their rules.
 *
 *     CHIP/OFFSETS[,key=value...]   gpiochip0/0-7,9,direction=input
 *     LINE_NAME[,key=value...]      ESTOP,active-low,as=stop
 *     sim/N[,key=value...]          sim/8
 *     wire/AGGREGATOR.LINE          const/1   copy/LINE   invert/LINE
 *
 *     CHIP/LINE_NAME[,key=value...] soc-gpio/ESTOP
 *
 * CHIP is a name, number, path or label, or what it is known by for good:
 * `usb-serial:FT123+lines:8/0-7`, `label:soc-gpio/ESTOP`. A comma, slash or
 * backslash in a name is written with a backslash before it, any byte as `\xNN`.
 * Where there is no such chip, a word with a slash is the name of a line.
 *
 * @module
 */
import {
  identityText,
  parseChipIdentity,
  startsWithKey,
} from "../chip_identity.ts";
import type { ChipProperties } from "../../gpio/chip_properties.ts";
import { Problems, type Report } from "../document/problems.ts";
import {
  OFFSETS_ITEM,
  splitChipWord,
  splitUnescaped,
  unescapeWord as unescape,
} from "./line_word.ts";
import { keyHint, suggestedKey } from "../../text/arguments.ts";
import { LINE_NAME, parseValue, readValue } from "../values/values.ts";
import {
  completeRules,
  findContradictions,
  type Rule,
  RULE_KEYS,
  type RuleKey,
  RULES,
  type RuleValues,
  withDefaults,
} from "../values/rules.ts";
import {
  type LineSpecification,
  MAX_LINES,
  type SourceSpecification,
} from "../specification.ts";

/** The keys of a SPEC with one line of help each, in the order of `--help`. */
export const SPEC_KEYS: Readonly<Record<string, string>> = Object.fromEntries(
  RULE_KEYS.map((key) => [key, RULES[key].help]),
);

/**
 * Longest SPEC: some 2000 single offsets. Longer lists of offsets stand in a
 * configuration file, or in several SPECs.
 */
const MAX_SPEC_LENGTH = 16 * 1024;

/** Unknown keys of one SPEC that are reported. */
const MAX_UNKNOWN_KEYS = 20;

/** Longest origin of a line. */
const MAX_ORIGIN_LENGTH = 200;

const FORM = "CHIP/OFFSETS, LINE_NAME or sim/N, then ,key=value...";
const NO_BLANKS =
  "A SPEC has no blanks around its commas and =: sim/8,as=BUTTON,direction=input";
/** A range of offsets as other programs have it: `0..3`, `0 - 3`. */
const OTHER_RANGE = /^(\d+) *(?:-|\.\.\.?|:|to) *(\d+)$/;
/** An offset in another form. */
const NO_OFFSET = /^(?:-\d+|\d+-|0x[\da-f]+)$/i;
/** A number of simulated lines, in this form or another. */
const SIMULATED = /^sim(?:$|\/|[ :=-]\d+$)/;
/** A chip by the name of its node, without a line. */
const CHIP_ALONE = /^(?:\/dev\/)?gpiochip\d+$/;
/** A value in quotes that no shell took away. */
const QUOTED = /^(["']).*\1$/s;
const VIRTUAL_HEAD = /^(wire|const|copy|invert)(?:\/(.*))?$/s;

/** Contents of a SPEC, before defaults. */
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
  const problems = new Problems();
  const lines = readLineSpec(spec, problems, simCount);
  problems.throwFirst();
  return lines;
}

/** Reads one SPEC; no lines if it is malformed or contradicts itself. */
export function readLineSpec(
  spec: string,
  problems: Problems,
  simCount = 0,
): LineSpecification[] {
  const report = problems.at({ path: `--line ${abbreviated(spec)}` });
  const before = problems.count;
  const { sources, values } = readSpec(spec, report);
  const kind = sources[0]?.kind;
  if (kind !== undefined) {
    for (const { problem, hint } of findContradictions(values, kind)) {
      report(problem, hint);
    }
  }
  if (problems.count > before) return [];
  return makeLines({ origin: spec }, { sources, values }, {}, simCount, report);
}

/**
 * The lines of one entry: sources and rules put together, and names made.
 *
 * The rules must not contradict each other.
 */
export function makeLines(
  written: Pick<LineSpecification, "origin" | "position">,
  { sources, values }: SpecReading,
  defaults: RuleValues,
  simCount: number,
  report: Report,
  names?: readonly string[],
): LineSpecification[] {
  const origin = abbreviated(written.origin);
  return sources.map((source, index) => {
    const rules = completeRules(
      withDefaults(values, defaults, source.kind),
      source.kind,
    );
    const name = names?.[index] ??
      chooseName(source, values.as, index, sources.length, simCount);
    if (name !== undefined && name !== values.as) {
      readValue(LINE_NAME, name, report);
    }
    return {
      ...written,
      origin,
      source,
      ...rules,
      ...(name === undefined ? {} : { name }),
    };
  });
}

/** A SPEC as messages quote it: each of its lines has a copy. */
function abbreviated(spec: string): string {
  return spec.length > MAX_ORIGIN_LENGTH
    ? `${spec.slice(0, MAX_ORIGIN_LENGTH - 1)}…`
    : spec;
}

function chooseName(
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
  if (spec.length > MAX_SPEC_LENGTH) {
    report(
      `has ${spec.length} characters, and at most ${MAX_SPEC_LENGTH} are possible`,
      "Write ranges of offsets such as 0-7, or several SPECs",
    );
    return { sources: [], values: {} };
  }
  const [first = "", ...items] = splitUnescaped(spec, ",");
  const head = wholeHead(first, items);
  const sources = readSources(head, items, report);
  return { sources, values: readOptions(items, report) };
}

/** A path with commas, such as that of `qcom,spmi@1000` in a device tree. */
function wholeHead(first: string, items: string[]): string {
  let head = first;
  if (!startsWithKey(head) && !head.startsWith("/")) return head;
  // No key of a rule has a slash.
  while (/^[^=]*\//.test(items[0] ?? "")) head += `,${items.shift()}`;
  return head;
}

/** Returns a text as a name: its first byte in hexadecimal makes it one. */
function asName(text: string): string {
  return `\\x${text.charCodeAt(0).toString(16)}${text.slice(1)}`;
}

/** Reads what a SPEC begins with; takes further offsets from `items`. */
function readSources(
  head: string,
  items: string[],
  report: Report,
): SourceSpecification[] {
  if (head === "") {
    report("has no line", `A SPEC is ${FORM}`);
    return [];
  }
  if (unescape(head).includes("\0")) {
    report("has a NUL byte, which no name has", "");
    return [];
  }
  const virtual = VIRTUAL_HEAD.exec(head);
  if (virtual !== null) return readVirtual(virtual[1]!, virtual[2], report);
  const word = splitChipWord(head);
  const { chip, tail } = word ?? { chip: "", tail: head };
  if (word !== undefined && OFFSETS_ITEM.test(tail)) {
    const ranges = [tail];
    const end = items.findIndex((item) => !OFFSETS_ITEM.test(item));
    ranges.push(...items.splice(0, end < 0 ? items.length : end));
    return chip === "sim"
      ? readSimulated(ranges, report)
      : readChipLines(chip, ranges, report);
  }
  const [, first, last] = OTHER_RANGE.exec(tail) ?? [];
  if (word !== undefined && first !== undefined) {
    report(
      `"${tail}" is not a valid range of offsets`,
      `Write ${first}-${last}; a line of that name is ${chip}/${asName(tail)}`,
    );
    return [];
  }
  if (word !== undefined && NO_OFFSET.test(tail)) {
    report(
      `"${tail}" is not a valid offset or range of offsets`,
      `Offsets are numbers and ranges such as 0-7,9, below ${MAX_LINES}; a ` +
        `line of that name is ${chip}/${asName(tail)}`,
    );
    return [];
  }
  if (SIMULATED.test(head)) {
    report(
      `"${head}" has no number of simulated lines`,
      OFFSETS_ITEM.test(tail.trim())
        ? NO_BLANKS
        : "Simulated lines are asked for as sim/N, for instance sim/8; a line of " +
          "that name as CHIP/sim",
    );
    return [];
  }
  if (CHIP_ALONE.test(head)) {
    report(
      `"${head}" names a chip but no line of it`,
      `Add the offsets or the name: ${head}/0-7, ${head}/ESTOP; a line of that ` +
        `name is ${asName(head)}`,
    );
    return [];
  }
  const isKey = startsWithKey(head);
  if (word === undefined && !isKey) {
    return [{ kind: "line-name", lineName: unescape(head) }];
  }
  const identity = isKey
    ? readIdentity(unescape(word === undefined ? head : chip), report)
    : undefined;
  if (word === undefined || tail === "") {
    report(
      `"${head}" names a chip but no line of it`,
      "Add the offsets or the name: label:soc-gpio/0-7, label:soc-gpio/ESTOP",
    );
    return [];
  }
  if (!isKey) {
    return [{
      kind: "line-name",
      lineName: unescape(tail),
      chip: unescape(chip),
    }];
  }
  return identity === undefined ? [] : [{
    kind: "line-name",
    lineName: unescape(tail),
    chip: identityText(identity),
    identity,
  }];
}

function readIdentity(
  text: string,
  report: Report,
): ChipProperties | undefined {
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
      `"const${text === undefined ? "" : `/${text}`}" has no value`,
      "A constant line is const/0 or const/1",
    );
    return [];
  }
  if (text === undefined || text === "") {
    report(
      `"${kind}" does not name a line`,
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
      `"${ranges.join(",")}" is not a valid number of simulated lines`,
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
          ? `"${range}" is not a valid offset or range of offsets`
          : first > last
          ? `the range ${range} is in descending order`
          : `offset ${last} is out of range`,
        `Offsets are numbers and ranges such as 0-7,9, below ${MAX_LINES}`,
      );
      continue;
    }
    for (let offset = first; offset <= last; offset++) {
      if (offsets.has(offset)) {
        // The first of a range says it; a long one would say it 65,535 times.
        report(`offset ${offset} is named twice`);
        break;
      }
      offsets.add(offset);
    }
  }
  return [...offsets];
}

function readOptions(items: readonly string[], report: Report): RuleValues {
  const values: Record<string, unknown> = {};
  const seen = new Set<string>();
  for (const item of items) {
    const equals = item.indexOf("=");
    const key = equals < 0 ? item : item.slice(0, equals);
    if (!isRuleKey(key)) {
      // Once each, and not all of thousands: finding near words takes long.
      if (seen.size < MAX_UNKNOWN_KEYS && !seen.has(key)) {
        seen.add(key);
        reportUnknownKey(key, item, report);
      }
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
    const written = item.slice(equals + 1);
    if (QUOTED.test(written)) {
      report(
        `${item} has quotes around the value`,
        key === "as"
          ? `Leave them out; a name with quotes is as=${asName(written)}`
          : "Leave them out",
      );
      continue;
    }
    const text = unescape(written);
    const value = readValue(kind, text, report, `${key}=${text}`);
    if (value !== undefined) values[key] = value;
  }
  return values;
}

function isRuleKey(key: string): key is RuleKey {
  return Object.hasOwn(RULES, key);
}

function reportUnknownKey(key: string, item: string, report: Report): void {
  const trimmed = key.trim();
  if (trimmed !== key && (isRuleKey(trimmed) || OFFSETS_ITEM.test(trimmed))) {
    report(`"${key}" has a blank beside it`, NO_BLANKS);
    return;
  }
  if (OFFSETS_ITEM.test(item)) {
    report(
      `offset ${item} stands behind a key`,
      "The offsets come first: gpiochip0/0-3,7,direction=input",
    );
    return;
  }
  const owner = RULE_KEYS.find((rule) => {
    const words = RULES[rule].kind.schema.enum;
    return Array.isArray(words) && words.includes(key) &&
      words.every((word) => typeof word === "string");
  });
  if (owner !== undefined) {
    report(`unknown key "${key}"`, `Did you mean ${owner}=${key}?`);
    return;
  }
  const suggestion = suggestedKey(key, RULE_KEYS);
  const hint = keyHint(suggestion, RULE_KEYS);
  report(
    `unknown key "${key}"`,
    suggestion === undefined
      ? `${hint}; a comma in a name is written \\,`
      : hint,
  );
}
