/**
 * Messages of the control API of a running service: HTTP and JSON over a unix
 * socket. The service's `/openapi.json` describes them for other languages.
 *
 * @module
 */

import type { EdgeCause, EdgesEvent } from "./edges.ts";
import type { ForcedState } from "./force.ts";

/** File name of the control API's socket in a service's runtime directory. */
export const API_SOCKET_NAME = "api.sock";
/** File name of the control API's look-only socket in the same directory. */
export const LOOK_SOCKET_NAME = "look.sock";

/** Lifetime of an aggregator. */
export type LeaseKind =
  /** To the stream that its creation answered with. */
  | "stream"
  /** To nothing: until it is removed or the service ends. */
  | "none"
  /** To the service's own command line or configuration. */
  | "service";

/** Request to make an aggregator. */
export interface CreateRequest {
  /** Name; also that of its socket, or of its kernel chip. */
  name: string;
  /** Its lines, as `gpioagg serve --line` takes them, in order. */
  lines: string[];
  /** Default: `stream`. */
  lease?: "stream" | "none";
  /**
   * Present it at a vhost-user socket, as without any of these: who may
   * connect there. Default: as the service is set.
   */
  socket?: SocketAccess;
  /**
   * At a vhost-user socket: time for which a driver that is stopped counts as
   * paused, not as gone, such as `10s`; `keep` for no limit. Default: `3s`.
   */
  pausedFor?: string;
  /**
   * `process`: serve it by a process of its own, so that nothing that its VMM
   * does can reach the others. Default: `none`.
   */
  isolate?: "process" | "none";
  /** Present it as a chip of the host's own kernel instead. */
  kernelChip?: KernelChipRequest;
  /** Present it as the pins of a controller inside a QEMU instead. */
  qemuPins?: QemuPinsRequest;
  /** Present it as a PCI card at a vfio-user socket instead. */
  vfioUser?: SocketAccess;
  /** Present it as GPIO adapters on USB, for QEMU's usb-redir, instead. */
  usbredir?: UsbredirRequest;
}

/** New rules of lines; null: as without the rule. */
export interface RuleChangeState {
  /** The only direction, or `any`. */
  direction?: "input" | "output" | "any" | null;
  /** Value at the start. */
  initial?: 0 | 1 | "as-is" | null;
  /** Value while there is no guest, or it is silent. */
  safe?: 0 | 1 | null;
  /** State without a guest. */
  onDisconnect?: "keep" | "safe" | "input" | "release" | null;
  /** Time without a request until the line is safe, such as `10s`. */
  safeAfter?: string | null;
  /** Least time between two changes, such as `200ms`. */
  minInterval?: string | null;
}

/** Request to change rules of an aggregator's lines. */
export interface RulesRequest {
  /** Changes by line name or number. */
  rules: Record<string, RuleChangeState>;
}

/** Settings of a kernel chip: the users of its device node, and more. */
export interface KernelChipRequest extends SocketAccess {
  /**
   * Which of the kernel's interfaces. Default: the first that it has, and that
   * has what the lines need.
   */
  interface?: "configfs" | "sysfs" | "usb";
  /** Model of the USB adapters. Default: `ljca` where the kernel has it. */
  device?: "ljca" | "cp2112";
}

/** GPIO adapters on USB that an aggregator is to be. */
export interface UsbredirRequest extends SocketAccess {
  /** Their model. Default: `ljca`. */
  device?: "ljca" | "cp2112";
  /**
   * Absolute path of a socket that QEMU listens at, to connect to. Default: the
   * service listens at a socket of its own.
   */
  connect?: string;
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

/** Users of a socket's file, or of a device node. */
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
  /** Name that the guest sees; may be empty. */
  name: string;
  /** Source, in words. */
  source: string;
  /** Source as data. */
  origin?: LineOrigin;
  /** Rules that differ from the defaults; absent if there are none. */
  rules?: LineRules;
  /**
   * Lines that exclude this one, as the configuration names them, at most 32 of
   * them: `press.REVERSE`.
   */
  interlocks?: string[];
  /** Cause of the last recorded change; absent if there is none. */
  drivenBy?: EdgeCause;
  /** Time of that change. **Units**: milliseconds since 1970. */
  since?: number;
  /** Which way it goes now. */
  direction: "input" | "output";
  /** 1 is active. Absent where it is not known without waiting. */
  value?: number;
  /** A rule that could not be applied to the line, and is retried. */
  pendingRule?: PendingRuleState;
  /** Set while an operator holds the line at a value. */
  forced?: ForcedState;
}

