/**
 * The command line's SPEC: one string that names lines and their rules.
 *
 *     CHIP/OFFSETS[,key=value...]   gpiochip0/0-7,9,direction=input
 *     LINE_NAME[,key=value...]      ESTOP,active-low,as=stop
 *     sim/N[,key=value...]          sim/8
 *
 * A comma or backslash in a name is written with a backslash before it.
 *
 * @module
 */
import { ConfigError } from "./config_error.ts";
import {
  type LineSpecification,
  MAX_LINES,
  MAX_NAME_LENGTH,
  type OnDisconnect,
  type SourceSpecification,
  type Value,
} from "./specification.ts";

/** The keys of a SPEC with one line of help each, in the order of `--help`. */
export const SPEC_KEYS: Readonly<Record<string, string>> = {
  "as": "NAME the guest sees (several lines: NAME0, NAME1, …)",
  "direction": "input | output | any: what the guest may make it (any)",
  "bias": "disabled | pull-up | pull-down",
  "drive": "push-pull | open-drain | open-source",
  "active-low": "physical low is active",
  "debounce": "PERIOD such as 5ms; inputs only",
  "initial": "0 | 1: drive this value at start",
  "safe": "0 | 1: drive this value when the guest is gone",
  "on-disconnect": "keep | safe | input | release, when the guest is gone",
  "lane": "a thread for the chip alone (I2C, SPI, USB: found out by itself)",
};

const FORM = "CHIP/OFFSETS, LINE_NAME or sim/N, then ,key=value...";
const OFFSETS_ITEM = /^\d+(-\d+)?$/;

/** Keys that may stand without a value. */
const FLAGS = ["active-low", "lane"];

/** A key of a SPEC with its value; a bare key has the value "". */
type Options = Map<string, string>;

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
  const [head, ...items] = splitUnescaped(spec, ",");
  if (head === undefined || head === "") {
    throw specError(spec, "names no line", `A SPEC is ${FORM}`);
  }
  const sources: SourceSpecification[] = [];
  const slash = head.lastIndexOf("/");
  const tail = head.slice(slash + 1);
  if (slash > 0 && OFFSETS_ITEM.test(tail)) {
    const chip = unescape(head.slice(0, slash));
    const ranges = [tail];
    while (items[0] !== undefined && OFFSETS_ITEM.test(items[0])) {
      ranges.push(items.shift()!);
    }
    if (chip === "sim") addSimulated(spec, ranges, sources);
    else addOffsets(spec, chip, ranges, sources);
  } else if (head === "sim" || head.startsWith("sim/")) {
    throw specError(
      spec,
      `"${head}" does not say how many simulated lines`,
      `Simulated lines are asked for as sim/N, for instance sim/8`,
    );
  } else {
    sources.push({ kind: "line-name", lineName: unescape(head) });
  }
  const rules = rulesOf(spec, parseOptions(spec, items));
  const { name: base, ...rest } = rules;
  return sources.map((source, index) => {
    const name = nameOf(source, base, index, sources.length, simCount);
    if (name !== undefined) checkName(spec, name);
    return {
      origin: spec,
      source,
      ...rest,
      ...(name === undefined ? {} : { name }),
    };
  });
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

function addSimulated(
  spec: string,
  ranges: readonly string[],
  sources: SourceSpecification[],
): void {
  const count = Number(ranges[0]);
  if (
    ranges.length > 1 || !(Number.isInteger(count) && count >= 1) ||
    count > MAX_LINES
  ) {
    throw specError(
      spec,
      `"${ranges.join(",")}" is no number of simulated lines`,
      `Simulated lines are asked for as sim/N with N from 1 to ${MAX_LINES}`,
    );
  }
  for (let i = 0; i < count; i++) sources.push({ kind: "sim" });
}

function addOffsets(
  spec: string,
  chip: string,
  ranges: readonly string[],
  sources: SourceSpecification[],
): void {
  const seen = new Set<number>();
  for (const range of ranges) {
    const [first, last = first] = range.split("-").map(Number) as [
      number,
      number?,
    ];
    if (last >= MAX_LINES || first > last) {
      throw specError(
        spec,
        first > last
          ? `the range ${range} runs backwards`
          : `offset ${last} is out of range`,
        `Offsets are numbers and ranges such as 0-7,9, below ${MAX_LINES}`,
      );
    }
    for (let offset = first; offset <= last; offset++) {
      if (seen.has(offset)) {
        throw specError(spec, `offset ${offset} is named twice`, "");
      }
      seen.add(offset);
      sources.push({ kind: "chip", chip, offset });
    }
  }
}

function parseOptions(spec: string, items: readonly string[]): Options {
  const options: Options = new Map();
  for (const item of items) {
    const equals = item.indexOf("=");
    const key = equals < 0 ? item : item.slice(0, equals);
    if (!Object.hasOwn(SPEC_KEYS, key)) {
      throw specError(
        spec,
        OFFSETS_ITEM.test(item)
          ? `offset ${item} stands behind a key`
          : `unknown key "${key}"`,
        `The keys are ${Object.keys(SPEC_KEYS).join(", ")}`,
      );
    }
    if (options.has(key)) {
      throw specError(spec, `the key "${key}" is given twice`, "");
    }
    if (equals < 0 && !FLAGS.includes(key)) {
      throw specError(
        spec,
        `the key "${key}" has no value`,
        `Write ${key}=…: ${SPEC_KEYS[key]}`,
      );
    }
    options.set(key, equals < 0 ? "" : unescape(item.slice(equals + 1)));
  }
  return options;
}

