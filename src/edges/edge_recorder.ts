/**
 * The recorder of one reactor's edges, and the time of an edge.
 *
 * @module
 */
import { EdgeWriter, type RingMemory } from "./edge_ring.ts";

/**
 * Time of the edge that is being reported, as the kernel has it; 0 if it has
 * none. **Units**: nanoseconds, monotonic.
 *
 * It stands here since a number that is passed on would be an object, and the
 * path of an edge makes none.
 */
export const edgeStamp = new Float64Array(1);

/** Reader of the clock into an array. **Units**: nanoseconds, monotonic. */
type StampClock = (into: Float64Array) => void;

/** Writes edges with their time. */
export class EdgeRecorder {
  readonly #writer: EdgeWriter;
  readonly #clock: StampClock;
  readonly #now = new Float64Array(1);
  #last = this.#now;

  /** Writes into `memory`. */
  constructor(memory: RingMemory, clock: StampClock) {
    this.#writer = new EdgeWriter(memory);
    this.#clock = clock;
  }

  /** Takes ids for so many lines; returns the first. */
  takeIds(count: number): number {
    return this.#writer.takeIds(count);
  }

  /** Time of now. **Units**: nanoseconds, monotonic. */
  get now(): number {
    this.#clock(this.#now);
    return this.#now[0]!;
  }

  /**
   * Array whose first element is the time of the edge that was recorded last; it
   * is the next one's after that. **Units**: nanoseconds, monotonic.
   */
  get lastTime(): Float64Array {
    return this.#last;
  }

  /** Records an edge that comes just now. */
  record(lineId: number, bits: number): void {
    this.#clock(this.#now);
    this.#last = this.#now;
    this.#writer.write(this.#now, lineId, bits);
  }

  /** Records an edge at the time of {@linkcode edgeStamp}, if it has one. */
  recordStamped(lineId: number, bits: number): void {
    if (edgeStamp[0] === 0) return this.record(lineId, bits);
    this.#last = edgeStamp;
    this.#writer.write(edgeStamp, lineId, bits);
  }
}
