/**
 * Counters of an exposure as pins, beside the guest's requests.
 *
 * @module
 */

/** The counters of one exposure: never reset, cheap to copy. */
export class PinCounters {
  /** Guest resets and shutdowns. */
  resets = 0;
  /** Changes of pins that QEMU reported, including pins without a line. */
  reports = 0;
  /** By lineNumber: levels that the line's pin was given. */
  readonly levels: Float64Array;
  /**
   * By lineNumber: levels that a newer one replaced before QEMU took them, or
   * that QEMU refused.
   */
  readonly lostLevels: Float64Array;
  /**
   * By lineNumber: levels that the guest drove and that a newer one, or the
   * guest's end, replaced before the line took them.
   */
  readonly lostRequests: Float64Array;

  /** Makes counters for a number of lines, all 0. */
  constructor(lineCount: number) {
    this.levels = new Float64Array(lineCount);
    this.lostLevels = new Float64Array(lineCount);
    this.lostRequests = new Float64Array(lineCount);
  }
  /** Counts a level that a pin was given. */
  countLevel(lineNumber: number): void {
    this.levels[lineNumber]!++;
  }

  /** Counts a level that a pin did not get. */
  countLostLevel(lineNumber: number): void {
    this.lostLevels[lineNumber]!++;
  }
}
