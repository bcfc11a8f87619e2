/**
 * What the user asked for, validated, as plain data that can be handed to
 * another thread. Command line and configuration file both end here.
 *
 * @module
 */
import type { ChipIdentity } from "./chip_identity.ts";
import type { ConfigPlace } from "./config_error.ts";

/** Where a line comes from. */
export type SourceSpecification =
  | {
    kind: "chip";
    /** Name, number, path or label of the chip, or its identity in words. */
    chip: string;
    /** The line's number on its chip. */
    offset: number;
    /** What the chip is known by for good; absent: `chip` says it. */
    identity?: ChipIdentity;
  }
  | {
    kind: "line-name";
    /** The line's own name, on whichever chip it is. */
    lineName: string;
    /** The chip that the line must be on, in words; absent: any. */
    chip?: string;
    identity?: ChipIdentity;
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
    place?: string;
  };

/** A line made of nothing, or of another line. Always an input to its guest. */
export type VirtualSource =
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
  lineNumber?: number;
}

/** A logical value: 0 is inactive, 1 is active. */
export type Value = 0 | 1;

/** What happens to a line when its guest is gone. */
export type OnDisconnect = "keep" | "safe" | "input" | "release";

/** The direction that a guest may give a line. */
export type DirectionRule = "input" | "output" | "any";

/** One line of an aggregator, with its rules. */
export interface LineSpecification {
  /** How the user wrote it; every message about this line quotes it. */
  readonly origin: string;
  /** Where it is written; absent for a command line. */
  readonly place?: ConfigPlace;
  readonly source: SourceSpecification;
  /** The name the guest sees; absent: the source's own name. */
  readonly name?: string;
  readonly direction: DirectionRule;
  readonly activeLow: boolean;
  readonly bias?: "disabled" | "pull-up" | "pull-down";
  readonly drive?: "push-pull" | "open-drain" | "open-source";
  /** **Units**: microseconds; 0 is none. */
  readonly debounceUs: number;
  /** What the line is driven to at start, before any guest. */
  readonly initial?: Value | "as-is";
  /** What the line is driven to when its guest is gone, or silent. */
  readonly safe?: Value;
  readonly onDisconnect: OnDisconnect;
  /**
   * How long the guest may go without any request before the line gets its
   * safe value. **Units**: microseconds.
   */
  readonly safeAfterUs?: number;
  /** Least time between two output changes. **Units**: microseconds. */
  readonly minIntervalUs?: number;
  /** One host input for several aggregators. */
  readonly shared?: true;
  /** One host output for several aggregators: active if any, or all, say so. */
  readonly combine?: "or" | "and";
  /** The chip may be absent at start. */
  readonly optional?: true;
  /** Serve the chip from a thread of its own even if it does not look slow. */
  readonly lane: boolean;
}

/** Lines of which at most one is active at any time. */
export interface InterlockSpecification {
  readonly exclusive: readonly LineReference[];
  readonly place: ConfigPlace;
}

/** One aggregator and where it is presented: just one of the exposures. */
export interface AggregatorSpecification {
  readonly name: string;
  /** Where it is written; absent for a command line. */
  readonly place?: ConfigPlace;
  readonly vhostUser?: VhostUserSpecification;
  readonly qemuPins?: QemuPinsSpecification;
  readonly kernelChip?: KernelChipSpecification;
  /** Its control socket; absent: as its exposure has it. */
  readonly control?: ControlSpecification;
  /**
   * The aggregator whose second exposure this is: its lines are copies of that
   * one's. Made by the program, of an aggregator that is presented twice.
   */
  readonly secondOf?: string;
  /** In lineNumber order. */
  readonly lines: readonly LineSpecification[];
}

/** A whole configuration file. */
export interface Specification {
  readonly aggregators: readonly AggregatorSpecification[];
  readonly interlocks: readonly InterlockSpecification[];
  readonly api?: ApiSpecification;
}

/** The control API of a service, as far as it is said. */
export interface ApiSpecification {
  /** Where things may be changed. */
  readonly socket?: FilePlace;
  /** Where one may only look. */
  readonly look?: FilePlace;
  /** The directory for sockets of aggregators that clients make. */
  readonly sockets?: FilePlace;
  /** The file that changes are written to. */
  readonly auditLog?: string;
}

/** A file or directory, and who may use it or what is made in it. */
export interface FilePlace {
  path: string;
  access: FileAccess;
}

/** A control socket that is not as the exposure has it. */
export interface ControlSpecification {
  /** Absent: beside the exposure's socket. */
  path?: string;
  /** What it says wins over who may use the exposure's socket. */
  access: FileAccess;
}

/** A vhost-user exposure: a socket to listen at, or one that is open already. */
export type VhostUserSpecification =
  | { socketPath: string; access?: FileAccess }
  /** **Ownership**: the reactor takes the fd over. */
  | { fd: number };

/** Who may do what with a file that is made: all absent means the default. */
export interface FileAccess {
  /** Permission bits. */
  mode?: number;
  /** User name or number. */
  owner?: string;
  /** Group name or number. */
  group?: string;
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
  index?: number;
  /** The controller's pin of each lineNumber; absent: pin n is line n. */
  pins?: readonly QemuPin[];
}

/** One pin of an emulated controller and the line behind it. */
export interface QemuPin {
  pin: number;
  /** The pin's name, where it was called by that: `gpioB0`. */
  name?: string;
  lineNumber: number;
}

/** An exposure as a chip of the host's own kernel. */
export interface KernelChipSpecification {
  /** Which of the driver's interfaces; absent: the better one. */
  interface?: "configfs" | "sysfs";
  /** Who may use the chip's device node. */
  access?: FileAccess;
}

/** Where the control socket of an exposure stands, if nothing else is said. */
export function controlPathOf(socketPath: string): string {
  return `${socketPath}.control`;
}

/** Most lines of an aggregator: virtio-gpio counts them in 16 bits. */
export const MAX_LINES = 65535;
/** Most lines that the kernel's own aggregator takes. */
export const MAX_KERNEL_CHIP_LINES = 512;
/** Longest line name: what the GPIO uAPI can show. */
export const MAX_NAME_LENGTH = 31;

/** Why a line of a kernel chip cannot have this name; undefined if it can. */
export function kernelNameProblem(
  name: string,
): { problem: string; hint: string } | undefined {
  return name === name.trim() ? undefined : {
    problem: "a kernel chip cannot have blanks at the ends of a name",
    hint: "The kernel would cut them off",
  };
}

/** What messages about a line call it: where it is written, or its SPEC. */
export function lineTitle(line: LineSpecification): string {
  if (line.place === undefined) return `--line ${line.origin}`;
  const { file, line: row, column, path } = line.place;
  return `${file}:${row}:${column}: ${path}`;
}
