/**
 * What the main isolate and the reactor say to each other. Commands travel to
 * the reactor as frames over a socket pair (a Worker inside `epoll_wait`
 * cannot receive `postMessage`), reports come back by `postMessage`.
 *
 * @module
 */
import type { KernelChipState, QemuPinsState } from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../config/specification.ts";
import type { KeptFd } from "./fd_store.ts";

/** What the main isolate asks of the reactor. */
export type Command =
  /** Makes aggregators and serves them: all, or none. */
  | {
    kind: "add";
    aggregators: AggregatorSpecification[];
    lanes: LaneHandover[];
    /** What an earlier process kept of them. **Ownership**: the reactor's. */
    kept?: KeptFd[];
    /** Measure how long requests take; costs two looks at the clock per turn. */
    isTimed?: boolean;
  }
  /** Has these interlocks from now on, and no others. */
  | { kind: "interlocks"; interlocks: readonly InterlockSpecification[] }
  /** Gives the lines of aggregators other rules, under their guests. */
  | { kind: "rules"; aggregators: AggregatorSpecification[] }
  /**
   * Ends one aggregator, and its second exposure if that is meant too: lines
   * as declared, sockets removed.
   */
  | { kind: "remove"; name: string; isWhole: boolean }
  /**
   * Tells what is served: the one of this name, or all, as far as one turn goes.
   * `after` is what the answer before it had as `more`.
   */
  | { kind: "describe"; name?: string; after?: number }
  /** Pulls simulated lines of one aggregator: all, or none. */
  | { kind: "pull"; name: string; changes: [line: string, level: 0 | 1][] }
  /** Begins or ends telling of changed lines. */
  | { kind: "observe"; on: boolean }
  /** Tells what was counted, as far as one turn goes. */
  | { kind: "count"; after?: number }
  /** All that an earlier process kept is taken over: it is as ever. */
  | { kind: "taken-over" }
  /** Ends everything: lines to their declared state, sockets removed. */
  | { kind: "shutdown" };

/** A lane that runs, with its lines open. All fds stay the main isolate's. */
export interface LaneHandover {
  memoryFd: number;
  memoryBytes: number;
  wakeFd: number;
  doneFd: number;
}

/** One framed command. */
export interface CommandFrame {
  /** Repeated in the answer. */
  id: number;
  command: Command;
}

/** One line of a served aggregator, as told to people. */
export interface LineDescription {
  lineNumber: number;
  name: string;
  /** Where it comes from, in words. */
  source: string;
  direction: "input" | "output";
  /** Absent where it is not known without waiting. */
  value?: number;
}

/** A served aggregator, as told to people. */
export interface AggregatorDescription {
  name: string;
  /** How it is presented, in words: `at /run/plc0.sock`. */
  presentation: string;
  /** Its vhost-user socket; absent when it has none in the file system. */
  socketPath?: string;
  /** Its chip of the host's kernel, if it is one. */
  kernelChip?: KernelChipState;
  /** Which pins it is, if it is any. */
  qemuPins?: QemuPinsState;
  /** The aggregator that it is the second exposure of; it goes with that one. */
  secondOf?: string;
  /** Whether a VMM is there; of a kernel chip: whether a line is in use. */
  connected: boolean;
  /** **Units**: milliseconds since 1970. */
  servedSince?: number;
  /** Since when the VMM is connected. **Units**: milliseconds since 1970. */
  connectedSince?: number;
  lines: LineDescription[];
}

/** Lines of one aggregator that changed, as they are by now. */
export interface LineChanges {
  aggregator: string;
  lines: LineChange[];
}

/** One line after a change. */
export interface LineChange extends Omit<LineDescription, "source"> {
  /** How many changes there were since the last report of this line. */
  changes: number;
}

/** What is known of one aggregator in numbers. */
export interface AggregatorCounts {
  name: string;
  connected: boolean;
  /** For people. **Units**: milliseconds since 1970. */
  servedSince: number;
  /**
   * How long it is served: clocks that people read may be set in between.
   * **Units**: milliseconds.
   */
  uptimeMs?: number;
  /** Of a kernel chip: whether it is there. */
  isChipPresent?: boolean;
  /** What was counted; absent for a kernel chip, whose users the kernel serves. */
  guests?: GuestCounts;
}

/** What was counted of one aggregator's guests, ever since it is served. */
export interface GuestCounts {
  connections: number;
  faults: number;
  /** By kind: events that were not told, since there were too many. */
  eventsLeftOut: Record<string, number>;
  /** By lineNumber. */
  lines: LineCounts[];
  exposure: ExposureCounts;
}

/** What was counted of one line, however it is presented. */
export interface LineCounts {
  name: string;
  /** Requests that a rule refused. */
  refusals: number;
  /** Edges that the kernel dropped, and that a lane told as one. */
  lostEdges: number;
  mergedEdges: number;
}

/**
 * What an exposure counted; see `GpioCounters`, `RequestTimes` and
 * `PinCounters` for the slots.
 */
export interface ExposureCounts {
  /** Requests by line, kind and result. */
  requests: Float64Array;
  /** How long they took; absent if that is not measured. */
  durations?: { buckets: Float64Array; sums: Float64Array };
  /** Of a virtio-gpio device. */
  device?: {
    unattributed: Float64Array;
    events: Float64Array;
    refusedChains: Float64Array;
  };
  /** Of pins inside QEMU. */
  pins?: {
    resets: number;
    reports: number;
    levels: Float64Array;
    lostLevels: Float64Array;
    lostRequests: Float64Array;
  };
}

/** An error on its way to the main isolate. */
export interface ErrorReport {
  message: string;
  hint: string;
  /** Whether it is the user's to mend (exit status 2). */
  isConfig: boolean;
}

/** Packs an error for the way between threads. */
export function errorReport(error: unknown): ErrorReport {
  return {
    message: error instanceof Error ? error.message : String(error),
    hint: error instanceof ConfigError ? error.hint : "",
    isConfig: error instanceof ConfigError,
  };
}

/** Unpacks an error after the way between threads. */
export function errorOf({ message, hint, isConfig }: ErrorReport): Error {
  return isConfig ? new ConfigError(message, { hint }) : new Error(message);
}

/** What a command led to. */
export interface Answer {
  /** Those that the command was about. */
  aggregators: AggregatorDescription[];
  counts?: AggregatorCounts[];
  /** There are more: what to ask for next. */
  more?: number;
}

/** What the reactor tells the main isolate. */
export type Report =
  /** The reactor runs and takes commands. */
  | { kind: "ready" }
  /** What an earlier process kept is of no use, and why. */
  | { kind: "problem"; text: string }
  | { kind: "done"; id: number } & Answer
  | { kind: "failed"; id: number; error: ErrorReport }
  /** Something that happened to one aggregator. */
  | { kind: "event"; event: ServiceEvent }
  /** Lines changed, and somebody observes. */
  | { kind: "changes"; changes: LineChanges }
  /** Nothing is left to serve: the connections that were given are over. */
  | { kind: "idle" };

/** Something a person who runs the service wants to know. */
export interface ServiceEvent {
  aggregator: string;
  event:
    | "connected"
    | "disconnected"
    | "started"
    | "stopped"
    | "fault"
    /** A rule refused what the guest asked; `detail` says which line and why. */
    | "refused"
    /** The guest said nothing for too long: a line got its safe value. */
    | "silent"
    /** A line's chip went. */
    | "unplugged"
    /** A line's chip came, and the line works again. */
    | "plugged";
  /** In words; empty when the event says it all. */
  detail: string;
}
