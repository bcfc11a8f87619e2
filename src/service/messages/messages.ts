/**
 * Messages between the main isolate and the reactor. Commands travel to the
 * reactor as frames over a socket pair (a Worker inside `epoll_wait` cannot
 * receive `postMessage`), reports return by `postMessage`.
 *
 * @module
 */
import { isOsError } from "../../../ffi/os_error.ts";
import type { ForceRequest } from "../../aggregator/forces.ts";
import { LineStartError } from "../../aggregator/rules/rule_steps.ts";
import type {
  AggregatorState,
  Line,
  LineChangeState,
  PendingRuleState,
  SERVED_EVENTS,
} from "../../client/protocol.ts";
import type { PlayState, PlayStep } from "../../client/play.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../../config/specification.ts";
import type { KeptFd } from "../restart/manager_fd_store.ts";
import { printableError } from "../../text/printable.ts";

/** Options of making aggregators. */
export interface AddOptions {
  /**
   * Measure the duration of requests; costs two readings of the clock per turn.
   */
  isTimed?: boolean;
  /**
   * If they cannot be served, leave all as it is for the next process, which
   * begins with the same kept descriptors; this one is to hand over then.
   */
  leaves?: boolean;
}

/** Commands of the main isolate to the reactor. */
export type Command =
  /** Makes aggregators and serves them: all, or none. */
  | AddOptions & {
    kind: "add";
    aggregators: AggregatorSpecification[];
    lanes: LaneHandover[];
    /**
     * Fds that an earlier process kept of them. **Ownership**: the reactor's.
     */
    kept?: KeptFd[];
  }
  /** Replaces all interlocks. */
  | { kind: "interlocks"; interlocks: readonly InterlockSpecification[] }
  /** Replaces the rules of aggregators' lines, under their guests. */
  | { kind: "rules"; aggregators: AggregatorSpecification[] }
  /**
   * Removes one aggregator, and its second exposure if `isWhole`: lines as
   * declared, sockets removed.
   */
  | { kind: "remove"; name: string; isWhole: boolean }
  /**
   * Ends guests' use of one aggregator (and its second exposure), or of all,
   * permanently: sockets removed, lines as declared, which is retried. The
   * answer has the lines that are not yet so; a repeated command checks again.
   */
  | { kind: "withdraw"; name?: string; isWhole?: boolean }
  /** Returns the rules that do not hold and are retried. */
  | { kind: "pending" }
  /** Describes what is served, in parts: the one of this name, or all. */
  | { kind: "describe"; name?: string }
  /** Pulls simulated lines of one aggregator: all, or none. */
  | { kind: "pull"; name: string; changes: [line: string, level: 0 | 1][] }
  /** Plays values into simulated lines of one aggregator. */
  | { kind: "play"; name: string; play: PlayCommand }
  /** Holds lines of one aggregator at values, or ends that. */
  | { kind: "force"; name: string; force: ForceCommand }
  /** Starts or stops reports of changed lines. */
  | { kind: "observe"; on: boolean }
  /** Returns the counters, in parts. */
  | { kind: "count" }
  /** The takeover from an earlier process is complete. */
  | { kind: "taken-over" }
  /** The next process goes on: nothing is served any more. */
  | { kind: "hand-over" }
  /** Ends everything: lines to their declared state, sockets removed. */
  | { kind: "shutdown" };

/** Steps of a play; without anything only its state is returned. */
export interface PlayCommand {
  steps?: {
    /** Identifies the play. */
    id: string;
    /** Time 0 of the steps. **Units**: nanoseconds, monotonic. */
    from: number;
    list: readonly PlayStep[];
  };
  /** True to cancel the steps that wait. */
  isCancelled?: boolean;
}

/** Begin or end of forces of lines. */
export interface ForceCommand {
  request?: ForceRequest;
  end?: {
    reason: string;
    /** Absent: all. */
    lines?: readonly string[];
    /** Only those of this request. */
    id?: string;
  };
}

/** A running lane with its lines open. All fds stay the main isolate's. */
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

