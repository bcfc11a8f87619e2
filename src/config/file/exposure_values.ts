/**
 * Presentation of an aggregator, and sockets of its service: from the readings
 * of the shapes to the specification.
 *
 * @module
 */
import type { ConfigPosition } from "../document/config_error.ts";
import type {
  ApiReading,
  ControlReading,
  KernelChipReading,
  QemuPinsReading,
  SocketFileReading,
  UsbredirReading,
  VfioUserReading,
  VhostUserReading,
} from "../schema/exposure_schema.ts";
import type { AggregatorReading } from "../schema/file_schema.ts";
import { EXPOSURE_NAMES } from "../checks/exposures.ts";
import { DEFAULT_QEMU_DEVICE, DEFAULT_USB_DEVICE } from "../values/values.ts";
import { tiePins } from "../references/pins.ts";
import type { Located, Problems } from "../document/problems.ts";
import type {
  ApiSpecification,
  ControlSpecification,
  FileAccess,
  KernelChipSpecification,
  SocketFile,
} from "../specification.ts";
import type { DraftAggregator, DraftApi, DraftLine } from "../checks/draft.ts";

/** Reads how an aggregator is presented. */
export function readExposure(
  name: string,
  { position, values, keys, suggestedKeys }: AggregatorReading,
  lines: readonly DraftLine[],
  isComplete: boolean,
  problems: Problems,
): Pick<DraftAggregator, "exposure" | "positions"> {
  const given = [...keys.keys(), ...suggestedKeys];
  if (!given.some((key) => EXPOSURE_NAMES.includes(key))) {
    problems.add(
      position,
      `${name} has no exposure`,
      `Add one of ${EXPOSURE_NAMES.join(", ")}: for instance ` +
        `vhost-user: /run/gpioagg/${name}.sock`,
    );
  }
  const vhostUser = values["vhost-user"];
  const qemuPins = values["qemu-pins"];
  const vfioUser = values["vfio-user"];
  const { usbredir } = values;
  const kernelChip = values["kernel-chip"];
  const { control } = values;
  const pausedFor = values["paused-for"];
  return {
    positions: keys,
    exposure: {
      ...(vhostUser === undefined ? {} : readVhostUser(vhostUser, problems)),
      ...(qemuPins === undefined
        ? {}
        : readQemuPins(qemuPins.value, lines, isComplete, problems)),
      ...(vfioUser === undefined ? {} : readVfioUser(vfioUser.value)),
      ...(usbredir === undefined ? {} : readUsbredir(usbredir, problems)),
      ...(kernelChip === undefined
        ? {}
        : { kernelChip: readKernelChip(kernelChip.value) }),
      ...(control === undefined ? {} : { control: readControl(control.value) }),
      ...(pausedFor === undefined ? {} : { pausedForUs: pausedFor.value }),
    },
  };
}

function readVhostUser(
  { value, position }: Located<VhostUserReading>,
  problems: Problems,
): DraftAggregator["exposure"] {
  if (typeof value === "string") return { vhostUser: { socketPath: value } };
  const { values, keys } = value;
  const isFd = keys.has("fd");
  if (isFd) {
    for (const key of ["socket", "mode", "owner", "group"] as const) {
      if (!keys.has(key)) continue;
      problems.add(
        keys.get(key)!,
        `"${key}" cannot be combined with fd`,
        "An fd is a socket that exists already",
      );
    }
  } else if (!keys.has("socket")) {
    problems.add(
      position,
      "has neither socket nor fd",
      "Write socket: and a path, or fd: and a number",
    );
  }
  if (values.fd !== undefined) return { vhostUser: { fd: values.fd.value } };
  if (values.socket === undefined) return {};
  return {
    vhostUser: { socketPath: values.socket.value, ...withAccess(values) },
  };
}

function readVfioUser(
  value: VfioUserReading,
): DraftAggregator["exposure"] {
  if (typeof value === "string") return { vfioUser: { socketPath: value } };
  const { socket, ...access } = value.values;
  if (socket === undefined) return {};
  return { vfioUser: { socketPath: socket.value, ...withAccess(access) } };
}

