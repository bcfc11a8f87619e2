/**
 * Frames between two processes of one service as text: JSON, and what it has no
 * form for.
 *
 * @module
 */

/** Most of a frame: its values in memory are many times its bytes. */
export interface FrameRoom {
  /** Length of its text. **Units**: bytes. */
  readonly bytes: number;
  /** Values, those in lists and objects included. */
  readonly values: number;
}

/** Room without lines: errors, texts for the log. */
const LEAST_BYTES = 1024 * 1024;
const LEAST_VALUES = 65_536;
/** Room of a line: its description with 32 interlocks, or its counters. */
const BYTES_PER_LINE = 8192;
const VALUES_PER_LINE = 512;

/** Largest frame of all. **Units**: bytes. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** Returns the room of what a process has to say of so many lines. */
export function limitRoom(lines: number): FrameRoom {
  return {
    bytes: Math.min(LEAST_BYTES + lines * BYTES_PER_LINE, MAX_FRAME_BYTES),
    values: LEAST_VALUES + lines * VALUES_PER_LINE,
  };
}

/** JSON has no typed arrays, which counters are. */
const NUMBERS = "$float64";

/** Encodes a frame. */
export function encodeFrame(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value, replacer));
}

/**
 * Decodes a frame.
 *
 * @throws {Error} If it is not valid, or has more values than there is room for.
 */
export function decodeFrame(bytes: Uint8Array, values: number): unknown {
  if (mostValues(bytes) > values) throw new RangeError("Too many values");
  return JSON.parse(new TextDecoder().decode(bytes), reviver);
}

/** Returns the number of values, or more: texts are not distinguished. */
function mostValues(bytes: Uint8Array): number {
  let count = 1;
  for (const byte of bytes) {
    // A comma, a bracket, a brace: each begins a value at most.
    if (byte === 0x2c || byte === 0x5b || byte === 0x7b) count++;
  }
  return count;
}

function replacer(_key: string, value: unknown): unknown {
  return value instanceof Float64Array ? { [NUMBERS]: [...value] } : value;
}

function reviver(_key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new RangeError("A number is too large");
  }
  if (typeof value !== "object" || value === null || !(NUMBERS in value)) {
    return value;
  }
  const numbers = value[NUMBERS];
  if (
    !Array.isArray(numbers) || !numbers.every((one) => typeof one === "number")
  ) {
    throw new TypeError(`${NUMBERS} is not a list of numbers`);
  }
  return Float64Array.from(numbers);
}