type Rules = Omit<LineSpecification, "origin" | "source">;

function rulesOf(spec: string, options: Options): Rules {
  const direction = choice(spec, options, "direction", [
    "input",
    "output",
    "any",
  ]) ?? "any";
  const bias = choice(spec, options, "bias", [
    "disabled",
    "pull-up",
    "pull-down",
  ]);
  const drive = choice(spec, options, "drive", [
    "push-pull",
    "open-drain",
    "open-source",
  ]);
  const initial = value(spec, options, "initial");
  const safe = value(spec, options, "safe");
  const onDisconnect: OnDisconnect = choice(spec, options, "on-disconnect", [
    "keep",
    "safe",
    "input",
    "release",
  ]) ?? (safe === undefined ? "keep" : "safe");
  const name = options.get("as");
  const rules: Rules = {
    direction,
    activeLow: flag(spec, options, "active-low"),
    debounceUs: period(spec, options, "debounce"),
    onDisconnect,
    lane: flag(spec, options, "lane"),
    ...(name === undefined ? {} : { name }),
    ...(bias === undefined ? {} : { bias }),
    ...(drive === undefined ? {} : { drive }),
    ...(initial === undefined ? {} : { initial }),
    ...(safe === undefined ? {} : { safe }),
  };
  const contradiction = contradictionOf(rules);
  if (contradiction !== undefined) {
    throw specError(spec, contradiction, "Leave one of the two out");
  }
  return rules;
}

/** Says which two rules exclude each other, if any do. */
export function contradictionOf(rules: Rules): string | undefined {
  const { direction, onDisconnect } = rules;
  if (direction === "input") {
    for (const key of ["initial", "safe", "drive"] as const) {
      if (rules[key] !== undefined) {
        return `"${key}" drives the line, but direction=input forbids that`;
      }
    }
  }
  if (direction === "output") {
    if (rules.debounceUs > 0) {
      return `"debounce" needs an input, but direction=output`;
    }
    if (onDisconnect === "input") {
      return `on-disconnect=input needs an input, but direction=output`;
    }
  }
  if (onDisconnect === "safe" && rules.safe === undefined) {
    return `on-disconnect=safe needs a value: safe=0 or safe=1`;
  }
  if (onDisconnect !== "safe" && rules.safe !== undefined) {
    return `safe=${rules.safe} is never used with on-disconnect=${onDisconnect}`;
  }
  return undefined;
}

function choice<T extends string>(
  spec: string,
  options: Options,
  key: string,
  choices: readonly T[],
): T | undefined {
  const text = options.get(key);
  if (text === undefined) return undefined;
  const found = choices.find((choice) => choice === text);
  if (found === undefined) {
    throw specError(
      spec,
      `${key}=${text} is not known`,
      `${key} is one of ${choices.join(", ")}`,
    );
  }
  return found;
}

const VALUES: Readonly<Record<string, Value>> = {
  "0": 0,
  "1": 1,
  "inactive": 0,
  "active": 1,
  "off": 0,
  "on": 1,
  "false": 0,
  "true": 1,
};

/** Reads a logical value as a person writes it; undefined for anything else. */
export function parseValue(text: string): Value | undefined {
  return Object.hasOwn(VALUES, text) ? VALUES[text] : undefined;
}

function value(spec: string, options: Options, key: string): Value | undefined {
  const text = options.get(key);
  if (text === undefined) return undefined;
  const parsed = parseValue(text);
  if (parsed === undefined) {
    throw specError(
      spec,
      `${key}=${text} is no value`,
      `${key} is 0 (inactive) or 1 (active)`,
    );
  }
  return parsed;
}

function flag(spec: string, options: Options, key: string): boolean {
  const text = options.get(key);
  return text === undefined
    ? false
    : text === ""
    ? true
    : value(spec, options, key) === 1;
}

const PERIOD_UNITS_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1000,
  s: 1_000_000,
};

/**
 * Reads a period such as `5ms`, `250us`, `1s`; without a unit, milliseconds.
 *
 * **Units**: returns microseconds; undefined if it is no period below an hour.
 */
export function parsePeriodUs(text: string): number | undefined {
  const match = /^(\d+)(us|ms|s)?$/.exec(text);
  if (match === null) return undefined;
  const us = Number(match[1]) * PERIOD_UNITS_US[match[2] ?? "ms"]!;
  // The uAPI keeps the period in 32 bits of microseconds.
  return us < 2 ** 32 ? us : undefined;
}

function period(spec: string, options: Options, key: string): number {
  const text = options.get(key);
  if (text === undefined) return 0;
  const us = parsePeriodUs(text);
  if (us === undefined) {
    throw specError(
      spec,
      `${key}=${text} is no period`,
      `A period is a number with us, ms or s, below an hour: 5ms`,
    );
  }
  return us;
}

function checkName(spec: string, name: string): void {
  const problem = name === ""
    ? "an empty name"
    : name.length > MAX_NAME_LENGTH
    ? `the name "${name}" is longer than ${MAX_NAME_LENGTH} characters`
    : /^[\x20-\x7e]+$/.test(name)
    ? undefined
    : `the name "${name}" is not plain 7-bit text`;
  if (problem !== undefined) throw specError(spec, problem, "");
}

function specError(spec: string, problem: string, hint: string): ConfigError {
  return new ConfigError(problem, { path: `--line ${spec}`, hint });
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

function unescape(text: string): string {
  return text.replace(/\\(.)/g, "$1");
}
