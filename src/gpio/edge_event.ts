/**
 * Edge events, as objects and as a batch without any.
 *
 * @module
 */
import { EdgeEventId, LINE_EVENT } from "../../ffi/gpio_v2.ts";

/** A change of a line's logical value. */
export interface EdgeEvent {
  /** `"rising"`: from inactive to active; `"falling"`: the other way round. */
  readonly kind: "rising" | "falling";
  /** The line's offset on its chip. */
  readonly offset: number;
  /**
   * When, in nanoseconds of the line's event clock. CLOCK_MONOTONIC is good for
   * differences, and for nothing that outlives a reboot.
   */
  readonly timestampNs: bigint;
  /** Counts the events of the request, from 1 on; a gap is an overflow. */
  readonly seqno: number;
  /** Counts the events of the line, from 1 on; a gap is an overflow. */
  readonly lineSeqno: number;
}

// The fields as indices of words; both targets are little-endian.
const STRIDE = LINE_EVENT.size / 4;
const STAMP = LINE_EVENT.at.timestamp_ns / 8;
const ID = LINE_EVENT.at.id / 4;
const OFFSET = LINE_EVENT.at.offset / 4;
const SEQNO = LINE_EVENT.at.seqno / 4;
const LINE_SEQNO = LINE_EVENT.at.line_seqno / 4;

/**
 * Room for some events, used again and again: reading into it and reading from
 * it allocates nothing but timestamps.
 *
 * @example Count what a request has to tell
 * ```ts
 * import { EdgeEventBatch, type LineRequest } from "@gpioagg/gpioagg";
 *
 * const RISING = 1;
 * const batch = new EdgeEventBatch(16);
 *
 * function countRising(request: LineRequest): number {
 *   let rising = 0;
 *   for (let n = request.readEvents(batch); n > 0;) {
 *     for (let i = 0; i < n; i++) if (batch.kindAt(i) === RISING) rising++;
 *     n = request.readEvents(batch);
 *   }
 *   return rising;
 * }
 * ```
 */
export class EdgeEventBatch {
  /** Capacity, in events. */
  readonly capacity: number;
  /** The memory that events are read into. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #words: Uint32Array;
  readonly #stamps: BigUint64Array;

  /**
   * Makes room for `capacity` events.
   *
   * @throws {RangeError} If that is not a positive integer.
   */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(
        `Cannot make room for ${capacity} events: a positive integer is needed`,
      );
    }
    const buffer = new ArrayBuffer(capacity * LINE_EVENT.size);
    this.capacity = capacity;
    this.bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#stamps = new BigUint64Array(buffer);
  }

  /** The i-th event's kind: 1 rising, 2 falling; others mean nothing to us. */
  kindAt(i: number): number {
    return this.#words[i * STRIDE + ID]!;
  }

  /** The i-th event's timestamp in nanoseconds of the line's event clock. */
  timestampAt(i: number): bigint {
    return this.#stamps[i * (STRIDE / 2) + STAMP]!;
  }

  /**
   * Reads the i-th event's timestamp into the first element of `into`, without
   * allocation. Exact to 1 ns up to 2^53 ns. **Units**: nanoseconds.
   */
  readStamp(i: number, into: Float64Array): void {
    const at = (i * (STRIDE / 2) + STAMP) * 2;
    into[0] = this.#words[at + 1]! * 2 ** 32 + this.#words[at]!;
  }

  /** The i-th event's number among those of its request. */
  seqnoAt(i: number): number {
    return this.#words[i * STRIDE + SEQNO]!;
  }

  /** The i-th event's number among those of its line. */
  lineSeqnoAt(i: number): number {
    return this.#words[i * STRIDE + LINE_SEQNO]!;
  }

  /** The offset of the i-th event's line on its chip. */
  offsetAt(i: number): number {
    return this.#words[i * STRIDE + OFFSET]!;
  }

  /**
   * The i-th event as an object; undefined if its kind is neither rising nor
   * falling.
   */
  eventAt(i: number): EdgeEvent | undefined {
    const id = this.kindAt(i);
    if (id !== EdgeEventId.Rising && id !== EdgeEventId.Falling) {
      return undefined;
    }
    return {
      kind: id === EdgeEventId.Rising ? "rising" : "falling",
      offset: this.offsetAt(i),
      timestampNs: this.timestampAt(i),
      seqno: this.seqnoAt(i),
      lineSeqno: this.lineSeqnoAt(i),
    };
  }
}
