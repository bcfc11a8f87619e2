/**
 * Single values as people write them, on a command line and in a file alike.
 *
 * @module
 */
import {
  PERIOD_PATTERN,
  periodMeant,
  readPeriodUs,
} from "../../text/period.ts";
import { nearest } from "../../text/nearest.ts";
import type { UsbModel } from "../../usb/core/models.ts";
import type { Report } from "../document/problems.ts";
import { defaultControlPath, MAX_NAME_LENGTH } from "../specification.ts";
import type { Value } from "../../line/value.ts";
import { settingBehind } from "./socket_setting.ts";

/** A parsed value, or the problem of its text. */
type Reading<T> =
  | { value: T }
  /** `problem` follows the text: `is no period`. */
  | { problem: string; hint: string };

/** A JSON Schema, or a part of one. */
export type JsonSchema = { readonly [key: string]: unknown };

/** A kind of single value: how it is read, and how editors check it. */
export interface TextKind<T> {
  /** Expected text, after "expected": `a period such as 5ms`. */
  readonly expected: string;
  readonly read: (text: string) => Reading<T>;
  /** A JSON Schema of the values as an editor's YAML parser sees them. */
  readonly schema: JsonSchema;
}

const VALUES: Readonly<Record<string, Value>> = {
  "0": 0,
  "1": 1,
  "inactive": 0,
  "active": 1,
  "off": 0,
  "on": 1,
  "false": 0,
  "true": 1,
};

/** Reads a logical value as a person writes it; undefined for anything else. */
export function parseValue(text: string): Value | undefined {
  return Object.hasOwn(VALUES, text) ? VALUES[text] : undefined;
}

const VALUE_SCHEMA = {
  enum: [0, 1, false, true, "0", "1", "inactive", "active", "off", "on"],
} as const;

/** A logical value. */
export const VALUE: TextKind<Value> = {
  expected: "0 (inactive) or 1 (active)",
  read: (text) => {
    const value = parseValue(text);
    return value === undefined
      ? {
        problem: "is not a valid value",
        hint: "It is 0 (inactive) or 1 (active)",
      }
      : { value };
  },
  schema: VALUE_SCHEMA,
};

/** A logical value, or the line as it is found. */
export const VALUE_OR_AS_IS: TextKind<Value | "as-is"> = {
  expected: "0 (inactive), 1 (active) or as-is",
  read: (text) => {
    const value = text === "as-is" ? text : parseValue(text);
    return value === undefined
      ? {
        problem: "is not a valid value",
        hint: "It is 0 (inactive), 1 (active) or as-is",
      }
      : { value };
  },
  schema: { enum: [...VALUE_SCHEMA.enum, "as-is"] },
};

/** Yes or no. */
export const FLAG: TextKind<boolean> = {
  expected: "true or false",
  read: (text) => {
    const value = parseValue(text);
    return value === undefined
      ? { problem: "is neither true nor false", hint: "It is true or false" }
      : { value: value === 1 };
  },
  schema: { enum: [true, false, 0, 1, "on", "off"] },
};

/** One of some words. */
export function choice<const T extends string>(
  ...choices: readonly T[]
): TextKind<T> {
  const list = choices.length > 1
    ? `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`
    : choices.join();
  return {
    expected: list,
    read: (text) => {
      const value = choices.find((choice) => choice === text);
      if (value !== undefined) return { value };
      const meant = nearest(text, choices);
      return {
        problem: "is not known",
        hint: (meant === undefined ? "" : `Did you mean ${meant}? `) +
          `It is one of ${choices.join(", ")}`,
      };
    },
    schema: { enum: choices },
  };
}

/**
 * Reads a period such as `5ms`, `250us`, `0.5s`, `1m`; without a unit,
 * milliseconds. Fractions are rounded to whole microseconds.
 *
 * **Units**: returns microseconds; undefined if it is not a period below 4294 s.
 */
export function parsePeriodUs(text: string): number | undefined {
  const us = readPeriodUs(text);
  // The uAPI keeps the period in 32 bits of microseconds.
  return us !== undefined && us < 2 ** 32 ? us : undefined;
}

const PERIOD_HINT =
  "A period is a number with us, ms, s, m or h, below 71 minutes: 5ms";

