/**
 * Words that complete a SPEC.
 *
 * @module
 */
import { splitUnescaped } from "../../config/spec/line_word.ts";
import { CHANGEABLE_RULES } from "../../config/values/rule_changes.ts";
import { RULE_KEYS, type RuleKey, RULES } from "../../config/values/rules.ts";

/** Heads of SPECs without a chip. */
export const VIRTUAL_HEADS = [
  "sim/",
  "const/0",
  "const/1",
  "copy/",
  "invert/",
  "wire/",
] as const;

/**
 * Returns the SPECs that `text` may become.
 *
 * @param lines Lines that begin with a text.
 */
export function specWords(
  text: string,
  lines: (text: string) => readonly string[],
): string[] {
  const parts = splitUnescaped(text, ",");
  const last = parts.at(-1) ?? "";
  if (parts.length < 2) return [...VIRTUAL_HEADS, ...lines(text)];
  const before = text.slice(0, text.length - last.length);
  // A list of offsets, which goes on.
  if (/^\d/.test(last)) return [];
  const equals = last.indexOf("=");
  if (equals >= 0) {
    const key = last.slice(0, equals);
    return listValues(key).map((value) => `${before}${key}=${value}`);
  }
  const given = new Set(parts.slice(1).map((part) => part.split("=", 1)[0]));
  return RULE_KEYS.filter((key) => key === last || !given.has(key)).map((key) =>
    before + key + ("isFlag" in RULES[key] ? "" : "=")
  );
}

/** Returns the changes of a rule that `text` may become. */
export function ruleWords(text: string): string[] {
  const equals = text.indexOf("=");
  if (equals < 0) return CHANGEABLE_RULES.map((key) => `${key}=`);
  const key = text.slice(0, equals);
  return [...listValues(key), "none"].map((value) => `${key}=${value}`);
}

/** Returns the words that a rule can have as its value. */
export function listValues(key: string): string[] {
  if (!Object.hasOwn(RULES, key)) return [];
  const { schema } = RULES[key as RuleKey].kind;
  const words = "enum" in schema && Array.isArray(schema.enum)
    ? schema.enum
    : [];
  // An editor's parser knows more forms of the same.
  const numbers = words.filter((word) => typeof word === "number");
  return [
    ...numbers,
    ...words.filter((word) =>
      typeof word === "string" && (numbers.length === 0 || word === "as-is")
    ),
  ].map(String);
}
