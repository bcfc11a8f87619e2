/**
 * Messages of the control API about plays: values of simulated lines at given
 * times.
 *
 * @module
 */

/** Change of a simulated line at a time. */
export interface PlayStep {
  /** Time after `from` of the request. **Units**: nanoseconds. */
  afterNs: number;
  /** Name of the line, or its number. */
  line: string;
  /** 1 is active. */
  value: 0 | 1;
}

/** Request to play values into simulated lines of an aggregator. */
export interface PlayRequest {
  /**
   * Time 0 of the steps, which also identifies the play: steps with the
   * same one follow those that wait. A decimal string, since JSON numbers are not
   * exact enough. **Units**: nanoseconds since 1970.
   */
  from: string;
  /** In order of time. */
  steps: PlayStep[];
}

/** State of the last play of an aggregator. */
export interface PlayState {
  /** Number of steps that wait for their time. */
  waiting: number;
  /** Number of steps that were played. */
  played: number;
  /** Median of the lateness of the last 1024 steps. **Units**: microseconds. */
  medianLateUs: number;
  /** Greatest lateness. **Units**: microseconds. */
  worstLateUs: number;
}
