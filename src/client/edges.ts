/**
 * Messages of the control API about the edges of lines: each change of a value,
 * a direction or a presence, with its time and its cause.
 *
 * @module
 */

/** Origin of an edge. */
export type EdgeCause =
  /** The hardware behind the line. */
  | "world"
  /** The guest. */
  | "guest"
  /** A rule of the line; {@linkcode Edge.rule} names it. */
  | "rule"
  /** A request of an operator: a pull, a forced value, a replay. */
  | "operator"
  /** Another line, which this one follows. */
  | "follow";

/** Part of a line that an edge changed; the first that applies. */
export type EdgeKind =
  /** Its chip went or came back. */
  | "presence"
  /** It became an input or an output, maybe with another value. */
  | "direction"
  /** Its value. */
  | "value";

/** State of a line at one moment. */
export interface LineLevel {
  /** Name of the aggregator. */
  aggregator: string;
  /** Name of the line; its number if it has none. */
  line: string;
  /** Number of the line in its aggregator. */
  lineNumber: number;
  /** 1 is active. Absent where it is not known, or the chip is absent. */
  value?: 0 | 1;
  /** Which way it goes. */
  direction: "input" | "output";
  /** False while its chip is absent. */
  present: boolean;
}

/** One edge, with the state of its line after it. */
export interface Edge extends LineLevel {
  /**
   * Order number. Rises by 1 from edge to edge of one process: the service, or
   * the process of an aggregator with `isolate: process`.
   */
  number: number;
  /**
   * Time; the kernel's where it has one. A decimal string, since JSON numbers
   * are not exact enough. **Units**: nanoseconds since 1970.
   */
  time: string;
  /** Part that changed. */
  kind: EdgeKind;
  /** Origin. */
  cause: EdgeCause;
  /** The rule, as its key in a SPEC: `safe`, `safe-after`, `interlock`. */
  rule?: string;
}

/**
 * Edges in their order, as an event of `/v1/events?edges=1`. Complete: what is
 * missing is counted by a `lost` event in its place.
 */
export interface EdgesEvent {
  /** Always `edges`. */
  event: "edges";
  /** Time when it was sent. **Units**: milliseconds since 1970. */
  time?: number;
  /** At least one. */
  edges: Edge[];
}

/**
 * A line of the past: one from its creation to its removal. A line that was
 * removed and made again is there twice.
 */
export interface HistoryLine extends LineLevel {
  /**
   * Time when it begins, if that is after the begin of the answer; before it the
   * line is absent. **Units**: nanoseconds since 1970.
   */
  begins?: string;
  /**
   * Time when it ends, if that is before the end of the answer.
   * **Units**: nanoseconds since 1970.
   */
  ends?: string;
}

/** Edges of the past, the answer of `/v1/history`. */
export interface History {
  /** Begin of what the answer covers. **Units**: nanoseconds since 1970. */
  from: string;
  /** End of it: the end that was asked for, or the time of the answer. */
  to: string;
  /** State of each line at `from`, or where it begins later. */
  lines: HistoryLine[];
  /** Edges between `from` and `to`, by time. */
  edges: Edge[];
  /**
   * Edges that are not kept any more, some of which may be of that time and of
   * these lines; 0 if the answer is complete.
   */
  lost: number;
  /** Remarks on what could not be read of the file of edges, in words. */
  notes?: string[];
  /**
   * Set if there are more than `limit`: `from` of the next request. Edges of
   * that very time may come twice; their numbers tell.
   */
  next?: string;
}
