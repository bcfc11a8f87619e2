/**
 * The argument of `--qemu-pins`: `qtest=PATH,qmp=PATH[,device=TYPE][,index=N]`.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type { QemuPinsSpecification } from "../config/specification.ts";

/** What most boards have. */
const USUAL_DEVICE = "pl061";
const KEYS = ["qtest", "qmp", "device", "index"];
const HOW = "--qemu-pins qtest=PATH,qmp=PATH[,device=TYPE][,index=N]";

/**
 * Reads the argument.
 *
 * @throws {ConfigError} If a key is unknown, missing or wrong.
 */
export function readQemuPins(text: string): QemuPinsSpecification {
  const place = { path: `--qemu-pins ${text}`, hint: HOW };
  const given = new Map<string, string>();
  for (const item of text.split(",")) {
    const [key = "", value = ""] = item.split(/=(.*)/s);
    if (!KEYS.includes(key)) {
      throw new ConfigError(`unknown key "${key}"`, place);
    }
    if (value === "") throw new ConfigError(`"${key}" has no value`, place);
    if (given.has(key)) throw new ConfigError(`"${key}" is given twice`, place);
    given.set(key, value);
  }
  const needed = (key: string) => {
    const value = given.get(key);
    if (value !== undefined) return value;
    throw new ConfigError(`the key "${key}" is missing`, place);
  };
  const index = given.get("index");
  if (index !== undefined && !/^\d+$/.test(index)) {
    throw new ConfigError(`index=${index} is no number`, place);
  }
  return {
    qtest: needed("qtest"),
    qmp: needed("qmp"),
    device: given.get("device") ?? USUAL_DEVICE,
    ...(index === undefined ? {} : { index: Number(index) }),
  };
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
