/**
 * From the body of a request to how an aggregator is to be presented: what a
 * configuration file may say, and under the same rules.
 *
 * @module
 */
import { ConfigError } from "../../config/config_error.ts";
import { pinsProblem } from "../../config/exposure_checks.ts";
import { tiePins } from "../../config/pins.ts";
import {
  anyText,
  choice,
  DEVICE_INDEX,
  LINE_NAME,
  QEMU_DEVICE,
  SOCKET_PATH,
} from "../../config/readings.ts";
import type {
  AggregatorSpecification,
  FileAccess,
  KernelChipSpecification,
  LineSpecification,
  QemuPin,
  QemuPinsSpecification,
} from "../../config/specification.ts";
import { checkName } from "../../kernel_chip/records.ts";
import { checkKernelLines } from "../../kernel_chip/rules.ts";
import { readNumber, readRecord, readText, refuseOthers } from "./body.ts";

/** Where and for whom aggregators of clients get their sockets. */
export interface CreationRules {
  socketDirectory: string;
  socketAccess: FileAccess;
}

/** The keys of a body that say how to present an aggregator. */
export interface ExposureKeys {
  socket?: unknown;
  kernelChip?: unknown;
  qemuPins?: unknown;
}

/** What a controller that QEMU emulates is, unless it is said. */
const USUAL_DEVICE = "pl061";

/**
 * Reads how the aggregator `name` with these lines is to be presented: at a
 * vhost-user socket unless the body says otherwise.
 *
 * @throws {ConfigError} If it says it twice, or what cannot be.
 */
export function readExposure(
  name: string,
  lines: readonly LineSpecification[],
  keys: ExposureKeys,
  rules: CreationRules,
): Pick<AggregatorSpecification, "vhostUser" | "kernelChip" | "qemuPins"> {
  const [first, second] = Object.entries(keys)
    .filter(([, value]) => value !== undefined).map(([key]) => key);
  if (first !== undefined && second !== undefined) {
    throw new ConfigError(
      `${name} is presented by ${first} already, and a line has one master`,
      { path: second, hint: "Make two aggregators" },
    );
  }
  const { socket = {}, kernelChip, qemuPins } = keys;
  if (kernelChip !== undefined) {
    checkName(name, "name");
    checkKernelLines(lines);
    return { kernelChip: readKernelChip(kernelChip) };
  }
  if (qemuPins !== undefined) {
    return { qemuPins: readQemuPins(qemuPins, lines) };
  }
  const { access, rest } = takeAccess(socket, "socket");
  refuseOthers(rest, "socket.");
  return {
    vhostUser: {
      socketPath: `${rules.socketDirectory}/${name}.sock`,
      access: { ...rules.socketAccess, ...access },
    },
  };
}

const INTERFACE = choice("configfs", "sysfs");

function readKernelChip(value: unknown): KernelChipSpecification {
  const { access, rest } = takeAccess(value, "kernelChip");
  const { interface: chosen, ...others } = rest;
  refuseOthers(others, "kernelChip.");
  return {
    access,
    ...(chosen === undefined
      ? {}
      : { interface: readText(INTERFACE, chosen, "kernelChip.interface") }),
  };
}

function readQemuPins(
  value: unknown,
  lines: readonly LineSpecification[],
): QemuPinsSpecification {
  const { qtest, qmp, device = USUAL_DEVICE, index, pins, ...rest } =
    readRecord(value, "qemuPins");
  refuseOthers(rest, "qemuPins.");
  const read: QemuPinsSpecification = {
    qtest: readText(SOCKET_PATH, qtest, "qemuPins.qtest"),
    qmp: readText(SOCKET_PATH, qmp, "qemuPins.qmp"),
    device: readText(QEMU_DEVICE, device, "qemuPins.device"),
    ...(index === undefined
      ? {}
      : { index: readNumber(DEVICE_INDEX, index, "qemuPins.index") }),
    ...(pins === undefined ? {} : { pins: readPins(pins, lines) }),
  };
  const wrong = pinsProblem(read, lines.length);
  if (wrong === undefined) return read;
  const { problem, hint } = wrong;
  throw new ConfigError(problem, { path: "qemuPins", hint });
}

function readPins(
  value: unknown,
  lines: readonly LineSpecification[],
): QemuPin[] {
  const pins: Record<string, string> = {};
  const given = readRecord(value, "qemuPins.pins");
  for (const [key, name] of Object.entries(given)) {
    pins[key] = readText(LINE_NAME, name, `qemuPins.pins.${key}`);
  }
  if (Object.keys(pins).length === 0) {
    throw new ConfigError("is at least one pin with a line's name", {
      path: "qemuPins.pins",
    });
  }
  return tiePins(pins, lines, (key, problem) =>
    new ConfigError(problem, {
      path: `qemuPins.pins.${key}`,
      hint: "Pins are numbers or names of the controller's, names of lines " +
        "those that as= gives",
    }));
}

const USER = anyText("a name or a number");

/** Takes who may use a file out of a body; `rest` is what else is there. */
function takeAccess(
  value: unknown,
  path: string,
): { access: FileAccess; rest: Record<string, unknown> } {
  const { mode, owner, group, ...rest } = readRecord(value, path);
  const access: FileAccess = {};
  if (mode !== undefined) {
    if (typeof mode !== "string" || !/^0?[0-7]{3}$/.test(mode)) {
      throw new ConfigError("is three octal digits, such as 660", {
        path: `${path}.mode`,
      });
    }
    access.mode = parseInt(mode, 8);
  }
  for (const [key, text] of Object.entries({ owner, group })) {
    if (text === undefined) continue;
    access[key as "owner" | "group"] = readText(USER, text, `${path}.${key}`);
  }
  return { access, rest };
}
