/**
 * Validated settings of the user, as plain data that can be handed to another
 * thread. Command line and configuration file both end here.
 *
 * @module
 */
import type { ChipProperties } from "../gpio/chip_properties.ts";
import type { Value } from "../line/value.ts";
import {
  LINES_PER_ADAPTER,
  splitLines,
  type UsbModel,
} from "../usb/core/models.ts";
import type { ConfigPosition } from "./document/config_error.ts";

/** Source of a line. */
export type SourceSpecification =
  | {
    kind: "chip";
    /** Name, number, path or label of the chip, or its identity in words. */
    chip: string;
    /** The line's number on its chip. */
    offset: number;
    /** Stable identity of the chip; absent: `chip` says it. */
    identity?: ChipProperties | undefined;
    /** An API client's: only chips below `/dev`, and no word of other files. */
    devicesOnly?: true | undefined;
  }
  | {
    kind: "line-name";
    /** The line's own name, on whichever chip it is. */
    lineName: string;
    /** The chip that the line must be on, in words; absent: any. */
    chip?: string | undefined;
    identity?: ChipProperties | undefined;
    /** As for a chip's line. */
    devicesOnly?: true | undefined;
  }
  | { kind: "sim" }
  /** An input without hardware. */
  | VirtualSource
  /** A chip's line that a lane has; made by the daemon, never by the user. */
  | {
    kind: "lane";
    /** Which lane of those handed over with the aggregators. */
    lane: number;
    slot: number;
    name: string;
    description: string;
    /** The host line in words, the same for the same line; absent: unknown. */
    hostLine?: string | undefined;
    /** Names of the line in references, from its source before. */
    knownAs?: readonly string[] | undefined;
    /** Its source before, for reports. */
    origin?: SourceSpecification | undefined;
  };

/** A line made of nothing, or of another line. Always an input to its guest. */
type VirtualSource =
  /** Follows another line while that one is an output, else its own bias. */
  | { kind: "wire"; to: LineReference }
  /** Always this value. */
  | { kind: "const"; value: Value }
  /** The value of another line, whichever its direction. */
  | { kind: "copy"; of: LineReference }
  /** The opposite of another line. */
  | { kind: "invert"; of: LineReference };

/** One line of an aggregator, by the names that the user gave both. */
export interface LineReference {
  aggregator: string;
  line: string;
  /** Its lineNumber, which then says which one; the name is for people. */
  lineNumber?: number | undefined;
}

/** Rule for a line whose guest is gone. */
export type OnDisconnect = "keep" | "safe" | "input" | "release";

/** The direction that a guest may give a line. */
export type DirectionRule = "input" | "output" | "any";

/** One line of an aggregator, with its rules. */
export interface LineSpecification {
  /** Text of the user; every message about this line quotes it. */
  readonly origin: string;
  /** Position where it is written; absent for a command line. */
  readonly position?: ConfigPosition | undefined;
  readonly source: SourceSpecification;
  /** The name the guest sees; absent: the source's own name. */
  readonly name?: string | undefined;
  readonly direction: DirectionRule;
  readonly activeLow: boolean;
  readonly bias?: "disabled" | "pull-up" | "pull-down" | undefined;
  readonly drive?: "push-pull" | "open-drain" | "open-source" | undefined;
  /** **Units**: microseconds; 0 is none. */
  readonly debounceUs: number;
  /** Value that the line is driven to at start, before any guest. */
  readonly initial?: Value | "as-is" | undefined;
  /** Value that the line is driven to when its guest is gone, or silent. */
  readonly safe?: Value | undefined;
  readonly onDisconnect: OnDisconnect;
  /**
   * Time that the guest may go without any request before the line gets its
   * safe value. **Units**: microseconds.
   */
  readonly safeAfterUs?: number | undefined;
  /** Least time between two output changes. **Units**: microseconds. */
  readonly minIntervalUs?: number | undefined;
  /** One host input for several aggregators. */
  readonly shared?: true | undefined;
  /** One host output for several aggregators: active if any, or all, say so. */
  readonly combine?: "or" | "and" | undefined;
  /** The chip may be absent at start. */
  readonly optional?: true | undefined;
  /** Serve the chip from a thread of its own even if it does not look slow. */
  readonly lane: boolean;
}

