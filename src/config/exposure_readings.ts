/**
 * How an aggregator is presented and where its service is spoken to: from what
 * the shapes read to the specification.
 *
 * @module
 */
import type { ConfigPlace } from "./config_error.ts";
import type {
  ApiReading,
  ControlReading,
  KernelChipReading,
  PlaceReading,
  QemuPinsReading,
  VhostUserReading,
} from "./exposure_shapes.ts";
import type { AggregatorReading } from "./file_shape.ts";
import type { Located, Problems } from "./problems.ts";
import type {
  ApiSpecification,
  ControlSpecification,
  FileAccess,
  FilePlace,
  KernelChipSpecification,
} from "./specification.ts";
import type { WrittenAggregator, WrittenApi, WrittenLine } from "./written.ts";

const EXPOSURES = ["vhost-user", "qemu-pins", "kernel-chip"] as const;

/** Reads how an aggregator is presented. */
export function readExposure(
  name: string,
  { place, values, keys, meant }: AggregatorReading,
  lines: readonly WrittenLine[],
  isComplete: boolean,
  problems: Problems,
): Pick<WrittenAggregator, "exposure" | "places"> {
  const isExposure = (key: string) => EXPOSURES.some((name) => name === key);
  if (![...keys.keys(), ...meant].some(isExposure)) {
    problems.add(
      place,
      `${name} is presented nowhere`,
      `Add one of ${EXPOSURES.join(", ")}: for instance ` +
        `vhost-user: /run/gpioagg/${name}.sock`,
    );
  }
  const vhostUser = values["vhost-user"];
  const qemuPins = values["qemu-pins"];
  const kernelChip = values["kernel-chip"];
  const { control } = values;
  return {
    places: keys,
    exposure: {
      ...(vhostUser === undefined ? {} : readVhostUser(vhostUser, problems)),
      ...(qemuPins === undefined
        ? {}
        : readQemuPins(qemuPins.value, lines, isComplete, problems)),
      ...(kernelChip === undefined
        ? {}
        : { kernelChip: readKernelChip(kernelChip.value) }),
      ...(control === undefined ? {} : { control: readControl(control.value) }),
    },
  };
}

function readVhostUser(
  { value, place }: Located<VhostUserReading>,
  problems: Problems,
): WrittenAggregator["exposure"] {
  if (typeof value === "string") return { vhostUser: { socketPath: value } };
  const { values, keys } = value;
  const isFd = keys.has("fd");
  if (isFd) {
    for (const key of ["socket", "mode", "owner", "group"] as const) {
      if (!keys.has(key)) continue;
      problems.add(
        keys.get(key)!,
        `"${key}" makes no sense with fd`,
        "An fd is a socket that exists already",
      );
    }
  } else if (!keys.has("socket")) {
    problems.add(
      place,
      "says neither socket nor fd",
      "Write socket: and a path, or fd: and a number",
    );
  }
  if (values.fd !== undefined) return { vhostUser: { fd: values.fd.value } };
  if (values.socket === undefined) return {};
  return {
    vhostUser: { socketPath: values.socket.value, ...accessOf(values) },
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

function accessOf(values: AccessReading): { access?: FileAccess } {
  const access = readAccess(values);
  return Object.keys(access).length === 0 ? {} : { access };
}

function readKernelChip(
  { values }: KernelChipReading,
): KernelChipSpecification {
  const kind = values.interface?.value;
  return {
    ...(kind === undefined ? {} : { interface: kind }),
    ...accessOf(values),
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
  lines: readonly WrittenLine[],
  isComplete: boolean,
  problems: Problems,
): WrittenAggregator["exposure"] {
  const { qtest, qmp, device, index, pins } = values;
  const byLine = new Map<number, PinOfLine>();
  const byPin = new Map<number, string>();
  for (const { key, keyPlace, value: name } of pins?.value ?? []) {
    const title = key.name ?? String(key.pin);
    const samePin = byPin.get(key.pin);
    if (samePin !== undefined) {
      problems.add(
        keyPlace,
        `this is pin ${samePin}, which has a line already`,
        "Each pin has one line",
      );
      continue;
    }
    byPin.set(key.pin, title);
    const lineNumber = lines.findIndex(({ line }) => line.name === name.value);
    if (lineNumber < 0) {
      if (!isComplete) continue;
      problems.add(
        name.place,
        `no line here has the name "${name.value}"`,
        "The names are those that as: gives",
      );
      continue;
    }
    const other = byLine.get(lineNumber);
    if (other !== undefined) {
      problems.add(
        keyPlace,
        `line "${name.value}" is at pin ${other.name ?? other.pin} already`,
        "Each line is at one pin",
      );
    }
    byLine.set(lineNumber, key);
  }
  if (qtest === undefined || qmp === undefined) return {};
  return {
    qemuPins: {
      qtest: qtest.value,
      qmp: qmp.value,
      device: device?.value ?? "pl061",
      ...(index === undefined ? {} : { index: index.value }),
      ...(pins === undefined ? {} : {
        pins: [...byLine].map(([lineNumber, pin]) => ({ ...pin, lineNumber })),
      }),
    },
  };
}

type PinOfLine = { readonly pin: number; readonly name?: string };

/** Reads the control API of a service. */
export function readApi(
  { values, keys, place }: ApiReading,
  problems: Problems,
): WrittenApi {
  if (!keys.has("socket") && !keys.has("look")) {
    problems.add(
      place,
      "says neither socket nor look",
      "Write socket: and a path, for instance /run/gpioagg/api.sock",
    );
  }
  const { socket, look, sockets } = values;
  const auditLog = values["audit-log"];
  const places = new Map<string, ConfigPlace>(keys);
  return {
    places,
    specification: {
      ...(socket === undefined ? {} : { socket: readPlace(socket.value) }),
      ...(look === undefined ? {} : { look: readPlace(look.value) }),
      ...(sockets === undefined ? {} : { sockets: readPlace(sockets.value) }),
      ...(auditLog === undefined ? {} : { auditLog: auditLog.value }),
    } satisfies ApiSpecification,
  };
}

function readPlace(reading: PlaceReading): FilePlace {
  if (typeof reading === "string") return { path: reading, access: {} };
  const { path, ...access } = reading.values;
  return { path: path?.value ?? "", access: readAccess(access) };
}
