/**
 * A program that has lines of a chip of this machine's own kernel.
 *
 * @module
 */
import { errnoCode } from "../../ffi/errno.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import {
  Chip,
  EdgeEventBatch,
  type LineRequest,
  type Value,
} from "../../src/gpio/mod.ts";
import { LIMIT_MS } from "./effort.ts";
import { type BenchGuest, INPUT, OUTPUT } from "./guests.ts";

/** Kinds of edge events, by the level that the line has then. */
const FALLING = 2;
const RISING = 1;
/** Events that are read at a time. */
const EVENTS = 16;

/** The program; its lines are one request. */
export class KernelChipGuest implements BenchGuest {
  readonly #request: LineRequest;
  readonly #batch = new EdgeEventBatch(EVENTS);

  /**
   * Requests the lines.
   *
   * @param path Path of the chip's device file.
   * @throws {LineError} If the chip is gone, or a line has a user.
   */
  constructor(path: string) {
    using chip = Chip.open(path);
    this.#request = chip.requestLines({
      consumer: "bench",
      lines: [
        { offset: OUTPUT, settings: { direction: "output" } },
        { offset: INPUT, settings: { direction: "input", edge: "both" } },
      ],
    });
  }

  ready(): void {}

  /** Returns when the kernel has the adapter's answer. */
  set(level: number): void {
    const result = this.#request.writeBit(OUTPUT, level as Value);
    if (result < 0) throw failed("set", result);
  }

  waitInput(level: number): void {
    const kind = level === 0 ? FALLING : RISING;
    for (;;) {
      if (pollFd(this.#request.fd, POLLIN, LIMIT_MS) === 0) {
        throw new Error(`The kernel's chip has no edge to ${level}`);
      }
      const count = this.#request.readEvents(this.#batch);
      if (count < 0) throw failed("read events", count);
      for (let i = 0; i < count; i++) {
        if (this.#batch.kindAt(i) === kind) return;
      }
    }
  }

  handleInput(): void {}

  get(): void {
    const result = this.#request.readBit(OUTPUT);
    if (result < 0) throw failed("read", result);
  }

  [Symbol.dispose](): void {
    this.#request.close();
  }
}

function failed(what: string, result: number): Error {
  return new Error(
    `The kernel's chip does not ${what}: ${errnoCode(-result)}`,
  );
}
