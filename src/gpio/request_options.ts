/**
 * A request for lines: what is asked for, its checks, its words for the kernel,
 * and the likely reasons of a refusal.
 *
 * @module
 */
import { EBUSY, EINVAL, EIO, ENXIO, EOPNOTSUPP } from "../../ffi/errno.ts";
import {
  GPIO_V2_LINES_MAX,
  LINE_REQUEST,
  setNameBytes,
} from "../../ffi/gpio_v2.ts";
import { packConfig } from "../../ffi/gpio_v2_config.ts";
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import {
  requireKeys,
  requireNumber,
  requireString,
} from "../text/arguments.ts";
import { bytesOfName } from "../text/names.ts";
import {
  checkSelections,
  flattenSelections,
  type LineSelection,
  type LineWithSettings,
  packLine,
} from "./line_settings.ts";

/** Which lines are wanted, and how. */
export interface RequestOptions {
  /** The lines, up to 64, each with its settings. */
  readonly lines: readonly LineSelection[];
  /**
   * Consumer label that other programs see; default `"gpioagg"`. The kernel
   * keeps 31 bytes.
   */
  readonly consumer?: string | undefined;
  /**
   * Kernel event buffer size, in events: at most 1024, 16 per line by default.
   * When it is full, the oldest event is dropped.
   */
  readonly eventBufferSize?: number | undefined;
}

const REQUEST_KEYS = ["lines", "consumer", "eventBufferSize"];
const MEANT_REQUEST: Readonly<Record<string, string>> = {
  line: "lines",
  offset: "lines[].offset",
  offsets: "lines[].offsets",
  settings: "lines[].settings",
  label: "consumer",
  bufferSize: "eventBufferSize",
};

/** Consumer of a request that names none. */
const DEFAULT_CONSUMER = "gpioagg";

/**
 * Checks a request, as far as that needs no chip.
 *
 * @param chip The chip's name, for messages.
 * @returns Its lines, one by one.
 * @throws {TypeError} For an unknown key or setting, or a value of another type.
 * @throws {RangeError} For no line or more than 64, or an invalid size.
 */
export function readRequest(
  chip: string,
  options: RequestOptions,
): LineWithSettings[] {
  requireKeys("the request", options, REQUEST_KEYS, MEANT_REQUEST);
  const { consumer = DEFAULT_CONSUMER, eventBufferSize = 0 } = options;
  requireString("consumer", consumer);
  if (consumer.includes("\0")) {
    throw new TypeError(
      `consumer ${JSON.stringify(consumer)} has a NUL, which would end it`,
    );
  }
  requireNumber("eventBufferSize", eventBufferSize);
  checkSelections(options.lines);
  const lines = flattenSelections(options.lines);
  if (lines.length < 1 || lines.length > GPIO_V2_LINES_MAX) {
    throw new RangeError(
      `Cannot request ${lines.length} lines of ${chip} at once: 1 to ${GPIO_V2_LINES_MAX} are possible`,
    );
  }
  if (!Number.isInteger(eventBufferSize) || eventBufferSize < 0) {
    throw new RangeError(
      `Cannot request lines of ${chip}: eventBufferSize ${eventBufferSize} is not a number of events`,
    );
  }
  return lines;
}

/**
 * Makes the `struct gpio_v2_line_request` of a checked request.
 *
 * @throws {RangeError} If the settings differ so much that they do not fit.
 */
export function packRequest(
  lines: readonly LineWithSettings[],
  { consumer = DEFAULT_CONSUMER, eventBufferSize = 0 }: RequestOptions,
): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(LINE_REQUEST.size);
  const view = new DataView(request.buffer);
  const { at } = LINE_REQUEST;
  for (const [bit, { offset }] of lines.entries()) {
    view.setUint32(at.offsets + 4 * bit, offset, LITTLE_ENDIAN);
  }
  setNameBytes(request, at.consumer, bytesOfName(consumer));
  packConfig(
    view,
    at.config,
    lines.map(({ settings }) => packLine(settings, 0)),
  );
  view.setUint32(at.num_lines, lines.length, LITTLE_ENDIAN);
  view.setUint32(
    at.event_buffer_size,
    // The kernel caps it anyway, and the field has 32 bits.
    Math.min(eventBufferSize, 16 * GPIO_V2_LINES_MAX),
    LITTLE_ENDIAN,
  );
  return request;
}

/** Returns the most likely meaning of an error number for these settings. */
export function refusalHint(
  lines: readonly LineWithSettings[],
  errno: number,
): string | undefined {
  const all = lines.map(({ settings }) => settings);
  const hasEdges = all.some(({ edge = "none" }) => edge !== "none");
  // Recent kernels do not show such a use.
  if (errno === EBUSY && hasEdges) {
    return "a driver may use its interrupt (see /proc/interrupts)";
  }
  if (errno === EIO && all.some(({ direction }) => direction === "output")) {
    return "its bus failed, or a driver uses it as an interrupt (see " +
      "/proc/interrupts)";
  }
  if (
    errno === ENXIO && hasEdges
  ) return "the chip cannot report edges of it";
  if (
    errno === EOPNOTSUPP && all.some(({ eventClock }) => eventClock === "hte")
  ) return "there is no hardware timestamp engine for it";
  if (
    errno === EINVAL && all.some(({ eventClock }) => eventClock === "realtime")
  ) return "eventClock realtime needs Linux 5.11";
  return undefined;
}