/** A period; the value is in microseconds. */
export const PERIOD: TextKind<number> = {
  expected: "a period such as 5ms",
  read: (text) => {
    const value = parsePeriodUs(text);
    if (value !== undefined) return { value };
    const meant = periodMeant(text);
    return {
      problem: "is not a valid period",
      hint: meant === undefined ? PERIOD_HINT : `Did you mean ${meant}?`,
    };
  },
  schema: {
    type: ["string", "number"],
    pattern: PERIOD_PATTERN,
    minimum: 0,
  },
};

/** A period that is not nothing; the value is in microseconds. */
export const LONGER_PERIOD: TextKind<number> = {
  ...PERIOD,
  read: (text) => {
    const reading = PERIOD.read(text);
    return "value" in reading && reading.value === 0
      ? { problem: "must be longer than 0", hint: "Omit the key instead" }
      : reading;
  },
};

/** A period, or `keep` for no limit; the value is in microseconds. */
export const PAUSED_FOR: TextKind<number | "keep"> = {
  expected: "a period such as 3s, or keep",
  read: (text) => {
    const value = text === "keep" ? text : parsePeriodUs(text);
    return value === undefined
      ? {
        problem: "is neither a period nor keep",
        hint: PERIOD_HINT,
      }
      : { value };
  },
  schema: {
    type: ["string", "number"],
    pattern: PERIOD_PATTERN.replace("^", "^(keep|").replace("$", ")$"),
    minimum: 0,
  },
};

/** Which process serves an aggregator. */
export const ISOLATE: TextKind<"process" | "none"> = {
  expected: "process, or none",
  read: (text) =>
    text === "process" || text === "none" ? { value: text } : {
      problem: "is neither process nor none",
      hint: "process: a process of its own; none: the service's",
    },
  schema: { type: "string", enum: ["process", "none"] },
};

/** A name that a guest may see. */
export const LINE_NAME: TextKind<string> = {
  expected: "a name",
  read: (text) => {
    const problem = nameProblem(text);
    return problem === undefined ? { value: text } : { problem, hint: "" };
  },
  schema: {
    type: ["string", "integer"],
    minLength: 1,
    maxLength: MAX_NAME_LENGTH,
  },
};

function nameProblem(name: string): string | undefined {
  if (name === "") return "is an empty name";
  if (name.length > MAX_NAME_LENGTH) {
    return `is a name longer than ${MAX_NAME_LENGTH} characters`;
  }
  return /^[\x20-\x7e]+$/.test(name)
    ? undefined
    : "is a name that is not plain 7-bit text";
}

/** A whole number from `least` to `most`. */
export function wholeNumber(
  expected: string,
  least: number,
  most: number,
): TextKind<number> {
  return {
    expected,
    read: (text) => {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
      return value >= least && value <= most ? { value } : {
        problem: `is not ${expected}`,
        hint: `It is a number from ${least} to ${most}`,
      };
    },
    schema: { type: "integer", minimum: least, maximum: most },
  };
}

/** Any text that is not empty and has no NUL. */
export function anyText(expected: string): TextKind<string> {
  return {
    expected,
    read: (text) =>
      text === "" || text.includes("\0")
        ? { problem: `is not ${expected}`, hint: "" }
        : { value: text },
    schema: { type: ["string", "integer"] },
  };
}

/** Longest path that the kernel takes. **Units**: bytes. */
const PATH_MAX = 4095;

/** An absolute path. */
export function absolutePath(
  expected: string,
  maxLength = PATH_MAX,
): TextKind<string> {
  return {
    expected,
    read: (text) =>
      !text.startsWith("/") || text.endsWith("/") || text.includes("\0")
        ? { problem: `is not ${expected}`, hint: pathHint(text) }
        : new TextEncoder().encode(text).length > maxLength
        ? {
          problem: `is longer than ${maxLength} bytes`,
          hint: "The kernel does not support longer paths",
        }
        : { value: text },
    schema: {
      type: "string",
      pattern: "^/.*[^/]$",
      ...(maxLength < PATH_MAX ? { maxLength } : {}),
    },
  };
}

function pathHint(text: string): string {
  return text.startsWith("/") && text.length > 1 && !text.includes("\0")
    ? "A path does not end in a slash"
    : "A path begins with a slash, and does not end in one";
}