/** Lines of which at most one is active at any time. */
export interface InterlockSpecification {
  readonly exclusive: readonly LineReference[];
  readonly position: ConfigPosition;
}

/** One aggregator and where it is presented: just one of the exposures. */
export interface AggregatorSpecification {
  readonly name: string;
  /** Position where it is written; absent for a command line. */
  readonly position?: ConfigPosition | undefined;
  readonly vhostUser?: VhostUserSpecification | undefined;
  readonly qemuPins?: QemuPinsSpecification | undefined;
  readonly vfioUser?: VfioUserSpecification | undefined;
  readonly usbredir?: UsbredirSpecification | undefined;
  readonly kernelChip?: KernelChipSpecification | undefined;
  /** Its control socket; absent: as its exposure has it. */
  readonly control?: ControlSpecification | undefined;
  /**
   * Time for which a vhost-user driver that is stopped counts as paused, not as
   * gone; absent: 3 s. **Units**: microseconds.
   */
  readonly pausedForUs?: number | "keep" | undefined;
  /**
   * Time for which a vhost-user guest's rings are looked at after a request,
   * instead of waiting for its kicks; absent: not at all. **Units**: microseconds.
   */
  readonly pollUs?: number | undefined;
  /** Part of a CPU that this takes at most; absent: half. **Units**: percent. */
  readonly pollShare?: number | undefined;
  /** Served by a process of its own; absent: by the service's. */
  readonly isolate?: "process" | undefined;
  /**
   * The aggregator whose second exposure this is: its lines are copies of that
   * one's. Made by the program, of an aggregator that is presented twice.
   */
  readonly secondOf?: string | undefined;
  /** In lineNumber order. */
  readonly lines: readonly LineSpecification[];
}

/** A whole configuration file. */
export interface Specification {
  readonly aggregators: readonly AggregatorSpecification[];
  readonly interlocks: readonly InterlockSpecification[];
  readonly api?: ApiSpecification | undefined;
  readonly record?: RecordSpecification | undefined;
}

/** Record of the edges of a service's lines. */
export interface RecordSpecification {
  /**
   * Edges that each process of the service keeps; 0: none are recorded; absent:
   * one million. **Units**: 16 bytes each.
   */
  readonly keep?: number;
  /** True to record inputs that their guests do not watch. */
  readonly withInputs: boolean;
  /** File that edges are written to. */
  readonly file?: RecordFileSpecification;
}

/** File of edges. */
interface RecordFileSpecification {
  /** Absolute. The older edges are in a file beside it, `PATH.1`. */
  readonly path: string;
  /** Size limit of both together. **Units**: bytes. */
  readonly size: number;
}

/** The control API of a service; absent parts have defaults. */
export interface ApiSpecification {
  /** Socket for changes. */
  readonly socket?: SocketFile | undefined;
  /** Look-only socket. */
  readonly look?: SocketFile | undefined;
  /** The directory for sockets of aggregators that clients make. */
  readonly sockets?: SocketFile | undefined;
  /** Directories of QEMU sockets that clients may name. */
  readonly qemuSockets?: readonly string[] | undefined;
  /** The file that changes are written to. */
  readonly auditLog?: string | undefined;
}

/** A file or directory, and the access to it or to what is made in it. */
export interface SocketFile {
  path: string;
  access: FileAccess;
}

/** A control socket that is not as the exposure has it. */
export interface ControlSpecification {
  /** Absent: beside the exposure's socket. */
  path?: string | undefined;
  /** Access; it takes precedence over that of the exposure's socket. */
  access: FileAccess;
}

/** A vhost-user exposure: a socket to listen at, or one that is open already. */
export type VhostUserSpecification =
  | VfioUserSpecification
  /** **Ownership**: the reactor takes the fd over. */
  | { fd: number };

/** A PCI card behind a vfio-user socket to listen at. */
export interface VfioUserSpecification {
  socketPath: string;
  access?: FileAccess | undefined;
}

/** GPIO adapters on USB that QEMU carries to its guest (usb-redir). */
export interface UsbredirSpecification {
  /** Socket of the first adapter; see {@linkcode usbredirSockets}. */
  socketPath: string;
  /** Set if QEMU listens there, and this process connects. */
  connects?: true | undefined;
  device: UsbModel;
  /** Access to the sockets that this process makes. */
  access?: FileAccess | undefined;
  /**
   * Set if the host is this machine's own kernel, over USB/IP: the serial number
   * of the first adapter. Made by the program, of a kernel chip.
   */
  serial?: string | undefined;
  /**
   * Directories that QEMU's sockets must lie in, if an API client named them;
   * absent: an administrator did.
   */
  allowed?: readonly string[] | undefined;
}

