/**
 * Packing the settings of a request's lines into a `gpio_v2_line_config`.
 *
 * @module
 */
import {
  AttributeId,
  GPIO_V2_LINE_NUM_ATTRS_MAX,
  GPIO_V2_LINES_MAX,
  LINE_ATTRIBUTE,
  LINE_CONFIG,
  LINE_CONFIG_ATTRIBUTE,
  LineFlag,
} from "./gpio_v2.ts";
import { LITTLE_ENDIAN } from "./layout.ts";

/**
 * Puts a configuration for one line: what {@linkcode packConfig} gives for a
 * list of one, without an allocation.
 *
 * @param view Where the struct begins at `start`.
 * @param flags A word of {@linkcode LineFlag}s.
 * @param debounceUs Debounce period in microseconds; 0 for none, which leaves
 * the attribute out.
 * @param value The output value, 1 for active.
 *
 * **Safety**: writes {@linkcode LINE_CONFIG}.size bytes of `view`.
 */
export function packLineConfig(
  view: DataView,
  start: number,
  flags: number,
  debounceUs: number,
  value: number,
): void {
  for (let i = 0; i < LINE_CONFIG.size; i += 4) view.setUint32(start + i, 0);
  view.setUint32(start + LINE_CONFIG.at.flags, flags, LITTLE_ENDIAN);
  let count = 0;
  if (value !== 0) {
    putAttribute(view, start, count++, AttributeId.OutputValues, 1, 0, 1, 0);
  }
  if (debounceUs !== 0) {
    putAttribute(
      view,
      start,
      count++,
      AttributeId.Debounce,
      debounceUs,
      0,
      1,
      0,
    );
  }
  view.setUint32(start + LINE_CONFIG.at.num_attrs, count, LITTLE_ENDIAN);
}

function putAttribute(
  view: DataView,
  start: number,
  index: number,
  id: number,
  valueLow: number,
  valueHigh: number,
  maskLow: number,
  maskHigh: number,
): void {
  const entry = start + LINE_CONFIG.at.attrs +
    index * LINE_CONFIG_ATTRIBUTE.size;
  const attribute = entry + LINE_CONFIG_ATTRIBUTE.at.attr;
  const value = attribute + LINE_ATTRIBUTE.at.value;
  const mask = entry + LINE_CONFIG_ATTRIBUTE.at.mask;
  view.setUint32(attribute + LINE_ATTRIBUTE.at.id, id, LITTLE_ENDIAN);
  view.setUint32(value, valueLow, LITTLE_ENDIAN);
  view.setUint32(value + 4, valueHigh, LITTLE_ENDIAN);
  view.setUint32(mask, maskLow, LITTLE_ENDIAN);
  view.setUint32(mask + 4, maskHigh, LITTLE_ENDIAN);
}

/**
 * One line of {@linkcode packConfig}, in the words of the uAPI.
 *
 * **Safety**: plain data.
 */
export interface PackedLine {
  /** A word of {@linkcode LineFlag}s. */
  readonly flags: number;
  /** Debounce period in microseconds; 0 for none. */
  readonly debounceUs: number;
  /** The output value: 1 for active; 0 for the rest. */
  readonly value: number;
}

/** A set of bits as two words, and what they share. */
interface Group {
  readonly key: number;
  low: number;
  high: number;
  count: number;
}

function include(group: Group, bit: number): void {
  if (bit < 32) group.low |= 1 << bit;
  else group.high |= 1 << (bit - 32);
  group.count++;
}

/** Groups bits by a number, in the order of first appearance. */
function groupBy(
  lines: readonly PackedLine[],
  sortKey: (line: PackedLine) => number,
): Group[] {
  const groups = new Map<number, Group>();
  for (const [bit, line] of lines.entries()) {
    const key = sortKey(line);
    let group = groups.get(key);
    if (group === undefined) {
      group = { key, low: 0, high: 0, count: 0 };
      groups.set(key, group);
    }
    include(group, bit);
  }
  return [...groups.values()];
}

/**
 * Puts the configuration of up to 64 lines, in the fewest attributes and always
 * the same bytes for the same lines.
 *
 * The word of flags that most lines have (the earliest of those that are as
 * frequent) becomes the default; each other word takes one attribute, in the
 * order of first appearance. Then come the output values, left out when all are
 * 0, as 0 is the kernel's default, and one attribute per debounce period.
 *
 * @param view Where the struct begins at `start`.
 * @param lines The lines; the index is the bit.
 * @throws {RangeError} For more than 64 lines, or when more than 10 attributes
 * would be needed; the message names both numbers. Nothing is written then.
 *
 * **Safety**: writes {@linkcode LINE_CONFIG}.size bytes of `view`.
 */
export function packConfig(
  view: DataView,
  start: number,
  lines: readonly PackedLine[],
): void {
  if (lines.length < 1 || lines.length > GPIO_V2_LINES_MAX) {
    throw new RangeError(
      `Cannot configure ${lines.length} lines in one request: 1 to ${GPIO_V2_LINES_MAX} are possible`,
    );
  }
  const byFlags = groupBy(lines, (line) => line.flags);
  const most = byFlags.reduce((best, group) =>
    group.count > best.count ? group : best
  );
  const byPeriod = groupBy(lines, (line) => line.debounceUs)
    .filter((group) => group.key !== 0);
  const active = groupBy(lines, (line) => line.value)
    .find((group) => group.key === 1);
  const needed = byFlags.length - 1 + byPeriod.length +
    (active === undefined ? 0 : 1);
  if (needed > GPIO_V2_LINE_NUM_ATTRS_MAX) {
    throw new RangeError(
      `Cannot configure ${lines.length} lines in one request: their settings differ so much that ${needed} attributes are needed, and the kernel takes ${GPIO_V2_LINE_NUM_ATTRS_MAX}; use several requests`,
    );
  }
  for (let i = 0; i < LINE_CONFIG.size; i += 4) view.setUint32(start + i, 0);
  view.setUint32(start + LINE_CONFIG.at.flags, most.key, LITTLE_ENDIAN);
  view.setUint32(start + LINE_CONFIG.at.num_attrs, needed, LITTLE_ENDIAN);
  let count = 0;
  const put = (
    id: number,
    valueLow: number,
    valueHigh: number,
    lines: { readonly low: number; readonly high: number },
  ) =>
    putAttribute(
      view,
      start,
      count++,
      id,
      valueLow,
      valueHigh,
      lines.low,
      lines.high,
    );
  for (const group of byFlags) {
    if (group !== most) put(AttributeId.Flags, group.key, 0, group);
  }
  if (active !== undefined) {
    put(
      AttributeId.OutputValues,
      active.low,
      active.high,
      outputs(lines),
    );
  }
  for (const group of byPeriod) put(AttributeId.Debounce, group.key, 0, group);
}

/** The lines that are outputs: those that the output values are about. */
function outputs(lines: readonly PackedLine[]): { low: number; high: number } {
  const group: Group = { key: 0, low: 0, high: 0, count: 0 };
  for (const [bit, line] of lines.entries()) {
    if ((line.flags & LineFlag.Output) !== 0 || line.value !== 0) {
      include(group, bit);
    }
  }
  return group;
}