/** A line with a rule that could not be applied. */
export interface PendingLine extends PendingRuleState {
  aggregator: string;
  line: string;
}

/** A line that is not in its declared state at the end of its aggregator. */
export interface UnsafeLineState {
  aggregator: string;
  lineNumber: number;
  line: string;
  /** Cause as text. */
  reason: string;
  /** False if it stays so until an absent chip returns. */
  isRetried: boolean;
}

/** An aggregator as its reactor knows it: the API knows its lease. */
export type AggregatorDescription = Omit<AggregatorState, "lease">;

/** Changed lines of one aggregator, in their current state. */
export interface LineChanges {
  aggregator: string;
  lines: LineChangeState[];
}

/** Lines whose edges are recorded, by the ids of the record. */
export interface RecordedLines {
  aggregator: string;
  /** Number of the first line in its aggregator. */
  firstLine: number;
  /** Id of the first line; the others follow. */
  firstId: number;
  /** Names in order; empty for a line that has none. */
  names: string[];
  /** States at the beginning, as `edges/record.ts` has them. */
  states: number[];
  /** Time of these states. **Units**: nanoseconds, monotonic. */
  time: number;
}

/** Counters of one aggregator. */
export interface AggregatorCounts {
  name: string;
  connected: boolean;
  /** For people. **Units**: milliseconds since 1970. */
  servedSince: number;
  /**
   * Time since it is served, monotonic: the wall clock may be set.
   * **Units**: milliseconds.
   */
  uptimeMs?: number;
  /** Of a kernel chip: true if it exists. */
  isChipPresent?: boolean;
  /** Of a kernel chip: number of chips that it has lost. */
  lostChips?: number;
  /** Counters; absent for a kernel chip, whose users the kernel serves. */
  guests?: GuestCounts;
}

/** Counters of one aggregator's guests since it is served. */
export interface GuestCounts {
  connections: number;
  /** Starts of guests after the first. */
  respawns: number;
  faults: number;
  /** By kind: events that were suppressed because there were too many. */
  eventsLeftOut: Record<string, number>;
  /** By lineNumber. */
  lines: LineCounts[];
  exposure: ExposureCounts;
}

/** Counters of one line, for all presentations. */
export interface LineCounts {
  name: string;
  /** 1 is active. Absent where it is not known without waiting. */
  value?: number;
  /** True while it is an output. */
  isOutput: boolean;
  /** False while its chip is absent. */
  isPresent: boolean;
  /** Edges by their cause, as `edges/record.ts` numbers them. */
  edges?: readonly number[];
  /**
   * Time for which it was known to be active, if its edges are recorded and its
   * value is known now. **Units**: seconds.
   */
  activeSeconds?: number;
  /** Requests that a rule rejected. */
  refusals: number;
  /** Set while an operator holds it at a value. */
  isForced?: true;
  /** True while a rule that could not be applied is retried. */
  isRulePending: boolean;
  /** Failed attempts to apply rules. */
  ruleFailures: number;
  /** Edges that the kernel dropped, and those that a lane merged into one. */
  lostEdges: number;
  mergedEdges: number;
}

/**
 * Counters of an exposure; see `GpioCounters`, `RequestTimes`, `PinCounters` and
 * `UsbDeviceCounters` for the slots.
 */
export interface ExposureCounts {
  /** Requests by line, kind and result. */
  requests: Float64Array;
  /** Durations of requests; absent if they are not measured. */
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
  /** Of GPIO adapters on USB. */
  usb?: {
    invalid: number;
    overflows: number;
    lostEdges: Float64Array;
  };
}

/** An error on its way to the main isolate. */
export interface ErrorReport {
  message: string;
  hint: string;
  /** True if the user must fix it (exit status 2). */
  isConfig: boolean;
  /** True if a retry may succeed soon: a busy line, a failed write. */
  isTransient: boolean;
}

/** An error that came from another thread. */
export class ReportedError extends Error {
  /** True if a retry may succeed soon. */
  readonly isTransient: boolean;