/** Longest path of a unix socket: `sun_path` without its NUL. */
const MAX_SOCKET_PATH = 107;

/** The path of a unix socket. */
export const ANY_SOCKET_PATH: TextKind<string> = socketPath(MAX_SOCKET_PATH);

/** The path of a unix socket, beside which a control socket has its place. */
export const SOCKET_PATH: TextKind<string> = socketPath(
  MAX_SOCKET_PATH - defaultControlPath("").length,
);

function socketPath(maxLength: number): TextKind<string> {
  const kind = absolutePath("an absolute socket path", maxLength);
  return {
    ...kind,
    read: (text) => {
      const setting = settingBehind(text);
      return setting === undefined ? kind.read(text) : {
        problem: `ends with "${setting}", a setting of a command line`,
        hint: "Write the path alone: its settings are keys of a mapping",
      };
    },
  };
}

/**
 * Type that QEMU gives a device: it goes into the words of a line-based
 * protocol.
 */
export const QEMU_DEVICE: TextKind<string> = {
  expected: "a QOM type such as pl061, or a QOM path",
  read: (text) =>
    /^[\x21-\x7e]+$/.test(text) ? { value: text } : {
      problem: "is not a QOM type such as pl061, or a QOM path",
      hint: "Plain text without spaces, such as pl061",
    },
  schema: { type: "string", pattern: "^[\\x21-\\x7e]+$" },
};

/** Controller where none is named: most boards have it. */
export const DEFAULT_QEMU_DEVICE = "pl061";

/** Model of a GPIO adapter on USB. */
export type UsbDeviceName = UsbModel;

/** Reader of a {@linkcode UsbDeviceName}. */
export const USB_DEVICE: TextKind<UsbModel> = choice("ljca", "cp2112");

/** USB adapter where none is named: it has the most lines. */
export const DEFAULT_USB_DEVICE: UsbModel = "ljca";

/** Which of several devices of one type. */
export const DEVICE_INDEX: TextKind<number> = wholeNumber(
  "a device's index",
  0,
  255,
);

/** A pin of an emulated controller. */
export const PIN_NUMBER: TextKind<number> = wholeNumber(
  "a pin number",
  0,
  1023,
);

/**
 * Reads a value and reports it if it is invalid.
 *
 * @param shown Words for it in the report.
 * @returns undefined if it is.
 */
export function readValue<T>(
  kind: TextKind<T>,
  text: string,
  report: Report,
  shown: string = JSON.stringify(text),
): T | undefined {
  const reading = kind.read(text);
  if ("value" in reading) return reading.value;
  report(`${shown} ${reading.problem}`, reading.hint);
  return undefined;
}

const NAME_TEXT = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** Permission bits in octal; the value is the number. */
export const MODE: TextKind<number> = {
  expected: 'permission bits such as "0660"',
  read: (text) =>
    /^(0o?)?[0-7]{3}$/.test(text)
      ? { value: parseInt(text.replace(/^0o/, ""), 8) }
      : {
        problem: "is not a valid file mode",
        hint: 'Three octal digits, for owner, group and others: "0660"',
      },
  schema: { type: ["string", "integer"], pattern: "^(0o?)?[0-7]{3}$" },
};

/** Name of an aggregator: a part of file names and of `AGGREGATOR.LINE`. */
export const AGGREGATOR_NAME: TextKind<string> = {
  expected: "an aggregator's name",
  read: (text) =>
    NAME_TEXT.test(text) ? { value: text } : {
      problem: "is not a valid name for an aggregator",
      hint:
        "1 to 64 letters, digits, dots, dashes and underscores; the first " +
        "is not a dot or a dash",
    },
  schema: { type: "string", pattern: NAME_TEXT.source },
};

const CHIP_NAME_TEXT = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;

/** Name of a kernel chip's record, a part of a file name. */
export const CHIP_NAME: TextKind<string> = {
  expected: "a chip's name",
  read: (text) =>
    CHIP_NAME_TEXT.test(text) ? { value: text } : {
      problem: "is not a valid name for a chip",
      hint: "1 to 32 letters, digits, dashes and underscores; the first is a " +
        "letter or digit",
    },
  schema: { type: "string", pattern: CHIP_NAME_TEXT.source },
};
