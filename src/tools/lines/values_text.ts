/**
 * Formats the values of several lines as one line of text, or as JSON.
 *
 * @module
 */
import type { Value } from "../../line/value.ts";
import {
  addressMembers,
  jsonLine,
  quoted,
  type ShownLine,
  valueText,
} from "./line_text.ts";

/** Style of printed values. */
interface ValuesStyle {
  readonly json: boolean;
  readonly numeric: boolean;
  readonly unquoted: boolean;
}

/**
 * Formats `"foo"=active "bar"=inactive`, or `1 0`, or one JSON object per line,
 * which begins with `members`.
 */
export function valuesText(
  lines: readonly ShownLine[],
  values: readonly Value[],
  { json, numeric, unquoted }: ValuesStyle,
  members: Readonly<Record<string, unknown>> = {},
): string {
  if (json) {
    return lines.map(({ id, chip, info }, i) =>
      jsonLine({
        ...members,
        line: id,
        ...addressMembers(chip.name, info),
        value: values[i],
      })
    ).join("");
  }
  const words = values.map((value, i) =>
    numeric
      ? `${value}`
      : `${quoted(lines[i]!.id, unquoted)}=${valueText(value)}`
  );
  return words.join(" ") + "\n";
}
