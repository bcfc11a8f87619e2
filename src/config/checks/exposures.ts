/**
 * Ways to present an aggregator, in one table: their keys in a file, their
 * options, their sockets and their limits.
 *
 * @module
 */
import type { Report } from "../document/problems.ts";
import {
  defaultControlPath,
  type KernelChipSpecification,
  type QemuPinsSpecification,
  usbredirSockets,
  type UsbredirSpecification,
  type VfioUserSpecification,
  type VhostUserSpecification,
} from "../specification.ts";
import { checkCard, checkPinNumbers, checkUsb } from "./pin_numbers.ts";

/** Settings of each way to present an aggregator. */
interface ExposureSettings {
  vhostUser: VhostUserSpecification;
  qemuPins: QemuPinsSpecification;
  vfioUser: VfioUserSpecification;
  usbredir: UsbredirSpecification;
  kernelChip: KernelChipSpecification;
}

type ExposureKey = keyof ExposureSettings;

/** Presentation of an aggregator. */
type Exposures = {
  readonly [K in ExposureKey]?: ExposureSettings[K] | undefined;
};

/** A socket that an exposure uses. */
interface ExposureSocket {
  /** Its path; `fd 3` for an inherited one. */
  readonly path: string;
  /** Words for messages: `QMP socket`. */
  readonly title: string;
}

/** One way to present an aggregator. */
interface Exposure<S> {
  /** Key in a file, and the word for it in messages. */
  readonly name: string;
  /** Options of `gpioagg serve` that begin such an aggregator. */
  readonly options: readonly string[];
  /** Set if no other exposure may stand beside it. */
  readonly isAlone?: true;
  /** Returns the option and its argument, for messages. */
  argument(settings: S): string;
  /** Returns the name of an aggregator that has none. */
  defaultName(settings: S): string;
  sockets(settings: S, lineCount: number): readonly ExposureSocket[];
  /** Returns the socket beside which the control socket is made. */
  controlBeside(settings: S): string | undefined;
  /** Reports lines and pins that it does not have. */
  check(settings: S, lineCount: number, report: Report): void;
}

const noLimit = () => {};

/** All ways, in the order of preference. */
const EXPOSURES: {
  readonly [K in ExposureKey]: Exposure<ExposureSettings[K]>;
} = {
  vhostUser: {
    name: "vhost-user",
    options: ["--socket-path", "--fd"],
    argument: (settings) =>
      "fd" in settings
        ? `--fd ${settings.fd}`
        : `--socket-path ${settings.socketPath}`,
    defaultName: (settings) =>
      "fd" in settings ? `fd${settings.fd}` : nameOfSocket(settings.socketPath),
    sockets: (settings) => [{
      path: "fd" in settings ? `fd ${settings.fd}` : settings.socketPath,
      title: "vhost-user socket",
    }],
    controlBeside: (settings) =>
      "fd" in settings ? undefined : settings.socketPath,
    check: noLimit,
  },
  qemuPins: {
    name: "qemu-pins",
    options: ["--qemu-pins"],
    argument: ({ qtest }) => `--qemu-pins qtest=${qtest}`,
    defaultName: ({ device }) => device.slice(device.lastIndexOf("/") + 1),
    sockets: ({ qtest, qmp }) => [
      { path: qtest, title: "qtest socket" },
      { path: qmp, title: "QMP socket" },
    ],
    controlBeside: ({ qtest }) => qtest,
    check: checkPinNumbers,
  },
  vfioUser: {
    name: "vfio-user",
    options: ["--vfio-user"],
    isAlone: true,
    argument: ({ socketPath }) => `--vfio-user ${socketPath}`,
    defaultName: ({ socketPath }) => nameOfSocket(socketPath),
    sockets: ({ socketPath }) => [
      { path: socketPath, title: "vfio-user socket" },
    ],
    controlBeside: ({ socketPath }) => socketPath,
    check: (_, lineCount, report) => checkCard(lineCount, report),
  },
  usbredir: {
    name: "usbredir",
    options: ["--usbredir"],
    isAlone: true,
    argument: ({ socketPath }) => `--usbredir ${socketPath}`,
    defaultName: ({ socketPath }) => nameOfSocket(socketPath),
    sockets: (settings, lineCount) =>
      usbredirSockets(settings, lineCount).map((path) => ({
        path,
        title: "usbredir socket",
      })),
    controlBeside: ({ socketPath }) => socketPath,
    check: (_, lineCount, report) => checkUsb(lineCount, report),
  },
  kernelChip: {
    name: "kernel-chip",
    options: [],
    argument: () => "--kernel-chip",
    defaultName: () => "chip",
    sockets: () => [],
    controlBeside: () => undefined,
    check: noLimit,
  },
};

function nameOfSocket(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.sock(et)?$/, "");
}

/** Names of all exposures, as a file has them. */
export const EXPOSURE_NAMES: readonly string[] = Object.values(EXPOSURES)
  .map(({ name }) => name);

/** Options of `gpioagg serve` that begin an aggregator. */
export const EXPOSURE_OPTIONS: readonly string[] = Object.values(EXPOSURES)
  .flatMap(({ options }) => options);

/** An exposure of an aggregator. */
interface PresentExposure {
  readonly name: string;
  readonly isAlone: boolean;
  readonly argument: string;
  readonly defaultName: string;
  /** Path of its control socket, unless the aggregator names another one. */
  readonly controlPath: string | undefined;
  /** Returns its sockets. */
  sockets(lineCount: number): readonly ExposureSocket[];
  /** Reports lines and pins that it does not have. */
  check(lineCount: number, report: Report): void;
}

/** Returns the exposures of an aggregator, in the order of preference. */
export function presentExposures(exposures: Exposures): PresentExposure[] {
  const one = <K extends ExposureKey>(key: K): PresentExposure[] => {
    const settings: ExposureSettings[K] | undefined = exposures[key];
    if (settings === undefined) return [];
    const exposure: Exposure<ExposureSettings[K]> = EXPOSURES[key];
    const beside = exposure.controlBeside(settings);
    return [{
      name: exposure.name,
      isAlone: exposure.isAlone === true,
      argument: exposure.argument(settings),
      defaultName: exposure.defaultName(settings),
      controlPath: beside === undefined
        ? undefined
        : defaultControlPath(beside),
      sockets: (lineCount) => exposure.sockets(settings, lineCount),
      check: (lineCount, report) => exposure.check(settings, lineCount, report),
    }];
  };
  return (Object.keys(EXPOSURES) as ExposureKey[]).flatMap(one);
}