function readUsbredir(
  { value, position }: Located<UsbredirReading>,
  problems: Problems,
): DraftAggregator["exposure"] {
  if (typeof value === "string") {
    return { usbredir: { socketPath: value, device: DEFAULT_USB_DEVICE } };
  }
  const { values, keys } = value;
  const { socket, connect } = values;
  if (!keys.has("socket") && !keys.has("connect")) {
    problems.add(
      position,
      "has neither socket nor connect",
      "Write socket: and a path to listen at, or connect: and the path of " +
        "QEMU's own socket",
    );
  }
  if (keys.has("connect")) {
    for (const key of ["socket", "mode", "owner", "group"] as const) {
      if (!keys.has(key)) continue;
      problems.add(
        keys.get(key)!,
        `"${key}" cannot be combined with connect`,
        "QEMU makes that socket",
      );
    }
  }
  const socketPath = (connect ?? socket)?.value;
  if (socketPath === undefined) return {};
  return {
    usbredir: {
      socketPath,
      device: values.device?.value ?? DEFAULT_USB_DEVICE,
      ...(connect === undefined ? withAccess(values) : { connects: true }),
    },
  };
}

interface AccessReading {
  readonly mode?: Located<number>;
  readonly owner?: Located<string>;
  readonly group?: Located<string>;
}

function readAccess({ mode, owner, group }: AccessReading): FileAccess {
  return {
    ...(mode === undefined ? {} : { mode: mode.value }),
    ...(owner === undefined ? {} : { owner: owner.value }),
    ...(group === undefined ? {} : { group: group.value }),
  };
}

function withAccess(values: AccessReading): { access?: FileAccess } {
  const access = readAccess(values);
  return Object.keys(access).length === 0 ? {} : { access };
}

function readKernelChip(
  { values }: KernelChipReading,
): KernelChipSpecification {
  const kind = values.interface?.value;
  const device = values.device?.value;
  return {
    ...(kind === undefined ? {} : { interface: kind }),
    ...(device === undefined ? {} : { device }),
    ...withAccess(values),
  };
}

function readControl(reading: ControlReading): ControlSpecification {
  if (typeof reading === "string") return { path: reading, access: {} };
  const { path, ...access } = reading.values;
  return {
    ...(path === undefined ? {} : { path: path.value }),
    access: readAccess(access),
  };
}

function readQemuPins(
  { values }: QemuPinsReading,
  lines: readonly DraftLine[],
  isComplete: boolean,
  problems: Problems,
): DraftAggregator["exposure"] {
  const { qtest, qmp, device, index, pins } = values;
  const tied = pins && tiePins(
    pins.value,
    lines.map(({ line }) => line),
    problems,
    isComplete,
  );
  if (qtest === undefined || qmp === undefined) return {};
  return {
    qemuPins: {
      qtest: qtest.value,
      qmp: qmp.value,
      device: device?.value ?? DEFAULT_QEMU_DEVICE,
      ...(index === undefined ? {} : { index: index.value }),
      ...(tied === undefined ? {} : { pins: tied }),
    },
  };
}

/** Reads the control API of a service. */
export function readApi(
  { values, keys, position }: ApiReading,
  problems: Problems,
): DraftApi {
  if (!keys.has("socket") && !keys.has("look")) {
    problems.add(
      position,
      "has neither socket nor look",
      "Write socket: and a path, for instance /run/gpioagg/api.sock",
    );
  }
  const { socket, look, sockets } = values;
  const qemuSockets = values["qemu-sockets"]?.value;
  const auditLog = values["audit-log"];
  const positions = new Map<string, ConfigPosition>(keys);
  return {
    positions,
    specification: {
      ...(socket === undefined ? {} : { socket: readSocketFile(socket.value) }),
      ...(look === undefined ? {} : { look: readSocketFile(look.value) }),
      ...(sockets === undefined
        ? {}
        : { sockets: readSocketFile(sockets.value) }),
      ...(qemuSockets === undefined ? {} : {
        qemuSockets: typeof qemuSockets === "string"
          ? [qemuSockets]
          : qemuSockets.map(({ value }) => value),
      }),
      ...(auditLog === undefined ? {} : { auditLog: auditLog.value }),
    } satisfies ApiSpecification,
  };
}

function readSocketFile(reading: SocketFileReading): SocketFile {
  if (typeof reading === "string") return { path: reading, access: {} };
  const { path, ...access } = reading.values;
  return { path: path?.value ?? "", access: readAccess(access) };
}
