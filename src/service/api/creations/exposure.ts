/**
 * Exposure of an aggregator that a client asks for, under the same rules as in
 * a configuration file.
 *
 * @module
 */
import type { CREATE_REQUEST } from "../../../client/requests.ts";
import type { Meaning } from "../../../client/message_schema.ts";
import {
  checkCard,
  checkPinNumbers,
  checkUsb,
} from "../../../config/checks/pin_numbers.ts";
import {
  checkKernelDevice,
  checkKernelLines,
  checkKernelNames,
  needsUsb,
} from "../../../config/checks/kernel_lines.ts";
import { checkKernelSpecs } from "../../../config/spec/kernel_specs.ts";
import type { Problems } from "../../../config/document/problems.ts";
import { tiePins } from "../../../config/references/pins.ts";
import type {
  AggregatorSpecification,
  FileAccess,
  LineSpecification,
  QemuPinsSpecification,
  UsbredirSpecification,
} from "../../../config/specification.ts";
import { findAllowedDirectory } from "../../../config/values/allowed_directory.ts";
import {
  CHIP_NAME,
  DEFAULT_QEMU_DEVICE,
  DEFAULT_USB_DEVICE,
  readValue,
  type UsbDeviceName,
} from "../../../config/values/values.ts";

/** Sockets of aggregators that clients create. */
export interface CreationRules {
  socketDirectory: string;
  socketAccess: FileAccess;
  /** Directories of QEMU sockets that clients may name; absent: none. */
  qemuSockets?: readonly string[] | undefined;
}

type CreateMeaning = Meaning<typeof CREATE_REQUEST>;
type PinsMeaning = NonNullable<CreateMeaning["qemuPins"]>;

/**
 * Returns the exposure of an aggregator with these lines: a vhost-user socket
 * unless the request has another one. Reports what is not possible.
 */
export function makeExposure(
  request: CreateMeaning,
  lines: readonly LineSpecification[],
  rules: CreationRules,
  problems: Problems,
): Pick<
  AggregatorSpecification,
  "vhostUser" | "kernelChip" | "qemuPins" | "vfioUser" | "usbredir"
> {
  const { name, socket, kernelChip, qemuPins, vfioUser, usbredir } = request;
  if (kernelChip !== undefined) {
    readValue(CHIP_NAME, name, problems.at({ path: "name" }));
    const { interface: kind, device, ...access } = kernelChip;
    checkKernelDevice(kernelChip, problems, { path: "kernelChip.device" });
    if (needsUsb(kernelChip, lines)) {
      checkUsb(lines.length, problems.at({ path: "kernelChip" }));
    } else {
      checkKernelLines(lines, problems);
      checkKernelNames(lines, problems);
      checkKernelSpecs(request.lines, problems);
    }
    return {
      kernelChip: {
        access,
        ...(kind === undefined ? {} : { interface: kind }),
        ...(device === undefined ? {} : { device }),
      },
    };
  }
  if (qemuPins !== undefined) {
    const allowed = rules.qemuSockets ?? [];
    return { qemuPins: readPins(qemuPins, lines, allowed, problems) };
  }
  const made = (access: FileAccess | undefined) => ({
    socketPath: `${rules.socketDirectory}/${name}.sock`,
    access: { ...rules.socketAccess, ...access },
  });
  if (vfioUser !== undefined) {
    checkCard(lines.length, problems.at({ path: "vfioUser" }));
    return { vfioUser: made(vfioUser) };
  }
  if (usbredir !== undefined) {
    checkUsb(lines.length, problems.at({ path: "usbredir" }));
    const { device = DEFAULT_USB_DEVICE, connect, ...access } = usbredir;
    return {
      usbredir: connect === undefined
        ? { device, ...made(access) }
        : makeConnection(device, connect, access, rules, problems),
    };
  }
  return { vhostUser: made(socket) };
}

function makeConnection(
  device: UsbDeviceName,
  socketPath: string,
  access: FileAccess,
  rules: CreationRules,
  problems: Problems,
): UsbredirSpecification {
  const allowed = rules.qemuSockets ?? [];
  for (const key of Object.keys(access)) {
    problems.add(
      { path: `usbredir.${key}` },
      "cannot be combined with connect",
      "QEMU makes that socket",
    );
  }
  checkQemuSocket(socketPath, "usbredir.connect", allowed, problems);
  return { device, socketPath, connects: true, allowed };
}

function readPins(
  { qtest, qmp, device = DEFAULT_QEMU_DEVICE, index, pins }: PinsMeaning,
  lines: readonly LineSpecification[],
  allowed: readonly string[],
  problems: Problems,
): QemuPinsSpecification {
  checkQemuSocket(qtest, "qemuPins.qtest", allowed, problems);
  checkQemuSocket(qmp, "qemuPins.qmp", allowed, problems);
  const named = pins?.map(({ key, path, value }) => ({
    key,
    keyPosition: { path },
    value: { value, position: { path } },
  }));
  const specification: QemuPinsSpecification = {
    qtest,
    qmp,
    allowed,
    device,
    ...(index === undefined ? {} : { index }),
    ...(named === undefined ? {} : { pins: tiePins(named, lines, problems) }),
  };
  checkPinNumbers(
    specification,
    lines.length,
    problems.at({ path: "qemuPins" }),
  );
  return specification;
}

/**
 * Checks the path of a socket that this process will connect to, with rights
 * that the client may lack.
 */
function checkQemuSocket(
  path: string,
  key: string,
  allowed: readonly string[],
  problems: Problems,
): void {
  if (findAllowedDirectory(path, allowed) !== undefined) return;
  problems.add(
    { path: key },
    allowed.length === 0
      ? "no directory of QEMU sockets is allowed to clients of this service"
      : `is not a plain path below ${allowed.join(" or ")}`,
    "The service's administrator allows directories with " +
      "--api-qemu-sockets DIR, or api.qemu-sockets in the file",
  );
}
