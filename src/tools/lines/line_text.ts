/**
 * Formats lines, their attributes and their values as text and as JSON.
 *
 * @module
 */
import type { LineInfo } from "../../gpio/line_info.ts";
import type { Value } from "../../line/value.ts";
import { formatPeriod } from "../program/numbers.ts";
import { hasRawBytes, nameText } from "../../text/names.ts";
import { printableJson } from "../../text/printable.ts";

/** A line as texts show it. */
export interface ShownLine {
  /** The line as the user named it. */
  readonly id: string;
  readonly chip: { readonly name: string };
  readonly info: Pick<LineInfo, "offset" | "name">;
  /** True if the name alone identifies the line. */
  readonly knownByName: boolean;
}

/** Text in place of a missing name. */
export const UNNAMED = "unnamed";
/** Consumer of a line that the kernel uses without a label. */
const KERNEL = "kernel";

/**
 * Formats a name as text, with or without quotes: unprintable characters, and
 * bytes that are not UTF-8, as `\xNN`.
 */
export function quoted(name: string, unquoted: boolean): string {
  const text = nameText(name);
  return unquoted ? text : `"${text}"`;
}

/** Formats a name for JSON, which can hold all but bytes that are not UTF-8. */
export function jsonName(name: string): string {
  return hasRawBytes(name) ? nameText(name) : name;
}

/** Words for values. */
export function valueText(value: Value): string {
  return value === 1 ? "active" : "inactive";
}

/** Returns the consumer of a line; undefined if it has none. */
export function formatConsumer(info: LineInfo): string | undefined {
  if (!info.used) return undefined;
  return info.consumer === "" ? KERNEL : info.consumer;
}

/**
 * Formats a line's attributes: its direction, and all that differ from the
 * default.
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
  const consumer = formatConsumer(info);
  if (consumer !== undefined) {
    words.push(`consumer=${quoted(consumer, unquoted)}`);
  }
  return words.join(" ");
}

/** Returns a line and its attributes as the members of a JSON object. */
export function lineMembers(
  chip: string,
  info: LineInfo,
): Record<string, unknown> {
  return {
    ...addressMembers(chip, info),
    used: info.used,
    consumer: jsonConsumer(info),
    direction: info.direction,
    activeLow: info.activeLow,
    bias: info.bias,
    drive: info.drive,
    edges: info.edge,
    eventClock: info.eventClock,
    debouncePeriodUs: info.debouncePeriodUs,
  };
}

function jsonConsumer(info: LineInfo): string | null {
  const consumer = formatConsumer(info);
  return consumer === undefined ? null : jsonName(consumer);
}

/** Returns a line's identification as the members of a JSON object. */
export function addressMembers(
  chip: string,
  info: Pick<LineInfo, "offset" | "name">,
): Record<string, unknown> {
  return {
    chip,
    offset: info.offset,
    name: info.name === "" ? null : jsonName(info.name),
  };
}

/**
 * Formats one JSON object on a line of its own. A bigint becomes a JSON number
 * with all its digits: nanoseconds of the wall clock do not fit a double.
 */
export function jsonLine(members: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(members).map(([key, value]) => {
    const text = typeof value === "bigint"
      ? value.toString()
      : printableJson(value);
    return `${printableJson(key)}:${text}`;
  });
  return `{${entries.join(",")}}\n`;
}
