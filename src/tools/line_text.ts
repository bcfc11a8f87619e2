/**
 * Lines, their attributes and their values as text and as JSON.
 *
 * @module
 */
import type { LineInfo } from "../gpio/line_info.ts";
import type { Value } from "../gpio/line_settings.ts";
import { formatPeriod } from "./numbers.ts";

/** How a line without a name is shown. */
export const UNNAMED = "unnamed";
/** The user of a line that the kernel took without saying for what. */
const KERNEL = "kernel";

/** A name in quotes, or as it is. */
export function quoted(name: string, unquoted: boolean): string {
  return unquoted ? name : `"${name}"`;
}

/** The words for a value. */
export function valueText(value: Value): string {
  return value === 1 ? "active" : "inactive";
}

/** Who has the line: undefined if nobody. */
export function consumerOf(info: LineInfo): string | undefined {
  if (!info.used) return undefined;
  return info.consumer === "" ? KERNEL : info.consumer;
}

/**
 * A line's attributes: its direction, and what else is not as usual.
 *
 *     output active-low drive=open-drain bias=pull-up consumer="gpioset"
 */
export function attributesText(info: LineInfo, unquoted: boolean): string {
  const words: string[] = [info.direction];
  if (info.activeLow) words.push("active-low");
  if (info.drive !== "push-pull") words.push(`drive=${info.drive}`);
  if (info.bias !== "as-is") words.push(`bias=${info.bias}`);
  if (info.edge !== "none") words.push(`edges=${info.edge}`);
  if (info.eventClock !== "monotonic") {
    words.push(`event-clock=${info.eventClock}`);
  }
  if (info.debouncePeriodUs > 0) {
    words.push(`debounce-period=${formatPeriod(info.debouncePeriodUs)}`);
  }
  const consumer = consumerOf(info);
  if (consumer !== undefined) {
    words.push(`consumer=${quoted(consumer, unquoted)}`);
  }
  return words.join(" ");
}

/** A line and its attributes as the members of a JSON object. */
export function lineMembers(
  chip: string,
  info: LineInfo,
): Record<string, unknown> {
  return {
    ...placeMembers(chip, info),
    used: info.used,
    consumer: consumerOf(info) ?? null,
    direction: info.direction,
    activeLow: info.activeLow,
    bias: info.bias,
    drive: info.drive,
    edges: info.edge,
    eventClock: info.eventClock,
    debouncePeriodUs: info.debouncePeriodUs,
  };
}

/** Which line it is, as the members of a JSON object. */
export function placeMembers(
  chip: string,
  info: Pick<LineInfo, "offset" | "name">,
): Record<string, unknown> {
  return {
    chip,
    offset: info.offset,
    name: info.name === "" ? null : info.name,
  };
}

/**
 * One JSON object on a line of its own. A bigint becomes a JSON number with all
 * its digits: nanoseconds of the wall clock do not fit a double.
 */
export function jsonLine(members: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(members).map(([key, value]) => {
    const text = typeof value === "bigint"
      ? value.toString()
      : JSON.stringify(value);
    return `${JSON.stringify(key)}:${text}`;
  });
  return `{${entries.join(",")}}\n`;
}
