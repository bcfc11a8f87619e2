/**
 * Checks of what a program gives to a public function: programs in plain
 * JavaScript have no compiler that finds a misspelt setting.
 *
 * @module
 */
import { nearest } from "./nearest.ts";

const MAX_SHOWN = 40;

/** Describes a value in a message: `the string "0"`, `null`, `NaN`, `an array`. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string": {
      const shown = value.length > MAX_SHOWN
        ? `${value.slice(0, MAX_SHOWN)}…`
        : value;
      return `the string ${JSON.stringify(shown)}`;
    }
    case "boolean":
      return `the boolean ${value}`;
    case "bigint":
      return `the bigint ${value}n`;
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? "an array" : "an object";
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
    default:
      // Numbers, and undefined.
      return String(value);
  }
}

function wrong(what: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`${what} must be ${wanted}, not ${describe(value)}`);
}

/**
 * Refuses all but plain objects.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireObject(
  what: string,
  value: unknown,
): asserts value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(what, "an object", value);
  }
}

/**
 * Refuses objects with keys that have no meaning.
 *
 * @param known The keys that have one.
 * @param meant Keys that are likely to be written for others, and those.
 * @throws {TypeError} That names the first unknown key, with a suggestion.
 */
export function requireKeys(
  what: string,
  value: unknown,
  known: readonly string[],
  meant: Readonly<Record<string, string>> = {},
): void {
  requireObject(what, value);
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const hint = keyHint(suggestedKey(key, known, meant), known);
    throw new TypeError(unknownKeyText(key, what, hint));
  }
}

/** Returns the message of a program's unknown key, with its hint. */
export function unknownKeyText(
  key: string,
  what: string,
  hint: string,
): string {
  return `Unknown key "${key}" in ${what}: ${hint.charAt(0).toLowerCase()}${
    hint.slice(1)
  }`;
}

/** Case, dashes and underscores do not tell keys apart for a reader. */
function plain(key: string): string {
  return key.replaceAll(/[-_]/g, "").toLowerCase();
}

/**
 * Returns the known key that `key` was probably written for.
 *
 * @param known All keys that have a meaning.
 * @param meant Keys that are often written for others, and those.
 */
export function suggestedKey(
  key: string,
  known: readonly string[],
  meant: Readonly<Record<string, string>> = {},
): string | undefined {
  const wanted = plain(key);
  return known.find((each) => plain(each) === wanted) ??
    Object.entries(meant).find(([each]) => plain(each) === wanted)?.[1] ??
    nearest(key, known);
}

/**
 * Returns the hint for an unknown key.
 *
 * @param suggestion Key that was probably meant, if any.
 * @param known All keys that have a meaning.
 */
export function keyHint(
  suggestion: string | undefined,
  known: readonly string[],
): string {
  return suggestion === undefined
    ? `The keys are ${known.join(", ")}`
    : `Did you mean ${suggestion}?`;
}

/**
 * Refuses all but strings.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireString(
  what: string,
  value: unknown,
): asserts value is string {
  if (typeof value !== "string") throw wrong(what, "a string", value);
}

/**
 * Refuses all but numbers.
 *
 * @throws {TypeError} That names what was given; for NaN too.
 */
export function requireNumber(
  what: string,
  value: unknown,
): asserts value is number {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw wrong(what, "a number", value);
  }
}

/**
 * Refuses all but true and false.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireBoolean(
  what: string,
  value: unknown,
): asserts value is boolean {
  if (typeof value !== "boolean") throw wrong(what, "true or false", value);
}

/**
 * Refuses all but functions.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireFunction(what: string, value: unknown): void {
  if (typeof value !== "function") throw wrong(what, "a function", value);
}

/**
 * Refuses all but arrays.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireArray(
  what: string,
  value: unknown,
): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(what, "an array", value);
}

/**
 * Refuses all but arrays of strings.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireStrings(
  what: string,
  value: unknown,
): asserts value is readonly string[] {
  requireArray(what, value);
  for (const [i, member] of value.entries()) {
    requireString(`${what}[${i}]`, member);
  }
}

/**
 * Refuses all but the numbers 0 and 1.
 *
 * @throws {TypeError} That names what was given. Booleans and strings are refused
 * too: what drives a line is written out.
 */
export function requireValue(
  what: string,
  value: unknown,
): asserts value is 0 | 1 {
  if (value !== 0 && value !== 1) {
    throw wrong(what, "0 (inactive) or 1 (active)", value);
  }
}

/**
 * Refuses all but abort signals and undefined.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireSignal(
  what: string,
  value: unknown,
): asserts value is AbortSignal | undefined {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw wrong(what, "an AbortSignal", value);
  }
}

/**
 * Refuses times that are not a number of milliseconds; -1 means no limit.
 *
 * @throws {TypeError} That names what was given.
 */
export function requireTimeout(
  what: string,
  value: unknown,
): asserts value is number {
  if (typeof value !== "number" || !(value >= 0 || value === -1)) {
    throw wrong(what, "a number of milliseconds, or -1 for no limit", value);
  }
}
