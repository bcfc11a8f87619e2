/**
 * Checks of the ring fuzzer after every call into the device.
 *
 * @module
 */
import { threadUs } from "../../ffi/clock.ts";
import { EventCount } from "../../src/virtio/gpio/counters.ts";
import type { GpioDevice } from "../../src/virtio/gpio/device.ts";
import { Edges, LineOperation } from "../../src/line/port.ts";
import type { ModelPort } from "../doubles/model_port.ts";
import {
  type FuzzMemory,
  MEMORY_BYTES,
  overlaps,
  type RingState,
  STRETCHES,
} from "./ring_fuzz_world.ts";

/** Processor time that no call may take. **Units**: microseconds. */
const SLOW_CALL_US = 2_000_000;
const NAMES_ANSWER = 1 + "A\0\0C\0\0".length;
/** The lengths that the protocol knows, per queue. */
const LENGTHS = [[0, 1, 2, NAMES_ANSWER], [0, 1]] as const;

/** Watches a device from outside. */
export class FuzzChecks {
  /** Entries that came back, of both queues. */
  returnedCount = 0;
  readonly #memory: FuzzMemory;
  readonly #device: GpioDevice;
  readonly #ports: readonly ModelPort[];
  readonly #rings: readonly RingState[];
  readonly #before = new Uint8Array(MEMORY_BYTES);
  /** Bytes that some descriptor so far let the device write. */
  readonly #granted = new Uint8Array(MEMORY_BYTES);

  /** Watches a device with its ports and rings. */
  constructor(
    memory: FuzzMemory,
    device: GpioDevice,
    ports: readonly ModelPort[],
    rings: readonly RingState[],
  ) {
    this.#memory = memory;
    this.#device = device;
    this.#ports = ports;
    this.#rings = rings;
  }

