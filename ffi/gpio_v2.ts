/**
 * The GPIO character device uAPI, version 2: structs and flags, no policy.
 *
 * Three numberings meet here and are never mixed: an *offset* is a line's
 * number on its chip, a *bit* is a line's position in the `offsets` of its
 * request (the numbering of every mask), and seqno/lineSeqno count events.
 *
 * Source: `linux/gpio.h`; version 2 since Linux 5.10.
 *
 * @module
 */
import { array, bytes, I32, type Layout, layout, U32, U64 } from "./layout.ts";

/**
 * Bytes of every name field, the closing NUL included. **Safety**: a constant.
 */
const GPIO_MAX_NAME_SIZE = 32;
/** The most lines that one request can have. **Safety**: a constant. */
export const GPIO_V2_LINES_MAX = 64;
/**
 * The most attributes that one configuration can have. **Safety**: a constant.
 */
export const GPIO_V2_LINE_NUM_ATTRS_MAX = 10;

const NAME = bytes(GPIO_MAX_NAME_SIZE);

/**
 * `struct gpiochip_info`. **Safety**: offsets only; no memory is touched.
 *
 * **Source**: linux/gpio.h, since Linux 4.8.
 */
export const GPIOCHIP_INFO: Layout<"name" | "label" | "lines"> = layout(
  "gpiochip_info",
  68,
  [
    ["name", NAME],
    ["label", NAME],
    ["lines", U32],
  ],
);

/**
 * `struct gpio_v2_line_values`. **Safety**: offsets only; no memory is touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_VALUES: Layout<"bits" | "mask"> = layout(
  "gpio_v2_line_values",
  16,
  [
    ["bits", U64], // 1 is active; bit n is offsets[n] of the request
    ["mask", U64], // the lines to read or set, in the same numbering
  ],
);

/**
 * `struct gpio_v2_line_attribute`; `value` is the union of `flags`, `values`
 * and (in its lower half) `debounce_period_us`. **Safety**: offsets only; no
 * memory is touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_ATTRIBUTE: Layout<"id" | "padding" | "value"> = layout(
  "gpio_v2_line_attribute",
  16,
  [
    ["id", U32],
    ["padding", U32], // must be zero
    ["value", U64],
  ],
);

/**
 * `struct gpio_v2_line_config_attribute`. **Safety**: offsets only; no memory
 * is touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_CONFIG_ATTRIBUTE: Layout<"attr" | "mask"> = layout(
  "gpio_v2_line_config_attribute",
  24,
  [
    ["attr", LINE_ATTRIBUTE],
    ["mask", U64], // bit n is offsets[n] of the request
  ],
);

/**
 * `struct gpio_v2_line_config`. **Safety**: offsets only; no memory is touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_CONFIG: Layout<"flags" | "num_attrs" | "padding" | "attrs"> =
  layout(
    "gpio_v2_line_config",
    272,
    [
      ["flags", U64], // of every line that no flags attribute names
      ["num_attrs", U32],
      ["padding", array(U32, 5)], // must be zero
      ["attrs", array(LINE_CONFIG_ATTRIBUTE, GPIO_V2_LINE_NUM_ATTRS_MAX)],
    ],
  );

/**
 * `struct gpio_v2_line_request`. **Safety**: offsets only; no memory is
 * touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_REQUEST: Layout<
  | "offsets"
  | "consumer"
  | "config"
  | "num_lines"
  | "event_buffer_size"
  | "padding"
  | "fd"
> = layout("gpio_v2_line_request", 592, [
  ["offsets", array(U32, GPIO_V2_LINES_MAX)],
  ["consumer", NAME],
  ["config", LINE_CONFIG],
  ["num_lines", U32],
  ["event_buffer_size", U32], // a hint; 0 is 16 per line
  ["padding", array(U32, 5)], // must be zero
  ["fd", I32], // the answer
]);

/**
 * `struct gpio_v2_line_info`. **Safety**: offsets only; no memory is touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_INFO: Layout<
  "name" | "consumer" | "offset" | "num_attrs" | "flags" | "attrs" | "padding"
> = layout("gpio_v2_line_info", 256, [
  ["name", NAME],
  ["consumer", NAME],
  ["offset", U32],
  ["num_attrs", U32],
  ["flags", U64],
  ["attrs", array(LINE_ATTRIBUTE, GPIO_V2_LINE_NUM_ATTRS_MAX)],
  ["padding", array(U32, 4)],
]);

/**
 * `struct gpio_v2_line_info_changed`. **Safety**: offsets only; no memory is
 * touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_INFO_CHANGED: Layout<
  "info" | "timestamp_ns" | "event_type" | "padding"
> = layout("gpio_v2_line_info_changed", 288, [
  ["info", LINE_INFO],
  ["timestamp_ns", U64], // CLOCK_MONOTONIC
  ["event_type", U32],
  ["padding", array(U32, 5)],
]);

/**
 * `struct gpio_v2_line_event`. **Safety**: offsets only; no memory is touched.
 *
 * **Source**: linux/gpio.h, since Linux 5.10.
 */
