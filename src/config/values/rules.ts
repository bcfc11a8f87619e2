/**
 * The rules that a line can have, in one table: the command line's SPEC, the
 * configuration file, its JSON Schema and the help texts all read it.
 *
 * @module
 */
import {
  choice,
  FLAG,
  LINE_NAME,
  LONGER_PERIOD,
  PERIOD,
  type TextKind,
  VALUE,
  VALUE_OR_AS_IS,
} from "./values.ts";
import type {
  DirectionRule,
  LineSpecification,
  OnDisconnect,
  SourceSpecification,
} from "../specification.ts";

/** One rule. */
export interface Rule<T> {
  /** One line for `--help` and for editors. */
  readonly help: string;
  readonly kind: TextKind<T>;
  /** Set if the bare key stands for `true` on a command line. */
  readonly isFlag?: true;
  /** Set if it may stand among an aggregator's defaults. */
  readonly isDefault: boolean;
}

/** All rules, in the order of `--help`; a later one may need an earlier one. */
export const RULES = {
  "as": rule(
    "NAME the guest sees (several lines: NAME0, NAME1, …)",
    LINE_NAME,
    { isDefault: false },
  ),
  "direction": rule(
    "input | output | any: what the guest may make it (any)",
    choice("input", "output", "any"),
  ),
  "bias": rule(
    "disabled | pull-up | pull-down",
    choice("disabled", "pull-up", "pull-down"),
  ),
  "drive": rule(
    "push-pull | open-drain | open-source",
    choice("push-pull", "open-drain", "open-source"),
  ),
  "active-low": rule("physical low is active", FLAG, { isFlag: true }),
  "debounce": rule("PERIOD such as 5ms; inputs only", PERIOD),
  "initial": rule(
    "0 | 1: drive this value at start; as-is: keep what is found",
    VALUE_OR_AS_IS,
  ),
  "safe": rule("0 | 1: drive this value when the guest is gone", VALUE),
  "on-disconnect": rule(
    "keep | safe | input | release, when the guest is gone",
    choice("keep", "safe", "input", "release"),
  ),
  "safe-after": rule(
    "PERIOD without any request of the guest, then the safe value",
    LONGER_PERIOD,
  ),
  "min-interval": rule(
    "PERIOD that lies between two changes of an output",
    LONGER_PERIOD,
  ),
  "shared": rule(
    "one host input for several aggregators, all of them shared",
    FLAG,
    { isFlag: true, isDefault: false },
  ),
  "combine": rule(
    "or | and: one host output for several aggregators",
    choice("or", "and"),
    { isDefault: false },
  ),
  "optional": rule(
    "its chip may be absent: the line works when it comes",
    FLAG,
    { isFlag: true },
  ),
  "lane": rule(
    "a thread for the chip alone (I2C, SPI, USB: found out by itself)",
    FLAG,
    { isFlag: true },
  ),
} as const;

function rule<T>(
  help: string,
  kind: TextKind<T>,
  options: { isFlag?: true; isDefault?: boolean } = {},
): Rule<T> {
  return { isDefault: true, ...options, help, kind };
}

/** The name of a rule. */
export type RuleKey = keyof typeof RULES;

/** The names of all rules. */
export const RULE_KEYS = Object.keys(RULES) as readonly RuleKey[];

/** The rules that were given, by name. */
export type RuleValues = {
  [K in RuleKey]?: typeof RULES[K] extends Rule<infer T> ? T : never;
};

/** Two rules that exclude each other. */
interface Contradiction {
  /** The one to blame. */
  key: RuleKey;
  problem: string;
  /** Advice to the user. */
  readonly hint: string;
}

type SourceKind = SourceSpecification["kind"];

/**
 * The kinds of lines that are inputs without hardware, with what they are
 * called.
 */
const VIRTUAL: Readonly<Partial<Record<SourceKind, string>>> = {
  wire: "a wire",
  const: "a constant line",
  copy: "a copy",
  invert: "an inverted copy",
};

const DRIVING: readonly RuleKey[] = [
  "drive",
  "initial",
  "safe",
  "safe-after",
  "min-interval",
  "combine",
];

/** Returns the limit of a line's direction, written or implied. */
function deriveDirection(values: RuleValues, kind: SourceKind): DirectionRule {
  return values.direction ??
    (values.shared === true || VIRTUAL[kind] !== undefined
      ? "input"
      : values.combine !== undefined
      ? "output"
      : "any");
}

function deriveOnDisconnect(values: RuleValues): OnDisconnect {
  return values["on-disconnect"] ??
    (values.safe !== undefined
      ? "safe"
      : values.combine !== undefined
      ? "release"
      : "keep");
}