  /** Calls into the device, and checks everything afterwards. */
  call(run: () => void): void {
    this.#grant();
    this.#before.set(this.#memory.bytes);
    const entries = this.#rings.map((ring) => this.#available(ring));
    const delivered = this.#ports.map((port, line) => {
      port.calls.length = 0;
      return {
        hadEdges: port.edges !== Edges.None,
        count: this.#device.counters.eventCount(line, EventCount.Delivered),
      };
    });
    const from = threadUs();
    run();
    const us = (threadUs() - from) | 0;
    if (us > SLOW_CALL_US) throw new Error(`the call took ${us} µs`);
    this.#checkMemory();
    this.#rings.forEach((ring, i) => this.#checkRing(ring, entries[i]!));
    this.#ports.forEach((port, line) => {
      const { hadEdges, count } = delivered[line]!;
      const now = this.#device.counters.eventCount(line, EventCount.Delivered);
      const asked = port.calls.some((call) =>
        call.operation === LineOperation.SetEdges && call.argument !== 0
      );
      // A slow port learns of its edges when the operation ends.
      if (now > count && !hadEdges && !asked && port.edges === Edges.None) {
        throw new Error(`line ${line} interrupted without a request`);
      }
    });
  }

  /** The heads that the driver shows and the device has not taken. */
  #available(ring: RingState): number[] {
    const { driver } = ring;
    const at = driver.parts[1]!.offset;
    const end = this.#memory.view.getUint16(at + 2, true);
    const heads: number[] = [];
    for (let i = ring.nextAvail; i !== end; i = (i + 1) & 0xffff) {
      if (heads.length > driver.size) break;
      heads.push(
        this.#memory.view.getUint16(at + 4 + 2 * (i % driver.size), true),
      );
    }
    return heads;
  }

  /** Notes what the descriptors, as they stand, let the device write. */
  #grant(): void {
    for (const { driver } of this.#rings) {
      const table = driver.parts[0]!.offset;
      for (let i = 0; i < driver.size; i++) {
        this.#grantDescriptor(table + i * 16, true);
      }
      for (const other of this.#rings) {
        const [, avail, used] = other.driver.parts;
        for (const part of [avail!, used!]) {
          if (other.isTainted) break;
          other.isTainted = this.#granted
            .subarray(part.offset, part.offset + part.length)
            .includes(1);
        }
      }
    }
  }

  #grantDescriptor(at: number, isDirect: boolean): void {
    const low = this.#memory.view.getUint32(at, true);
    const address = this.#memory.view.getUint32(at + 4, true) * 2 ** 32 + low;
    const length = this.#memory.view.getUint32(at + 8, true);
    const flags = this.#memory.view.getUint16(at + 12, true);
    for (const [start, offset, size] of STRETCHES) {
      const begin = address - start + offset;
      const end = begin + length;
      // What is not there as a whole may not be written at all.
      if (begin < offset || end > offset + size) continue;
      if ((flags & 4) === 0) {
        if ((flags & 2) !== 0) this.#granted.fill(1, begin, end);
      } else if (isDirect && length % 16 === 0) {
        for (let i = begin; i < end; i += 16) this.#grantDescriptor(i, false);
      }
    }
  }

  #checkMemory(): void {
    const now = new Uint32Array(this.#memory.buffer);
    const before = new Uint32Array(this.#before.buffer);
    for (let word = 0; word < now.length; word++) {
      if (now[word] === before[word]) continue;
      for (let at = word * 4; at < word * 4 + 4; at++) this.#checkByte(at);
    }
  }

  #checkByte(at: number): void {
    if (
      this.#memory.bytes[at] === this.#before[at] || this.#granted[at] === 1
    ) return;
    const isUsedRing = this.#rings.some(({ driver }) =>
      overlaps(driver.parts[2]!, at, 1)
    );
    if (!isUsedRing) {
      throw new Error(`memory was written at offset 0x${at.toString(16)}`);
    }
  }

  #checkRing(ring: RingState, entries: number[]): void {
    const { driver, queue } = ring;
    const took = (queue.nextAvail - ring.nextAvail) & 0xffff;
    if (ring.isTainted) {
      ring.nextAvail = queue.nextAvail;
      ring.nextUsed = driver.usedIndex();
      return;
    }
    if (took > entries.length) {
      throw new Error(`${took} entries were taken of ${entries.length}`);
    }
    ring.nextAvail = queue.nextAvail;
    for (const head of entries.slice(0, took)) {
      ring.taken[head] = ring.taken[head]! + 1;
    }
    const end = driver.usedIndex();
    if (((end - ring.nextUsed) & 0xffff) > driver.size) {
      // What a resumed queue resubmits may come back together with a full ring
      // of entries, if the guest made its heads available again: the oldest
      // ones are overwritten.
      ring.isTainted = true;
      ring.nextUsed = end;
      return;
    }
    const used = driver.parts[2]!.offset + 4;
    while (ring.nextUsed !== end) {
      const at = used + 8 * (ring.nextUsed % driver.size);
      const head = this.#memory.view.getUint32(at, true);
      const length = this.#memory.view.getUint32(at + 4, true);
      if (head >= driver.size) throw new Error(`head ${head} came back`);
      const lengths: readonly number[] = LENGTHS[ring.index];
      if (!lengths.includes(length)) {
        throw new Error(`head ${head} came back with length ${length}`);
      }
      ring.returned[head] = ring.returned[head]! + 1;
      ring.nextUsed = (ring.nextUsed + 1) & 0xffff;
      this.returnedCount++;
    }
    this.expectEqual(
      queue.inFlightHeads().sort((a, b) => a - b),
      this.inFlight(ring),
      "in flight",
    );
  }

  /** The heads that were taken and did not come back. */
  inFlight(ring: RingState): number[] {
    const heads: number[] = [];
    for (let head = 0; head < ring.driver.size; head++) {
      const out = ring.taken[head]! - ring.returned[head]!;
      if (out < 0 || out > 1) {
        throw new Error(
          `head ${head} was taken ${ring.taken[head]} times ` +
            `and came back ${ring.returned[head]} times`,
        );
      }
      if (out === 1) heads.push(head);
    }
    return heads;
  }

  /** Compares two lists of heads. */
  expectEqual(actual: number[], expected: number[], what: string): void {
    if (actual.join() !== expected.join()) {
      throw new Error(`${what}: [${actual}], expected [${expected}]`);
    }
  }
}