export const LINE_EVENT: Layout<
  "timestamp_ns" | "id" | "offset" | "seqno" | "line_seqno" | "padding"
> = layout("gpio_v2_line_event", 48, [
  ["timestamp_ns", U64], // of the line's event clock
  ["id", U32],
  ["offset", U32],
  ["seqno", U32], // counts the events of the request
  ["line_seqno", U32], // counts the events of the line
  ["padding", array(U32, 6)],
]);

/**
 * `enum gpio_v2_line_flag`; all of them fit the lower word of the u64.
 *
 * **Safety**: plain data. **Source**: linux/gpio.h; EventClockRealtime since
 * Linux 5.11, EventClockHte since 5.19.
 */
export const LineFlag = {
  /** In line info: the line is in use, or it cannot be requested. */
  Used: 1 << 0,
  /** Active is the low level. */
  ActiveLow: 1 << 1,
  /** The line is an input. */
  Input: 1 << 2,
  /** The line is an output. */
  Output: 1 << 3,
  /** Report changes to active. */
  EdgeRising: 1 << 4,
  /** Report changes to inactive. */
  EdgeFalling: 1 << 5,
  /** Drive the low level only. */
  OpenDrain: 1 << 6,
  /** Drive the high level only. */
  OpenSource: 1 << 7,
  /** Pull towards the high level. */
  BiasPullUp: 1 << 8,
  /** Pull towards the low level. */
  BiasPullDown: 1 << 9,
  /** Do not pull. */
  BiasDisabled: 1 << 10,
  /** Stamp events with CLOCK_REALTIME instead of CLOCK_MONOTONIC. */
  EventClockRealtime: 1 << 11,
  /** Stamp events with the hardware timestamp engine. */
  EventClockHte: 1 << 12,
} as const;

/**
 * `enum gpio_v2_line_attr_id`.
 *
 * **Safety**: plain data. **Source**: linux/gpio.h, since Linux 5.10.
 */
export const AttributeId = {
  /** The value is a word of {@linkcode LineFlag}s. */
  Flags: 1,
  /** The value is a bitmap: 1 is active. */
  OutputValues: 2,
  /** The lower half of the value is a debounce period in microseconds. */
  Debounce: 3,
} as const;

/**
 * `enum gpio_v2_line_event_id`.
 *
 * **Safety**: plain data. **Source**: linux/gpio.h, since Linux 5.10.
 */
export const EdgeEventId = {
  /** From inactive to active. */
  Rising: 1,
  /** From active to inactive. */
  Falling: 2,
} as const;

/**
 * `enum gpio_v2_line_changed_type`.
 *
 * **Safety**: plain data. **Source**: linux/gpio.h, since Linux 5.10.
 */
export const InfoEventId = {
  /** The line was requested. */
  Requested: 1,
  /** Its owner let it go. */
  Released: 2,
  /** Its owner changed its settings. */
  Reconfigured: 3,
} as const;

/** Bytes of a name that the kernel keeps; the last of the field is a NUL. */
const NAME_BYTES_MAX = GPIO_MAX_NAME_SIZE - 1;

/**
 * Writes a name into a field of {@linkcode GPIO_MAX_NAME_SIZE} bytes, cut to
 * the 31 bytes that the kernel keeps, never within a UTF-8 character, and at a
 * NUL.
 *
 * **Safety**: writes 32 bytes of `target` from `offset` on, the NUL included.
 */
export function setNameBytes(
  target: Uint8Array,
  offset: number,
  name: Uint8Array,
): void {
  const field = target.subarray(offset, offset + GPIO_MAX_NAME_SIZE);
  field.fill(0);
  const end = name.indexOf(0);
  let length = end < 0 ? name.length : end;
  if (length > NAME_BYTES_MAX) {
    length = NAME_BYTES_MAX;
    const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;
    // A character has three of them at most.
    for (let i = 0; i < 3 && isContinuation(name[length]!); i++) length--;
  }
  field.set(name.subarray(0, length));
}

/**
 * The bytes of a name in a field of {@linkcode GPIO_MAX_NAME_SIZE} bytes.
 *
 * **Safety**: 32 bytes at most, also when there is no NUL; a view of `source`.
 */
export function nameBytes(source: Uint8Array, offset: number): Uint8Array {
  const field = source.subarray(offset, offset + GPIO_MAX_NAME_SIZE);
  const end = field.indexOf(0);
  return end < 0 ? field : field.subarray(0, end);
}
