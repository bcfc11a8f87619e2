/**
 * Members of a line of the API, as short texts.
 *
 * @module
 */
import type { Line, LineRules } from "../../client/protocol.ts";

/** Returns a period as a SPEC has it: `5ms`. */
function period(us: number): string {
  if (us % 1_000_000 === 0) return `${us / 1_000_000}s`;
  return us % 1000 === 0 ? `${us / 1000}ms` : `${us}us`;
}

type RuleTexts = {
  readonly [Name in keyof LineRules]-?: (
    value: NonNullable<LineRules[Name]>,
  ) => string;
};

const RULES: RuleTexts = {
  direction: (value) => `direction=${value}`,
  activeLow: () => "active-low",
  bias: (value) => `bias=${value}`,
  drive: (value) => `drive=${value}`,
  debounceUs: (us) => `debounce=${period(us)}`,
  initial: (value) => `initial=${value}`,
  safe: (value) => `safe=${value}`,
  onDisconnect: (value) => `on-disconnect=${value}`,
  safeAfterUs: (us) => `safe-after=${period(us)}`,
  minIntervalUs: (us) => `min-interval=${period(us)}`,
  shared: () => "shared",
  combine: (value) => `combine=${value}`,
};

/** Returns the rules of a line as words of a SPEC: `safe=0`. */
export function ruleTexts({ rules = {} }: Pick<Line, "rules">): string[] {
  const texts = RULES as Record<string, ((value: unknown) => string)>;
  return Object.entries(rules)
    // The default of a line with a safe value.
    .filter(([name, value]) => name !== "onDisconnect" || value !== "safe")
    .map(([name, value]) => texts[name]?.(value) ?? `${name}=${value}`);
}

/** Returns the source of a line as a SPEC has it: `gpiochip0/4`. */
export function originText(
  { origin, source }: Pick<Line, "origin" | "source">,
): string {
  if (origin === undefined) return source;
  switch (origin.kind) {
    case "chip":
      return `${origin.chip}/${origin.offset}`;
    case "line-name":
      return `line ${origin.lineName}`;
    case "const":
      return `const/${origin.value}`;
    case "sim":
      return "sim";
    default:
      return `${origin.kind}/${origin.of}`;
  }
}
