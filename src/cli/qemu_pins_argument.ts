/**
 * The argument of `--qemu-pins`:
 * `qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]`.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { PIN, tiePins } from "../config/pins.ts";
import {
  DEVICE_INDEX,
  QEMU_DEVICE,
  type TextKind,
} from "../config/readings.ts";
import type {
  LineSpecification,
  QemuPinsSpecification,
} from "../config/specification.ts";

/** What most boards have. */
const USUAL_DEVICE = "pl061";
const KEYS = ["qtest", "qmp", "device", "index"];
const HOW =
  "--qemu-pins qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]";

/** What the argument says; what its pins mean depends on the lines. */
export interface QemuPinsArgument extends Omit<QemuPinsSpecification, "pins"> {
  /** The argument as it was written. */
  readonly text: string;
  /** Pin number or name to line name, as they were written. */
  readonly pins?: Readonly<Record<string, string>>;
}

/**
 * Reads the argument.
 *
 * @throws {ConfigError} If a key is unknown, missing or wrong.
 */
export function readQemuPins(text: string): QemuPinsArgument {
  const place = placeOf(text);
  const given = new Map<string, string>();
  const pins: Record<string, string> = {};
  for (const item of text.split(",")) {
    const [key = "", value = ""] = item.split(/=(.*)/s);
    const isKey = KEYS.includes(key);
    if (!isKey && "problem" in PIN.read(key)) {
      throw new ConfigError(`unknown key "${key}"`, place);
    }
    if (value === "") throw new ConfigError(`"${key}" has no value`, place);
    if (given.has(key)) throw new ConfigError(`"${key}" is given twice`, place);
    given.set(key, value);
    if (!isKey) pins[key] = value;
  }
  const needed = (key: string) => {
    const value = given.get(key);
    if (value !== undefined) return value;
    throw new ConfigError(`the key "${key}" is missing`, place);
  };
  const checked = <T>(key: string, text: string, kind: TextKind<T>) => {
    const reading = kind.read(text);
    if ("value" in reading) return reading.value;
    throw new ConfigError(`${key}=${text} ${reading.problem}`, place);
  };
  const index = given.get("index");
  return {
    text,
    qtest: needed("qtest"),
    qmp: needed("qmp"),
    device: checked(
      "device",
      given.get("device") ?? USUAL_DEVICE,
      QEMU_DEVICE,
    ),
    ...(index === undefined
      ? {}
      : { index: checked("index", index, DEVICE_INDEX) }),
    ...(Object.keys(pins).length === 0 ? {} : { pins }),
  };
}

/**
 * Finds the lines that the pins of an argument name.
 *
 * @throws {ConfigError} If there is no such line, or a pin or a line has two.
 */
export function withLines(
  { text, pins, ...argument }: QemuPinsArgument,
  lines: readonly LineSpecification[],
): QemuPinsSpecification {
  if (pins === undefined) return argument;
  const tied = tiePins(
    pins,
    lines,
    (key, problem) =>
      new ConfigError(`${key}=${pins[key]}: ${problem}`, placeOf(text)),
  );
  return { ...argument, pins: tied };
}

function placeOf(text: string): { path: string; hint: string } {
  return { path: `--qemu-pins ${text}`, hint: HOW };
}

/**
 * Gives each `--qemu-pins` among `args` that names no sockets a pair of its own
 * in `directory`.
 */
export function withPinSockets(
  args: readonly string[],
  directory: string,
): string[] {
  let count = 0;
  const filled = (text: string) => {
    if (/(^|,)(qtest|qmp)=/.test(text)) return text;
    const place = `${directory}/pins${count++}`;
    return `qtest=${place}.qtest,qmp=${place}.qmp,${text}`;
  };
  return args.map((arg, i) =>
    args[i - 1] === "--qemu-pins"
      ? filled(arg)
      : arg.startsWith("--qemu-pins=")
      ? `--qemu-pins=${filled(arg.slice("--qemu-pins=".length))}`
      : arg
  );
}
