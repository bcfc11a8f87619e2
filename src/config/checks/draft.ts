/**
 * Aggregators and lines as they are written: the specification so far, and
 * where each part of it stands, for the checks that look at several at once.
 *
 * @module
 */
import type { RecordSpecification } from "../specification.ts";
import type { ConfigPosition } from "../document/config_error.ts";
import type {
  AggregatorSpecification,
  ApiSpecification,
  LineSpecification,
} from "../specification.ts";

/** A line with where its parts stand. */
export interface DraftLine {
  /** References in it are what the user wrote until they are resolved. */
  line: LineSpecification;
  /** Position of the whole entry. */
  readonly position: ConfigPosition;
  /** Places of its keys; a SPEC's keys stand where the SPEC does. */
  readonly keys: ReadonlyMap<string, ConfigPosition>;
  /** Places of the keys' values. */
  readonly values: ReadonlyMap<string, ConfigPosition>;
  /** True if all of its rules were understood and agree. */
  readonly isSound: boolean;
}

/** An aggregator with where its parts stand. */
export interface DraftAggregator {
  readonly name: string;
  /** Position of its name. */
  readonly position: ConfigPosition;
  /** Places of its keys, `vhost-user` and the like. */
  readonly positions: ReadonlyMap<string, ConfigPosition>;
  readonly exposure: Pick<
    AggregatorSpecification,
    | "vhostUser"
    | "qemuPins"
    | "vfioUser"
    | "usbredir"
    | "kernelChip"
    | "control"
    | "pausedForUs"
    | "pollUs"
    | "pollShare"
    | "isolate"
  >;
  readonly lines: readonly DraftLine[];
  /** True if all of its lines were understood. */
  readonly isComplete: boolean;
}

/** A control API with where its parts stand. */
export interface DraftApi {
  readonly specification: ApiSpecification;
  readonly positions: ReadonlyMap<string, ConfigPosition>;
}

/** An interlock before its lines are looked up. */
export interface DraftInterlock {
  /** The aggregator that it stands in; empty for none. */
  readonly aggregator: string;
  readonly position: ConfigPosition;
  readonly exclusive: readonly { value: string; position: ConfigPosition }[];
}

/** A configuration before the checks that look at several lines at once. */
export interface DraftConfig {
  readonly aggregators: readonly DraftAggregator[];
  readonly interlocks: readonly DraftInterlock[];
  /** Aggregators that were named but not understood. */
  readonly brokenAggregators: ReadonlySet<string>;
  readonly api?: DraftApi;
  readonly record?: RecordSpecification;
}

/** The position of an aggregator's key, or of its name. */
export function positionIn(
  { positions, position }: DraftAggregator,
  key: string,
): ConfigPosition {
  return positions.get(key) ?? position;
}

/** The position of a line's key, or of the whole line. */
export function keyPosition(line: DraftLine, key: string): ConfigPosition {
  return line.keys.get(key) ?? line.position;
}

/** The position of the value of a line's key, or of the whole line. */
export function valuePosition(line: DraftLine, key: string): ConfigPosition {
  return line.values.get(key) ?? line.position;
}

/** A position, for a sentence. */
export function where({ line, path }: ConfigPosition): string {
  return line > 0 ? `in line ${line} (${path})` : `by ${path}`;
}
