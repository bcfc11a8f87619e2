/**
 * Durations of guests' requests, line by line: from the turn that found a
 * request to the moment its answer was published.
 *
 * A turn may answer hundreds of requests, and a look at the clock costs as much
 * as a request. So answers are noted with the time of their arrival, and booked
 * together once they are published: two looks at the clock for a turn, and one
 * more for every few dozen answers of a long one, whose guest goes on asking.
 *
 * @module
 */

/** Upper bounds of the buckets. **Units**: seconds. */
export const DURATION_BOUNDS: readonly number[] = [
  1e-6,
  2e-6,
  5e-6,
  1e-5,
  2e-5,
  5e-5,
  1e-4,
  2e-4,
  5e-4,
  1e-3,
  5e-3,
  1e-2,
  1e-1,
  1,
];

/** Slots per line in {@linkcode RequestTimes.buckets}. */
export const DURATION_STRIDE: number = DURATION_BOUNDS.length + 1;

/** Answers that are worth a look at the clock within a turn. */
const ANSWERS_PER_LOOK = 32;
/** As many requests as a ring has served in a turn; more are booked early. */
const NOTES = 256;

/** Histograms of one exposure's lines, added to without allocation. */
export class RequestTimes {
  /**
   * Per line `DURATION_STRIDE` slots: requests by duration, the last slot for
   * those that exceed all bounds.
   */
  readonly buckets: Float64Array;
  /** By lineNumber: all durations together. **Units**: seconds. */
  readonly sums: Float64Array;
  readonly #now: () => number;
  readonly #bounds = new Float64Array(DURATION_BOUNDS);
  /** An array, so that no number is boxed. */
  readonly #start = new Float64Array(1);
  readonly #lines = new Uint16Array(NOTES);
  readonly #arrivals = new Float64Array(NOTES);
  #noted = 0;

  /** Makes empty histograms; `now` is a monotonic clock of milliseconds. */
  constructor(
    lineCount: number,
    now: () => number = () => performance.now(),
  ) {
    this.buckets = new Float64Array(lineCount * DURATION_STRIDE);
    this.sums = new Float64Array(lineCount);
    this.#now = now;
  }

  /** A turn begins: what it finds has arrived now. */
  begin(): void {
    this.#start[0] = this.#now();
  }

  /**
   * Keeps when the turn found a request whose answer comes later. Times go from
   * array to array: as an argument or a result, each would be a new object
   * wherever the compiler does not inline the call.
   */
  keepArrival(arrivals: Float64Array, index: number): void {
    arrivals[index] = this.#start[0]!;
  }

  /** A request of this turn is answered; the answer is not published yet. */
  answered(lineNumber: number): void {
    this.answeredLate(lineNumber, this.#start, 0);
  }

  /** The same for a request that arrived at `arrivals[index]`. */
  answeredLate(
    lineNumber: number,
    arrivals: Float64Array,
    index: number,
  ): void {
    if (this.#noted === NOTES) this.published(true);
    this.#lines[this.#noted] = lineNumber;
    this.#arrivals[this.#noted++] = arrivals[index]!;
  }

  /** A request that arrived then is answered, in no turn: books it at once. */
  book(lineNumber: number, arrival: number): void {
    if (this.#noted === NOTES) this.published(true);
    this.#lines[this.#noted] = lineNumber;
    this.#arrivals[this.#noted++] = arrival;
    this.published(true);
  }

  /**
   * The guest can see all answers that were noted. What a turn that goes on
   * finds from here on has arrived now, or at the last look before.
   */
  published(isTurnOver: boolean): void {
    const count = this.#noted;
    if (count === 0 || !isTurnOver && count < ANSWERS_PER_LOOK) return;
    this.#noted = 0;
    const bounds = this.#bounds;
    const now = this.#now();
    this.#start[0] = now;
    let arrival = NaN;
    let seconds = 0;
    let bucket = 0;
    for (let i = 0; i < count; i++) {
      // Most of them are of one turn.
      if (this.#arrivals[i] !== arrival) {
        arrival = this.#arrivals[i]!;
        seconds = (now - arrival) / 1000;
        bucket = 0;
        while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++;
      }
      const line = this.#lines[i]!;
      const at = line * DURATION_STRIDE + bucket;
      this.buckets[at] = this.buckets[at]! + 1;
      this.sums[line] = this.sums[line]! + seconds;
    }
  }
}
