/**
 * Values in the users' notation: `1`, `active`, `on`, `true` and their
 * opposites.
 *
 * @module
 */
import type { Value } from "../../line/value.ts";
import { ToolError } from "../program/tool_error.ts";

const VALUES: Readonly<Record<string, Value>> = {
  "0": 0,
  "1": 1,
  inactive: 0,
  active: 1,
  off: 0,
  on: 1,
  false: 0,
  true: 1,
};

/** Parses a value; undefined if `text` is not one. */
export function parseValue(text: string): Value | undefined {
  return Object.hasOwn(VALUES, text) ? VALUES[text] : undefined;
}

/**
 * Splits `LINE=VALUE`. The line's name may contain equal signs.
 *
 * @throws {ToolError} If the value is missing or invalid.
 */
export function parseAssignment(text: string): [line: string, value: Value] {
  const equals = text.lastIndexOf("=");
  const word = text.slice(equals + 1);
  const value = equals < 0 ? undefined : parseValue(word);
  if (value === undefined) throw new ToolError(`invalid line value: '${word}'`);
  return [text.slice(0, equals), value];
}