  /** Makes it from a report. */
  constructor(message: string, isTransient: boolean) {
    super(message);
    this.isTransient = isTransient;
  }
}

/** Refusals that are the same again at a retry. Others are a bus's, or EBUSY. */
const LASTING = [
  "EACCES",
  "EPERM",
  "EINVAL",
  "ENODEV",
  "ENOENT",
  "ENOTDIR",
  "ENXIO",
  "ENOTTY",
  "EOPNOTSUPP",
] as const;

/** Returns true for an error that a retry may not meet. */
function isTransient(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof LineStartError) return true;
    if (isOsError(at)) return !isOsError(at, ...LASTING);
    if (at instanceof ReportedError) return at.isTransient;
  }
  return false;
}

/** Encodes an error for another thread. */
export function errorReport(error: unknown): ErrorReport {
  return {
    message: printableError(error, 4096),
    hint: error instanceof ConfigError ? error.hint : "",
    isConfig: error instanceof ConfigError,
    isTransient: isTransient(error),
  };
}

/** Decodes an error of another thread. */
export function toError(
  { message, hint, isConfig, isTransient }: ErrorReport,
): Error {
  return isConfig
    ? new ConfigError(message, { hint })
    : new ReportedError(message, isTransient);
}

/** Result of a command. */
export interface Answer {
  /** Aggregators that the command was about. */
  aggregators: AggregatorDescription[];
  counts?: AggregatorCounts[];
  pending?: PendingLine[];
  unsafe?: UnsafeLineState[];
  play?: PlayState;
  /** More lines of the last described aggregator. */
  moreLines?: Line[];
  /** More lines of the aggregator whose counters came last. */
  moreLineCounts?: LineCounts[];
}

/** Assembles an answer from its parts, which become part of it. */
export function joinAnswer(parts: readonly Answer[]): Answer {
  const whole: Answer = { aggregators: [] };
  for (
    const part of parts
  ) {
    const { aggregators, counts, pending, unsafe, play } = part;
    const { moreLines, moreLineCounts } = part;
    whole.aggregators.push(...aggregators);
    if (play !== undefined) whole.play = play;
    if (counts !== undefined) (whole.counts ??= []).push(...counts);
    if (pending !== undefined) (whole.pending ??= []).push(...pending);
    if (unsafe !== undefined) (whole.unsafe ??= []).push(...unsafe);
    if (moreLines !== undefined) {
      whole.aggregators.at(-1)!.lines.push(...moreLines);
    }
    if (moreLineCounts !== undefined) {
      whole.counts!.at(-1)!.guests!.lines.push(...moreLineCounts);
    }
  }
  return whole;
}

/** Reports of the reactor to the main isolate. */
export type Report =
  /** The Worker's program is loaded. */
  | { kind: "loaded" }
  /** The reactor runs and accepts commands. */
  | { kind: "ready" }
  /** A kept fd cannot be used, with the reason. */
  | { kind: "problem"; text: string }
  /** The reactor has ended with this error. */
  | { kind: "crashed"; error: ErrorReport }
  /** A part of an answer; `done` or `failed` follows. */
  | { kind: "part"; id: number } & Answer
  | { kind: "done"; id: number } & Answer
  | { kind: "failed"; id: number; error: ErrorReport }
  /** An event of one aggregator. */
  | { kind: "event"; event: ServiceEvent }
  /** Lines changed while changes are observed. */
  | { kind: "changes"; changes: LineChanges }
  /** Edges of these lines are recorded from now on. */
  | { kind: "recorded"; lines: RecordedLines }
  /** Edges of so many lines are not recorded any more. */
  | { kind: "unrecorded"; firstId: number; count: number }
  /** Nothing is left to serve: all given connections have ended. */
  | { kind: "idle" };

/** Event that the operator of the service should know. */
export interface ServiceEvent {
  aggregator: string;
  event: typeof SERVED_EVENTS[number];
  /** Text; empty if the event says it all. */
  detail: string;
  /** Of `unforced`: id of the force. */
  force?: string;
}