/** Access to a file that is made: all absent means the default. */
export interface FileAccess {
  /** Permission bits. */
  mode?: number | undefined;
  /** User name or number. */
  owner?: string | undefined;
  /** Group name or number. */
  group?: string | undefined;
}

/** An exposure as the pins of a controller that QEMU emulates. */
export interface QemuPinsSpecification {
  /** Path of QEMU's qtest socket. */
  qtest: string;
  /** Path of QEMU's QMP socket. */
  qmp: string;
  /** `pl061`, a QOM type, or a QOM path that begins with a slash. */
  device: string;
  /** Which of several devices of that type; absent: there must be just one. */
  index?: number | undefined;
  /**
   * Directories that the sockets must lie in, if an API client named them;
   * absent: an administrator did.
   */
  allowed?: readonly string[] | undefined;
  /** The controller's pin of each lineNumber; absent: pin n is line n. */
  pins?: readonly QemuPin[] | undefined;
}

/** One pin of an emulated controller and the line behind it. */
export interface QemuPin {
  pin: number;
  /** The pin's name, where it was called by that: `gpioB0`. */
  name?: string | undefined;
  lineNumber: number;
}

/**
 * Ways to a chip of the host's own kernel: the two interfaces of its
 * gpio-aggregator, or its drivers of USB adapters.
 */
export type KernelInterface = "configfs" | "sysfs" | "usb";

/** An exposure as a chip of the host's own kernel. */
export interface KernelChipSpecification {
  /**
   * Which of the kernel's interfaces; absent: the first that it has and that has
   * what the lines need.
   */
  interface?: KernelInterface | undefined;
  /** Model of the USB adapters; absent: the better one. */
  device?: UsbModel | undefined;
  /**
   * The USB host controller's `attach`, open for writing, which this process
   * inherited; absent: it opens the file.
   */
  attachFd?: number | undefined;
  /** Access to the chip's device node. */
  access?: FileAccess | undefined;
}

/** Returns the default path of the control socket of an exposure. */
export function defaultControlPath(socketPath: string): string {
  return `${socketPath}.control`;
}

/** Most lines of an aggregator: virtio-gpio counts them in 16 bits. */
export const MAX_LINES = 65535;
/** Most lines of a PCI card: the pins of an ML7213 IOH. */
export const MAX_CARD_LINES = 109;
/** Most lines of GPIO adapters on USB: of one LJCA, or of eight CP2112. */
export const MAX_USB_LINES: number = LINES_PER_ADAPTER.ljca;
/** Most lines that the kernel's own aggregator takes. */
export const MAX_KERNEL_CHIP_LINES = 512;
/** Longest line name: what the GPIO uAPI can show. */
export const MAX_NAME_LENGTH = 31;

/**
 * Returns the sockets of an aggregator's USB adapters, in the order of its
 * lines: an LJCA has all lines, a CP2112 eight of them. The first socket has
 * the path that was given; `.1`, `.2` and so on follow it for others.
 */
export function usbredirSockets(
  { socketPath, device }: UsbredirSpecification,
  lineCount: number,
): string[] {
  return splitLines(device, Math.max(lineCount, 1))
    .map((_, i) => i === 0 ? socketPath : `${socketPath}.${i}`);
}

/** Why a line of a kernel chip cannot have this name; undefined if it can. */
export function kernelNameProblem(
  name: string,
): { problem: string; hint: string } | undefined {
  return name === name.trim() ? undefined : {
    problem: "a kernel chip cannot have blanks at the ends of a name",
    hint: "The kernel would cut them off",
  };
}

/** Returns the position of a line as errors take it. */
export function linePosition(
  { position, origin }: LineSpecification,
): Partial<ConfigPosition> {
  return position ?? { path: `--line ${origin}` };
}

/**
 * Returns the title of a line in messages: where it is written, or its SPEC.
 */
export function lineTitle(line: LineSpecification): string {
  if (line.position === undefined) return `--line ${line.origin}`;
  const { file, line: row, column, path } = line.position;
  return `${file}:${row}:${column}: ${path}`;
}
