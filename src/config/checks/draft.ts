/**
 * Aggregators and lines as they are written: the specification so far, and
 * where each part of it stands, for the checks that look at several at once.
 *
 * @module
 */
import type { ConfigPlace } from "../document/config_error.ts";
import type {
  AggregatorSpecification,
  ApiSpecification,
  LineSpecification,
} from "../specification.ts";

/** A line with where its parts stand. */
export interface WrittenLine {
  /** References in it are what the user wrote until they are resolved. */
  line: LineSpecification;
  /** Place of the whole entry. */
  readonly place: ConfigPlace;
  /** Places of its keys; a SPEC's keys stand where the SPEC does. */
  readonly keys: ReadonlyMap<string, ConfigPlace>;
  /** Places of the keys' values. */
  readonly values: ReadonlyMap<string, ConfigPlace>;
  /** True if all of its rules were understood and agree. */
  readonly isSound: boolean;
}

/** An aggregator with where its parts stand. */
export interface WrittenAggregator {
  readonly name: string;
  /** Place of its name. */
  readonly place: ConfigPlace;
  /** Places of its keys, `vhost-user` and the like. */
  readonly places: ReadonlyMap<string, ConfigPlace>;
  readonly exposure: Pick<
    AggregatorSpecification,
    | "vhostUser"
    | "qemuPins"
    | "vfioUser"
    | "usbredir"
    | "kernelChip"
    | "control"
    | "pausedForUs"
    | "isolate"
  >;
  readonly lines: readonly WrittenLine[];
  /** True if all of its lines were understood. */
  readonly isComplete: boolean;
}

/** A control API with where its parts stand. */
export interface WrittenApi {
  readonly specification: ApiSpecification;
  readonly places: ReadonlyMap<string, ConfigPlace>;
}

/** An interlock before its lines are looked up. */
export interface WrittenInterlock {
  /** The aggregator that it stands in; empty for none. */
  readonly aggregator: string;
  readonly place: ConfigPlace;
  readonly exclusive: readonly { value: string; place: ConfigPlace }[];
}

/** A configuration before the checks that look at several lines at once. */
export interface WrittenConfig {
  readonly aggregators: readonly WrittenAggregator[];
  readonly interlocks: readonly WrittenInterlock[];
  /** Aggregators that were named but not understood. */
  readonly brokenAggregators: ReadonlySet<string>;
  readonly api?: WrittenApi;
}

/** The place of an aggregator's key, or of its name. */
export function placeIn(
  { places, place }: WrittenAggregator,
  key: string,
): ConfigPlace {
  return places.get(key) ?? place;
}

/** The place of a line's key, or of the whole line. */
export function keyPlace(line: WrittenLine, key: string): ConfigPlace {
  return line.keys.get(key) ?? line.place;
}

/** The place of the value of a line's key, or of the whole line. */
export function valuePlace(line: WrittenLine, key: string): ConfigPlace {
  return line.values.get(key) ?? line.place;
}

/** A place, for a sentence. */
export function where({ line, path }: ConfigPlace): string {
  return line > 0 ? `in line ${line} (${path})` : `by ${path}`;
}
