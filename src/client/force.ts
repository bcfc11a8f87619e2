/**
 * Messages of the control API about forces: lines that an operator holds at
 * values for a time.
 *
 * @module
 */

/** Force of a line. */
export interface ForcedState {
  /** Value that the line is held at; 1 is active. */
  value: 0 | 1;
  /**
   * Value that it would have without: what the guest of an output asked for
   * last, or the value of an input. Absent if it is not known.
   */
  otherwise?: 0 | 1;
  /** Time at which it ends. **Units**: milliseconds since 1970. */
  until: number;
  /** Reason, as the operator gave it. */
  reason: string;
  /** User id of the operator. */
  by: number;
}

/** Request to force lines of an aggregator. */
export interface ForceRequest {
  /** Values by line name or number. */
  lines: Record<string, 0 | 1>;
  /** Time until it ends, such as `10s`; at most `24h`. */
  for: string;
  /** Reason, shown with the line. */
  reason: string;
  /**
   * `stream`: it ends with the client's connection, or at its time, whatever
   * comes first; `none`: at its time. Default: `stream`.
   */
  lease?: "stream" | "none";
}
