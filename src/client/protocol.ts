/**
 * What goes over the control API of a running service: HTTP and JSON over a
 * unix socket. The service's `/openapi.json` says the same to other languages.
 *
 * @module
 */

/** The path of the control API in a runtime directory. */
export const API_SOCKET_NAME = "api.sock";

/** What ties an aggregator's life to something. */
export type LeaseKind =
  /** To the stream that its creation answered with. */
  | "stream"
  /** To nothing: until it is removed or the service ends. */
  | "none"
  /** To the service's own command line or configuration. */
  | "service";

/** What a client asks for when it makes an aggregator. */
export interface CreateRequest {
  /** What it is called; also the name of its socket, or of its kernel chip. */
  name: string;
  /** Its lines, as `gpioagg serve --line` takes them, in order. */
  lines: string[];
  /** Default: `stream`. */
  lease?: "stream" | "none";
  /**
   * Present it at a vhost-user socket, as without any of these three: who may
   * connect there. Default: as the service is set.
   */
  socket?: SocketAccess;
  /** Present it as a chip of the host's own kernel instead. */
  kernelChip?: KernelChipRequest;
  /** Present it as the pins of a controller inside a QEMU instead. */
  qemuPins?: QemuPinsRequest;
}

/** What is wanted of a kernel chip: who may use its device node, and more. */
export interface KernelChipRequest extends SocketAccess {
  /** Which of the kernel driver's interfaces. Default: the better one. */
  interface?: "configfs" | "sysfs";
}

/** Which pins an aggregator is to be. */
export interface QemuPinsRequest {
  /** Absolute path of QEMU's qtest socket. */
  qtest: string;
  /** Absolute path of QEMU's QMP socket. */
  qmp: string;
  /** A QOM type, or a QOM path. Default: `pl061`. */
  device?: string;
  /** Which of several devices of that type, from 0. */
  index?: number;
  /** Pin number to line name. Default: pin 0 is the first line, and so on. */
  pins?: Record<string, string>;
}

/** Who may use a socket's file, or a device node. */
export interface SocketAccess {
  /** Octal digits: `660`. */
  mode?: string;
  /** User name or number. */
  owner?: string;
  /** Group name or number. */
  group?: string;
}

/** One line, as it is now. */
export interface Line {
  /** Its number, as the guest counts. */
  lineNumber: number;
  /** What the guest calls it; may be empty. */
  name: string;
  /** Where it comes from, in words. */
  source: string;
  /** Which way it goes now. */
  direction: "input" | "output";
  /** 1 is active. Absent where it is not known without waiting. */
  value?: number;
}

/** One aggregator, as it is now. */
export interface AggregatorState {
  /** What it is called. */
  name: string;
  /** What its life is tied to. */
  lease: LeaseKind;
  /** How it is presented, in words: `at /run/plc0.sock`. */
  presentation: string;
  /** Its vhost-user socket; absent when it has none in the file system. */
  socketPath?: string;
  /** Its chip of the host's kernel, if that is how it is presented. */
  kernelChip?: KernelChipState;
  /** Its place inside a QEMU, if that is how it is presented. */
  qemuPins?: QemuPinsState;
  /** The aggregator that it is the second exposure of; it goes with that one. */
  secondOf?: string;
  /** Whether a VMM is connected; of a kernel chip: whether a line is in use. */
  connected: boolean;
  /** Since when it is there. **Units**: milliseconds since 1970. */
  servedSince?: number;
  /** Since when the VMM is connected. **Units**: milliseconds since 1970. */
  connectedSince?: number;
  /** In lineNumber order. */
  lines: Line[];
}

/** A chip of the host's kernel. */
export interface KernelChipState {
  /** Its device node: `/dev/gpiochip5`. */
  path: string;
  /** The kernel's name for it: `gpio-aggregator.0`. */
  label: string;
  /** False once somebody else has taken it down. */
  present: boolean;
}

/** Where in which QEMU an aggregator is presented. */
export interface QemuPinsState {
  /** QEMU's qtest socket. */
  qtest: string;
  /** QEMU's QMP socket. */
  qmp: string;
  /** A QOM type, or a QOM path. */
  device: string;
  /** Which of several devices of that type. */
  index?: number;
}

/** A line after a change. */
export interface LineChangeState extends Omit<Line, "source"> {
  /**
   * Edges, and times that its guest or a rule set it, since the last event of
   * this line; what was set may be what was there.
   */
  changes: number;
}

/** Something that happened in a service. */
export type ApiEvent =
  /** First of all: how everything is now. */
  | { event: "snapshot"; aggregators: AggregatorState[] }
  | { event: "created" | "removed"; aggregator: string; detail: string }
  | {
    event:
      | "connected"
      | "disconnected"
      | "started"
      | "stopped"
      | "fault"
      | "refused"
      | "silent"
      | "unplugged"
      | "plugged";
    aggregator: string;
    detail: string;
  }
  | { event: "lines"; aggregator: string; lines: LineChangeState[] }
  /** The listener was too slow; so many events are missing here. */
  | { event: "lost"; count: number };

/** A line of a lease's stream. */
export type LeaseMessage =
  | { aggregator: AggregatorState }
  | { ended: string };

/** What was wrong with a request. */
export interface ApiErrorBody {
  /** The problem, and where one exists, what to do. */
  error: { message: string; hint?: string };
}

/** What a reload of the service's configuration did. */
export interface ReloadState {
  /** Aggregators that are new. */
  added: string[];
  /** Aggregators that are gone. */
  removed: string[];
  /** Aggregators without a guest that were made anew. */
  replaced: string[];
  /** Aggregators that have other rules now, under their guests. */
  changed: string[];
  /** What was not done, and why. */
  refused: { aggregator: string; reasons: string[] }[];
}