/** Source of a line as data. */
export interface LineOrigin {
  /** Kind of source; `line-name` is a chip's line by its name. */
  kind: "chip" | "line-name" | "sim" | "wire" | "copy" | "invert" | "const";
  /** Chip, as the SPEC names it. */
  chip?: string;
  /** Number of the line on its chip. */
  offset?: number;
  /** The line's own name on the host. */
  lineName?: string;
  /** Line that this one follows: `crane.READY`. */
  of?: string;
  /** Value of a constant. */
  value?: 0 | 1;
}

/** Rules of a line that differ from the defaults; names are those of a SPEC. */
export interface LineRules {
  /** The only direction. */
  direction?: "input" | "output";
  /** Set if the guest's high is low on the host. */
  activeLow?: true;
  /** Bias of the pin. */
  bias?: "disabled" | "pull-up" | "pull-down";
  /** Drive of the pin. */
  drive?: "push-pull" | "open-drain" | "open-source";
  /** **Units**: microseconds. */
  debounceUs?: number;
  /** Value at the start. */
  initial?: 0 | 1 | "as-is";
  /** Value while there is no guest, or it is silent. */
  safe?: 0 | 1;
  /** State without a guest. */
  onDisconnect?: "safe" | "input" | "release";
  /** Time without a request after which the line is safe. **Units**: microseconds. */
  safeAfterUs?: number;
  /** Least time between two changes. **Units**: microseconds. */
  minIntervalUs?: number;
  /** Set if the host input is shared by several aggregators. */
  shared?: true;
  /** Combination of the values of several aggregators. */
  combine?: "or" | "and";
}

/** A line among those of all aggregators. */
export interface ServiceLine extends Line {
  /** Name of its aggregator. */
  aggregator: string;
}

/** A rule that could not be applied to a line, and is retried. */
export interface PendingRuleState {
  /** The line state that the rule wants: `safe value 0`. */
  rule: string;
  /** Cause of the last failure: `remote I/O error (EREMOTEIO)`. */
  reason: string;
  /** Time of the first failure. **Units**: milliseconds since 1970. */
  since: number;
}

/** One aggregator, as it is now. */
export interface AggregatorState {
  /** Name. */
  name: string;
  /** Lifetime. */
  lease: LeaseKind;
  /** Presentation, in words: `at /run/plc0.sock`. */
  presentation: string;
  /** Its vhost-user socket; absent when it has none in the file system. */
  socketPath?: string;
  /** Its control socket, where `gpioagg sim` connects; absent if it has none. */
  controlPath?: string;
  /** Its chip of the host's kernel, if that is how it is presented. */
  kernelChip?: KernelChipState;
  /** Its place inside a QEMU, if that is how it is presented. */
  qemuPins?: QemuPinsState;
  /** Its PCI card, if that is how it is presented. */
  vfioUser?: VfioUserState;
  /** Its adapters on USB, if that is how it is presented. */
  usbredir?: UsbredirState;
  /**
   * The aggregator that it is the second exposure of; it goes with that one.
   */
  secondOf?: string;
  /**
   * Set while it is being removed, without a guest, and waits only for a line
   * to reach its declared state.
   */
  ending?: true;
  /** Process that serves it, if it has its own (`isolate: process`). */
  pid?: number;
  /** True if a VMM is connected; of a kernel chip: if a line is in use. */
  connected: boolean;
  /** Since when it is there. **Units**: milliseconds since 1970. */
  servedSince?: number;
  /** Since when the VMM is connected. **Units**: milliseconds since 1970. */
  connectedSince?: number;
  /**
   * Since when the guest's driver runs; absent while it does not. **Units**:
   * milliseconds since 1970.
   */
  startedSince?: number;
  /** In lineNumber order. */
  lines: Line[];
}

/** A chip of the host's kernel. */
export interface KernelChipState {
  /** Its device node: `/dev/gpiochip5`. */
  path: string;
  /** The kernel's name for it: `gpio-aggregator.0`. */
  label: string;
  /** False once another process has taken it down. */
  present: boolean;
  /**
   * Chips that it has lost, by name: their lines fail until it is made again.
   */
  lostChips?: string[];
  /** Device nodes, if the lines are in several chips; `path` is the first. */
  paths?: string[];
}

