/**
 * Messages between a service and the process that serves one of its aggregators.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../config/specification.ts";
import { LinesHeldError } from "../lanes/lanes.ts";
import {
  type AggregatorDescription,
  type ErrorReport,
  errorReport,
  type LineChanges,
  type RecordedLines,
  type ServiceEvent,
  type UnsafeLineState,
} from "../messages/messages.ts";
import { toError } from "../messages/messages.ts";
import type { RecordMemory } from "../record/record_memory.ts";
import type { ReactorClient } from "../reactor/reactor_client.ts";
import { UnsafeLinesError } from "../messages/unsafe_lines_error.ts";

/** Commands that a service gives to the process of an aggregator. */
export const CALLS = [
  "add",
  "removeWhole",
  "remove",
  "pending",
  "changeRules",
  "setInterlocks",
  "describe",
  "pull",
  "play",
  "force",
  "observe",
  "count",
  "dropUnused",
  "shutdown",
] as const satisfies readonly (keyof ReactorClient)[];

/** The name of a command. */
export type CallName = typeof CALLS[number];

/** A message of the service. */
export type ToProcess =
  /** Always the first message. */
  | {
    kind: "start";
    notifySocket?: string;
    /** Memory for edges, whose fd is attached; absent: they are not recorded. */
    record?: Omit<RecordMemory, "fd">;
  }
  /** Names of the attached fds, which an earlier process kept. */
  | { kind: "kept"; names: readonly string[] }
  | { kind: "call"; id: number; name: CallName; args: unknown[] }
  /** End at once and leave the lines as they are. */
  | { kind: "hand-over" };

/** A message of the process. */
export type FromProcess =
  /** It accepts commands. */
  | { kind: "ready" }
  | { kind: "done"; id: number; result: unknown }
  | { kind: "failed"; id: number; error: TravellingError }
  | { kind: "event"; event: ServiceEvent }
  | { kind: "changes"; changes: LineChanges }
  | { kind: "recorded"; lines: RecordedLines }
  | { kind: "unrecorded"; firstId: number; count: number }
  | { kind: "removed-late"; name: string }
  | { kind: "problem"; text: string };

/** An error, with the fields that the service needs. */
interface TravellingError extends ErrorReport {
  readonly unsafe?: {
    readonly aggregator?: string;
    readonly lines: readonly UnsafeLineState[];
  };
  readonly held?: {
    readonly removed: AggregatorDescription[];
    readonly lines: readonly string[];
  };
}

/** Encodes an error. */
export function packError(error: unknown): TravellingError {
  const report = errorReport(error);
  if (error instanceof UnsafeLinesError) {
    const { aggregator, lines } = error;
    return {
      ...report,
      unsafe: { ...(aggregator === undefined ? {} : { aggregator }), lines },
    };
  }
  if (error instanceof LinesHeldError) {
    const { removed, lines } = error;
    return { ...report, held: { removed, lines } };
  }
  return report;
}

/** Decodes an error. */
export function unpackError(error: TravellingError): Error {
  const { unsafe, held } = error;
  if (unsafe !== undefined) {
    return new UnsafeLinesError(unsafe.aggregator, unsafe.lines);
  }
  if (held !== undefined) return new LinesHeldError(held.removed, held.lines);
  return toError(error);
}

/** Fds of specifications as they travel: by their index among those sent. */
export function packFds(
  aggregators: readonly AggregatorSpecification[],
): { aggregators: AggregatorSpecification[]; fds: number[] } {
  const fds: number[] = [];
  const packed = aggregators.map((aggregator) => {
    const { vhostUser } = aggregator;
    if (vhostUser === undefined || !("fd" in vhostUser)) return aggregator;
    return {
      ...aggregator,
      vhostUser: { ...vhostUser, fd: fds.push(vhostUser.fd) - 1 },
    };
  });
  return { aggregators: packed, fds };
}

/** Inserts the fds' numbers on this side. */
export function unpackFds(
  aggregators: readonly AggregatorSpecification[],
  fds: readonly number[],
): AggregatorSpecification[] {
  return aggregators.map((aggregator) => {
    const { vhostUser } = aggregator;
    if (vhostUser === undefined || !("fd" in vhostUser)) return aggregator;
    const fd = fds[vhostUser.fd];
    if (fd === undefined) throw new RangeError("An fd did not arrive");
    return { ...aggregator, vhostUser: { ...vhostUser, fd } };
  });
}
