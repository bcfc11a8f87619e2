/**
 * The argument of `--qemu-pins`:
 * `qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]`.
 *
 * @module
 */
import { Problems } from "../../config/document/problems.ts";
import { type NamedPin, tiePins } from "../../config/references/pins.ts";
import { PIN } from "../../config/values/pin.ts";
import {
  DEFAULT_QEMU_DEVICE,
  DEVICE_INDEX,
  QEMU_DEVICE,
  readValue,
  type TextKind,
} from "../../config/values/values.ts";
import type {
  LineSpecification,
  QemuPinsSpecification,
} from "../../config/specification.ts";

const KEYS = ["qtest", "qmp", "device", "index"];
const HOW =
  "--qemu-pins qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]";

/** Contents of the argument; the meaning of its pins depends on the lines. */
interface QemuPinsArgument extends Omit<QemuPinsSpecification, "pins"> {
  /** Pins with line names; absent if none is given. */
  readonly pins?: readonly NamedPin[];
}

/**
 * Reads the argument.
 *
 * @throws {ConfigError} If a key is unknown, missing or invalid.
 */
export function readQemuPins(text: string): QemuPinsArgument {
  const problems = new Problems();
  const position = { path: `--qemu-pins ${text}` };
  const report = (problem: string, hint = "") =>
    problems.add(position, problem, hint === "" ? HOW : hint);
  const given = new Map<string, string>();
  const pins: NamedPin[] = [];
  for (const item of text.split(",")) {
    const [key = "", value = ""] = item.split(/=(.*)/s);
    const reading = KEYS.includes(key) ? undefined : PIN.read(key);
    if (reading !== undefined && "problem" in reading) {
      report(`unknown key "${key}"`);
    } else if (value === "") report(`"${key}" has no value`);
    else if (given.has(key)) report(`"${key}" is given twice`);
    else if (reading !== undefined) {
      pins.push({
        key: reading.value,
        keyPosition: position,
        value: { value, position },
      });
    }
    given.set(key, value);
  }
  for (const key of ["qtest", "qmp"]) {
    if (!given.has(key)) report(`the key "${key}" is missing`);
  }
  const read = <T>(key: string, kind: TextKind<T>) => {
    const value = given.get(key);
    if (value === undefined || value === "") return undefined;
    return readValue(
      kind,
      value,
      (problem, hint) => report(`${key}: ${problem}`, hint),
    );
  };
  const device = read("device", QEMU_DEVICE) ?? DEFAULT_QEMU_DEVICE;
  const index = read("index", DEVICE_INDEX);
  problems.throwFirst();
  return {
    qtest: given.get("qtest") ?? "",
    qmp: given.get("qmp") ?? "",
    device,
    index,
    ...(pins.length === 0 ? {} : { pins }),
  };
}

/**
 * Finds the lines that the pins of an argument name.
 *
 * @throws {ConfigError} If there is no such line, or a pin or a line is
 * assigned twice.
 */
export function withLines(
  { pins, ...argument }: QemuPinsArgument,
  lines: readonly LineSpecification[],
): QemuPinsSpecification {
  if (pins === undefined) return argument;
  const problems = new Problems();
  const tied = tiePins(pins, lines, problems);
  problems.throwFirst();
  return { ...argument, pins: tied };
}

/**
 * Completes each `--qemu-pins` among `args` that names no sockets with a pair
 * of sockets in `directory`.
 */
export function withPinSockets(
  args: readonly string[],
  directory: string,
): string[] {
  let count = 0;
  const filled = (text: string) => {
    if (/(^|,)(qtest|qmp)=/.test(text)) return text;
    const stem = `${directory}/pins${count++}`;
    return `qtest=${stem}.qtest,qmp=${stem}.qmp,${text}`;
  };
  return args.map((arg, i) =>
    args[i - 1] === "--qemu-pins"
      ? filled(arg)
      : arg.startsWith("--qemu-pins=")
      ? `--qemu-pins=${filled(arg.slice("--qemu-pins=".length))}`
      : arg
  );
}
