/**
 * Actions of the ring fuzzer's guest on its rings: honest chains, hostile
 * descriptors, and rings that are broken outright.
 *
 * @module
 */
import type { DriverBuffer } from "../doubles/ring_driver.ts";
import type { Random } from "./ring_fuzz_random.ts";
import {
  type FuzzMemory,
  LINES,
  overlaps,
  REGIONS,
  REGIONS_END,
  type RingState,
} from "./ring_fuzz_world.ts";

const SCRATCH_AT = 0x4000;

/** A guest that makes chains of all kinds. */
export class FuzzGuest {
  readonly #random: Random;
  readonly #memory: FuzzMemory;

  /** A guest that decides by `random`. */
  constructor(random: Random, memory: FuzzMemory) {
    this.#random = random;
    this.#memory = memory;
  }

  /** Adds a chain that a driver might: well-formed, whatever it asks for. */
  addHonest(ring: RingState): void {
    const random = this.#random;
    const isRequest = ring.index === 0;
    const at = SCRATCH_AT + random.below(0x180) * 0x40;
    const readable = isRequest ? 8 : 2;
    if (isRequest) {
      const type = random.oneIn(3) ? 6 : random.below(8);
      this.#memory.view.setUint16(at, type, true);
      this.#memory.view.setUint16(at + 2, random.below(LINES + 1), true);
      const value = random.oneIn(8) ? random.uint32() : random.below(9);
      this.#memory.view.setUint32(at + 4, value, true);
    } else {
      this.#memory.view.setUint16(at, random.below(LINES + 1), true);
    }
    const most = Math.min(4, Math.max(1, ring.driver.size >> 1));
    const room = isRequest ? random.pick([1, 2, 2, 2, 2, 8, 16]) : 1;
    const buffers = [
      ...this.#split(at, readable, false, most),
      ...this.#split(at + 0x10, room, true, most),
    ];
    this.#add(ring, buffers, at + 0x20);
  }

  #split(
    at: number,
    length: number,
    writable: boolean,
    most: number,
  ): DriverBuffer[] {
    let from = at;
    return this.#random.cut(length, most).map((piece) => {
      const buffer = {
        address: this.#memory.address(from),
        length: piece,
        writable,
      };
      from += piece;
      return buffer;
    });
  }

  #add(ring: RingState, buffers: DriverBuffer[], tableAt: number): void {
    const { driver } = ring;
    // The driver knows the first two regions, which are one stretch.
    const isIndirect = tableAt < REGIONS[2][1] && buffers.length <= 2 &&
      this.#random.oneIn(2);
    if (driver.freeCount < (isIndirect ? 1 : buffers.length)) return;
    if (isIndirect) driver.addIndirect(buffers, this.#memory.address(tableAt));
    else driver.add(buffers);
    driver.publish();
  }

  /** Writes descriptors at random, and shows a chain that may lead to them. */
  addHostile(ring: RingState): void {
    const random = this.#random;
    const { driver } = ring;
    for (let i = random.below(4); i >= 0; i--) {
      driver.writeDescriptor(random.below(driver.size), {
        address: this.#anyAddress(),
        length: this.#anyLength(),
        flags: random.pick([0, 1, 2, 3, 4, 4, 5, 6, 7, 0xffff]),
        next: this.#anyHead(ring),
        ...(random.oneIn(4)
          ? { highAddress: random.pick([0, 1, 2, 0xffff_ffff]) }
          : {}),
      });
    }
    if (driver.freeCount === 0) return;
    // A table of hostile descriptors, for the indirect ones among them.
    const at = SCRATCH_AT + random.below(0x180) * 0x40;
    for (let i = 0; i < 4; i++) {
      this.#memory.view.setUint32(at + i * 16, this.#anyAddress() >>> 0, true);
      this.#memory.view.setUint32(
        at + i * 16 + 4,
        random.pick([0, 0, 0, 2]),
        true,
      );
      this.#memory.view.setUint32(at + i * 16 + 8, this.#anyLength(), true);
      this.#memory.view.setUint16(at + i * 16 + 12, random.below(8), true);
      this.#memory.view.setUint16(at + i * 16 + 14, random.below(6), true);
    }
    const head = driver.add([{
      address: this.#memory.address(at),
      length: random.pick([64, 64, 48, 16, 0, 8, 65]),
      writable: false,
    }]);
    if (random.oneIn(2)) {
      driver.writeDescriptor(head, {
        address: this.#memory.address(at),
        length: random.pick([64, 64, 48, 16, 0, 8, 65]),
        flags: 4,
        next: 0,
      });
    }
    driver.publish();
  }

  #anyHead(ring: RingState): number {
    const { size } = ring.driver;
    return this.#random.oneIn(6)
      ? this.#random.pick([size, size + 1, 0xffff, 0x8000])
      : this.#random.below(size);
  }

  #anyAddress(): number {
    const random = this.#random;
    const [at, , length] = random.pick(REGIONS);
    switch (random.below(4)) {
      case 0:
        return at + length - random.below(24);
      case 1:
        return Math.max(0, at - random.below(24));
      case 2:
        return random.pick([0, 0xffff_ffff, 0xffff_fff8, 0x8000_0000]);
      default:
        return at + random.below(length);
    }
  }

  #anyLength(): number {
    const random = this.#random;
    return random.oneIn(3)
      ? random.pick([0xffff_ffff, 0x8000_0000, 0x2000, 0x2001, 0x8000])
      : random.pick([0, 1, 1, 2, 2, 3, 7, 8, 8, 9, 15, 16, 17, 32, 48]);
  }

  /** Writes a few random bytes anywhere in the guest's memory. */
  #scribble(rings: readonly RingState[]): void {
    const random = this.#random;
    const at = random.below(REGIONS_END - 8);
    const count = 1 + random.below(8);
    for (let i = 0; i < count; i++) {
      this.#memory.bytes[at + i] = random.uint32();
    }
    for (const ring of rings) {
      if (overlaps(ring.driver.parts[2]!, at, count)) ring.isTainted = true;
    }
  }

  /** Breaks a ring as no driver does: heads, indices and bytes at random. */
  breakRing(ring: RingState, rings: readonly RingState[]): void {
    const random = this.#random;
    const { driver } = ring;
    switch (random.below(6)) {
      case 0:
        return driver.makeAvailable(this.#anyHead(ring));
      case 1:
        return driver.setAvailIndex(
          driver.availIndex + random.pick([1, 2, 16, 17, 65, 0x8000]),
        );
      default:
        return this.#scribble(rings);
    }
  }
}
