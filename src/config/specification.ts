/**
 * What the user asked for, validated, as plain data that can be handed to
 * another thread. Command line and configuration file both end here.
 *
 * @module
 */

/** Where a line comes from. */
export type SourceSpecification =
  | {
    kind: "chip";
    /** Name, number, path or label of the chip. */
    chip: string;
    /** The line's number on its chip. */
    offset: number;
  }
  | {
    kind: "line-name";
    /** The line's own name, on whichever chip it is. */
    lineName: string;
  }
  | { kind: "sim" }
  /** A chip's line that a lane has; made by the daemon, never by the user. */
  | {
    kind: "lane";
    /** Which lane of those handed over with the aggregators. */
    lane: number;
    slot: number;
    name: string;
    description: string;
  };

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
  readonly initial?: Value;
  /** What the line is driven to when its guest is gone. */
  readonly safe?: Value;
  readonly onDisconnect: OnDisconnect;
  /** Serve the chip from a thread of its own even if it does not look slow. */
  readonly lane: boolean;
}

/** One aggregator and where it is presented. */
export interface AggregatorSpecification {
  readonly name: string;
  readonly vhostUser: VhostUserSpecification;
  /** In lineNumber order. */
  readonly lines: readonly LineSpecification[];
}

/** A vhost-user exposure: a socket to listen at, or one that is open already. */
export type VhostUserSpecification =
  | { socketPath: string }
  /** **Ownership**: the reactor takes the fd over. */
  | { fd: number };

/** Most lines of an aggregator: virtio-gpio counts them in 16 bits. */
export const MAX_LINES = 65535;
/** Longest line name: what the GPIO uAPI can show. */
export const MAX_NAME_LENGTH = 31;
