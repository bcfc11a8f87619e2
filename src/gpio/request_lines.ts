/**
 * The lines of a request as its user names them, and the errors about them.
 *
 * @module
 */
import { requireNumber } from "../text/arguments.ts";
import type { EdgeEvent, EdgeEventBatch } from "./edge_event.ts";
import { kernelError, LineError } from "./errors.ts";

/** Lines of one request. */
export class RequestLines {
  /** True once the request was closed. */
  isReleased = false;
  readonly #chip: string;
  readonly #offsets: readonly number[];
  readonly #bits: ReadonlyMap<number, number>;

  /** Names the lines by their offsets on the chip. */
  constructor(chip: string, offsets: readonly number[]) {
    this.#chip = chip;
    this.#offsets = offsets;
    this.#bits = new Map(offsets.map((offset, bit) => [offset, bit]));
  }

  /**
   * Returns the bit of a line.
   *
   * @throws {LineError} If it is not in the request.
   * @throws {TypeError} If it is not a number.
   */
  findBit(offset: number, operation: string): number {
    const bit = this.#bits.get(offset);
    if (bit !== undefined) return bit;
    requireNumber("offset", offset);
    throw new LineError({
      chip: this.#chip,
      offsets: [offset],
      operation,
      reason: `it is not in this request, which has ${
        this.#offsets.join(", ")
      }`,
    });
  }

  /**
   * Returns an event that was read.
   *
   * @throws {LineError} If it is of a kind that this program does not know.
   */
  eventAt(batch: EdgeEventBatch, i: number): EdgeEvent {
    const event = batch.eventAt(i);
    if (event !== undefined) return event;
    throw new LineError({
      chip: this.#chip,
      offsets: [batch.offsetAt(i)],
      operation: "read events of",
      reason: `the kernel sent an event of the unknown kind ${batch.kindAt(i)}`,
    });
  }

  /** Returns the error of a request that was closed before. */
  released(operation: string, offsets = this.#offsets): LineError {
    return new LineError({
      chip: this.#chip,
      offsets,
      operation,
      reason: "they were let go: this request is closed",
    });
  }

  /** Returns the error of a call that returned `result`: -errno. */
  failed(
    operation: string,
    syscall: string,
    result: number,
    offsets: readonly number[],
    detail?: string,
  ): LineError {
    if (this.isReleased) return this.released(operation, offsets);
    return kernelError({
      chip: this.#chip,
      offsets,
      operation,
      syscall,
      errno: -result,
      detail,
    });
  }
}