/** Controller inside a QEMU as which an aggregator is presented. */
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

/** PCI card as which an aggregator is presented. */
export interface VfioUserState {
  /** Its vfio-user socket, for a VMM. */
  socketPath: string;
}

/** GPIO adapters on USB as which an aggregator is presented. */
export interface UsbredirState {
  /** A usbredir socket for each adapter, in the order of its lines. */
  sockets: string[];
  /** Model of the adapters. */
  device: "ljca" | "cp2112";
  /** Set if QEMU listens at the sockets, and the service connects. */
  connects?: true;
}

/** A line after a change. */
export interface LineChangeState extends
  Pick<
    Line,
    "lineNumber" | "name" | "direction" | "value" | "pendingRule"
  > {
  /**
   * Times that its value, direction or presence changed since the last event of
   * this line.
   */
  changes: number;
}

/** Events of an aggregator while it is served: its guest, rules and chips. */
export const SERVED_EVENTS = [
  "connected",
  "disconnected",
  "started",
  "stopped",
  // A guest is gone although its VMM is not: the detail has the evidence.
  "gone",
  // A second VMM is connected, and is not served; the detail identifies it.
  "waiting",
  "fault",
  // A rule or the kernel rejected a guest's request: which line, and why.
  "refused",
  // The guest made no request for too long: a line has its safe value.
  "silent",
  // A rule that could not be applied before, which was a fault, holds now.
  "enforced",
  // An operator holds a line at a value, or does not any more.
  "forced",
  "unforced",
  // A line's chip was removed, or has returned.
  "unplugged",
  "plugged",
] as const;

/** Events of an aggregator: its life, and all while it is served. */
export const AGGREGATOR_EVENTS = [
  "created",
  "changed",
  "removed",
  ...SERVED_EVENTS,
] as const;

/** Name of an event of an aggregator. */
export type AggregatorEventName = typeof AGGREGATOR_EVENTS[number];

/**
 * Something that happened in a service. `time` is in milliseconds since 1970.
 */
export type ApiEvent =
  /** First of all: how everything is now. */
  | { event: "snapshot"; time?: number; aggregators: AggregatorState[] }
  | {
    event: AggregatorEventName;
    time?: number;
    aggregator: string;
    detail: string;
  }
  | {
    event: "lines";
    time?: number;
    aggregator: string;
    lines: LineChangeState[];
  }
  /** Edges, if they were asked for. */
  | EdgesEvent
  /** The listener was too slow; so many events or edges are missing here. */
  | { event: "lost"; time?: number; count: number };

/** A line of a lease's stream. */
export type LeaseMessage =
  | {
    aggregator: AggregatorState;
    /**
     * Secret by which the client takes its lease back after a restart of the
     * service; absent where the aggregator ends with the service.
     */
    token?: string;
  }
  | { ended: string };

/** Request to take a lease back after a restart of the service. */
export interface LeaseRequest {
  /** Token of the lease. */
  token: string;
}

/** An error of a configuration file. */
export interface ConfigProblem {
  /** The file. */
  file: string;
  /** First line is 1; 0 if the file could not be read. */
  line: number;
  /** First column is 1; 0 if the file could not be read. */
  column: number;
  /** Keys from the root (`aggregators.plc0.lines[2].safe`). */
  path: string;
  /** Problem, without the position. */
  problem: string;
  /** One line that says what to do; may be empty. */
  hint: string;
}

/** Problem of a request. */
export interface ApiErrorBody {
  /** The problem, and what to do. */
  error: {
    /** Problem, on one line. */
    message: string;
    /** One line that says what to do. */
    hint?: string;
    /**
     * Invalid value, by its path in the request's body (`socket.mode`), or as
     * `--line SPEC`. The message begins with it.
     */
    path?: string;
    /** Errors of the service's configuration file: the first 100. */
    errors?: ConfigProblem[];
  };
}

/** Result of a reload of the service's configuration. */
export interface ReloadState {
  /** Aggregators that are new. */
  added: string[];
  /** Aggregators that are gone. */
  removed: string[];
  /** Aggregators without a guest that were made anew. */
  replaced: string[];
  /** Aggregators that have other rules now, under their guests. */
  changed: string[];
  /** Changes that were refused, and the reasons. */
  refused: { aggregator: string; reasons: string[] }[];
}