/** Says which rules of one line exclude each other, or its source. */
export function findContradictions(
  values: RuleValues,
  kind: SourceKind,
): Contradiction[] {
  const found: Contradiction[] = [];
  const blame: Blame = (key, problem, hint = "Omit one of the two") =>
    found.push({ key, problem, hint });
  const given = (key: RuleKey) =>
    values[key] !== undefined && values[key] !== false;
  const { direction, combine } = values;
  const shared = values.shared === true;
  const virtual = VIRTUAL[kind];
  const isInput = deriveDirection(values, kind) === "input";
  if (virtual !== undefined && direction !== undefined && !isInput) {
    blame("direction", `${virtual} is an input, but direction=${direction}`);
  } else if (shared && !isInput) {
    blame("shared", `a shared line is an input, but direction=${direction}`);
  } else if (isInput) {
    const why = virtual !== undefined
      ? `${virtual} is an input`
      : shared
      ? "a shared line is an input"
      : "direction=input forbids that";
    for (const key of DRIVING) {
      if (given(key)) blame(key, `"${key}" drives the line, but ${why}`);
    }
  } else if (combine !== undefined && direction === "any") {
    blame("combine", `"combine" needs direction=output, but it is any`);
  }
  if (deriveDirection(values, kind) === "output") {
    const debounce = values.debounce ?? 0;
    if (debounce > 0) {
      blame("debounce", `"debounce" needs an input, but direction=output`);
    }
    if (values["on-disconnect"] === "input") {
      blame(
        "on-disconnect",
        "on-disconnect=input needs an input, but direction=output",
      );
    }
  }
  checkSafeValue(values, blame);
  checkSource(kind, given, blame);
  return found;
}

/** Reports a contradiction; the default hint is to leave one rule out. */
type Blame = (key: RuleKey, problem: string, hint?: string) => void;

const VALUE_HINT = "Add safe=0 or safe=1 (safe: 0 or safe: 1 in a file)";

function checkSafeValue(
  values: RuleValues,
  blame: Blame,
): void {
  const { safe } = values;
  const onDisconnect = deriveOnDisconnect(values);
  const after = values["safe-after"];
  if (safe === undefined) {
    if (onDisconnect === "safe") {
      blame(
        "on-disconnect",
        "on-disconnect=safe needs a value: safe=0 or safe=1",
        VALUE_HINT,
      );
    }
    if (after !== undefined) {
      blame(
        "safe-after",
        '"safe-after" needs a value: safe=0 or safe=1',
        VALUE_HINT,
      );
    }
  } else if (onDisconnect !== "safe" && after === undefined) {
    blame(
      "safe",
      `safe=${safe} is never used with on-disconnect=${onDisconnect}`,
    );
  }
}

/** Refuses rules that a line without a chip cannot have. */
function checkSource(
  kind: SourceKind,
  given: (key: RuleKey) => boolean,
  blame: Blame,
): void {
  if (kind === "chip" || kind === "line-name") return;
  const what = VIRTUAL[kind] ?? "a simulated line";
  for (const key of ["shared", "combine"] as const) {
    if (given(key)) {
      blame(
        key,
        `${what} belongs to one aggregator and cannot have "${key}"; others ` +
          `can copy it`,
      );
    }
  }
  if (given("optional")) {
    blame("optional", `${what} is never absent and cannot have "optional"`);
  }
  if (given("lane")) {
    blame("lane", `${what} has no chip and cannot have "lane"`);
  }
  if (VIRTUAL[kind] === undefined) return;
  const senseless: readonly RuleKey[] = kind === "wire"
    ? ["debounce"]
    : ["bias", "active-low", "debounce"];
  for (const key of senseless) {
    if (given(key)) {
      blame(key, `${what} has no hardware and cannot have "${key}"`);
    }
  }
}

/**
 * The rules of one line: its own, then the defaults, as
 * far as that makes sense for such a line.
 */
export function withDefaults(
  values: RuleValues,
  defaults: RuleValues,
  kind: SourceKind,
): RuleValues {
  let result = values;
  let count = findContradictions(result, kind).length;
  for (const key of RULE_KEYS) {
    if (values[key] !== undefined || defaults[key] === undefined) continue;
    const candidate = { ...result, [key]: defaults[key] };
    const candidateCount = findContradictions(candidate, kind).length;
    if (candidateCount > count) continue;
    result = candidate;
    count = candidateCount;
  }
  return result;
}

/** A line's rules as its specification holds them. */
export type LineRules = Omit<
  LineSpecification,
  "origin" | "position" | "source" | "name"
>;

/** Fills in what is implied. The values must not contradict each other. */
export function completeRules(
  values: RuleValues,
  kind: SourceKind,
): LineRules {
  const { bias, drive, initial, safe, combine } = values;
  const safeAfterUs = values["safe-after"];
  const minIntervalUs = values["min-interval"];
  return {
    direction: deriveDirection(values, kind),
    activeLow: values["active-low"] ?? false,
    debounceUs: values.debounce ?? 0,
    onDisconnect: deriveOnDisconnect(values),
    lane: values.lane ?? false,
    ...(bias === undefined ? {} : { bias }),
    ...(drive === undefined ? {} : { drive }),
    ...(initial === undefined ? {} : { initial }),
    ...(safe === undefined ? {} : { safe }),
    ...(safeAfterUs === undefined ? {} : { safeAfterUs }),
    ...(minIntervalUs === undefined ? {} : { minIntervalUs }),
    ...(combine === undefined ? {} : { combine }),
    ...(values.shared === true ? { shared: true } : {}),
    ...(values.optional === true ? { optional: true } : {}),
  };
}
