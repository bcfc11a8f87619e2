/**
 * A guest's memory: guest-physical ranges over mapped buffers.
 *
 * Every address is translated as a *range*. Addresses and lengths are plain
 * numbers: guest-physical memory ends far below 2^53, and an address above that
 * (which only a hostile guest sends) rounds to something that is still above
 * every region, so no sum can wrap.
 *
 * Accesses go through one `DataView` per region, however large the region is:
 * a `DataView` load at an offset of many GiB takes 3 to 4 ns in optimized code,
 * where a `Uint8Array` beyond 4 GiB falls off the fast path (50 ns).
 *
 * @module
 */

/** One contiguous piece of guest memory. */
export interface GuestRegion {
  /** First guest-physical address. **Units**: bytes. */
  readonly guestAddress: number;
  /** First address in the frontend's own address space. */
  readonly userAddress: number;
  /** **Units**: bytes. */
  readonly length: number;
  /** What the region is mapped into. **Ownership**: stays the caller's. */
  readonly buffer: ArrayBuffer;
  /** Where in `buffer` the region begins. **Units**: bytes. */
  readonly bufferOffset: number;
}

/**
 * Guest-physical memory, made of regions that do not overlap.
 *
 * **Safety**: when a buffer is a mapping that gets unmapped, whoever unmaps it
 * first takes this object away from everything that uses it.
 */
export class GuestMemory {
  readonly #regions: readonly GuestRegion[];
  // Never empty, so that the quick test in locate() stays within bounds.
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #views: DataView[];
  #recent = 0;

  /**
   * Takes regions in any order.
   *
   * @throws {RangeError} If {@linkcode GuestMemory.problemWith} finds a fault.
   */
  constructor(regions: readonly GuestRegion[]) {
    const problem = GuestMemory.problemWith(regions);
    if (problem !== undefined) throw new RangeError(problem);
    const sorted = [...regions].sort((a, b) => a.guestAddress - b.guestAddress);
    this.#regions = sorted;
    this.#starts = new Float64Array(Math.max(1, sorted.length)).fill(1);
    this.#ends = new Float64Array(Math.max(1, sorted.length));
    this.#views = [];
    for (const [index, region] of sorted.entries()) {
      this.#starts[index] = region.guestAddress;
      this.#ends[index] = region.guestAddress + region.length;
      this.#views.push(
        new DataView(region.buffer, region.bufferOffset, region.length),
      );
    }
  }

  /** Says why these regions cannot be a guest's memory; undefined if they can. */
  static problemWith(regions: readonly GuestRegion[]): string | undefined {
    for (const region of regions) {
      const { guestAddress, userAddress, length, buffer, bufferOffset } =
        region;
      for (const n of [guestAddress, userAddress, length, bufferOffset]) {
        if (!Number.isSafeInteger(n) || n < 0) {
          return `Cannot use a memory region with ${n} as an address or size: ` +
            "it must be an integer from 0 to 2^53 - 1";
        }
      }
      if (length === 0) {
        return `Cannot use the memory region at ${
          hex(guestAddress)
        }: it is empty`;
      }
      if (
        !Number.isSafeInteger(guestAddress + length) ||
        !Number.isSafeInteger(userAddress + length)
      ) {
        return `Cannot use the memory region at ${hex(guestAddress)}: ` +
          "it ends beyond 2^53 - 1";
      }
      if (bufferOffset + length > buffer.byteLength) {
        return `Cannot use the memory region at ${hex(guestAddress)}: ` +
          `${length} bytes from ${bufferOffset} are more than the ` +
          `${buffer.byteLength} that are mapped`;
      }
    }
    const sorted = [...regions].sort((a, b) => a.guestAddress - b.guestAddress);
    for (let i = 1; i < sorted.length; i++) {
      const before = sorted[i - 1]!;
      const region = sorted[i]!;
      if (before.guestAddress + before.length > region.guestAddress) {
        return `Cannot use the memory region at ${
          hex(region.guestAddress)
        }: it overlaps the one at ${hex(before.guestAddress)}`;
      }
    }
    return undefined;
  }

  /**
   * Finds the region that holds all of `length` bytes at `address`.
   *
   * @returns The region's index, or -1 when no single region holds the range.
   */
  locate(address: number, length: number): number {
    const recent = this.#recent;
    if (
      address >= this.#starts[recent]! &&
      address + length <= this.#ends[recent]!
    ) {
      return recent;
    }
    const found = this.#search(address);
    if (found < 0 || address + length > this.#ends[found]!) return -1;
    this.#recent = found;
    return found;
  }

  /** The region that holds the byte at `address`, or -1. */
  #search(address: number): number {
    let low = 0;
    let high = this.#regions.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (address < this.#starts[middle]!) high = middle - 1;
      else if (address >= this.#ends[middle]!) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  /** A view of all of a region, by the index that `locate` returned. */
  view(region: number): DataView {
    return this.#views[region]!;
  }

  /** A region's first guest-physical address, by index. */
  start(region: number): number {
    return this.#starts[region]!;
  }

  /**
   * How many of the `length` bytes at `address` lie in that address's region;
   * 0 when the address is in none.
   */
  reach(address: number, length: number): number {
    const region = this.#search(address);
    return region < 0 ? 0 : Math.min(length, this.#ends[region]! - address);
  }

  /** Whether all of `length` bytes at `address` exist, in adjacent regions if need be. */
  covers(address: number, length: number): boolean {
    let done = 0;
    while (done < length) {
      const bytes = this.reach(address + done, length - done);
      if (bytes === 0) return false;
      done += bytes;
    }
    return true;
  }

  /** Reads one byte; -1 when there is no such address. */
  readUint8(address: number): number {
    const region = this.locate(address, 1);
    if (region < 0) return -1;
    return this.#views[region]!.getUint8(address - this.#starts[region]!);
  }

  /** Writes one byte; false when there is no such address. */
  writeUint8(address: number, value: number): boolean {
    const region = this.locate(address, 1);
    if (region < 0) return false;
    this.#views[region]!.setUint8(address - this.#starts[region]!, value);
    return true;
  }

  /**
   * Copies bytes out of the guest's memory, across regions if need be.
   *
   * @returns Whether all of them exist; nothing is promised of `target` if not.
   */
  copyOut(address: number, target: Uint8Array): boolean {
    let done = 0;
    while (done < target.length) {
      const bytes = this.reach(address + done, target.length - done);
      if (bytes === 0) return false;
      target.set(this.#window(address + done, bytes), done);
      done += bytes;
    }
    return true;
  }

  /**
   * Copies bytes into the guest's memory, across regions if need be.
   *
   * @returns Whether all of the range exists; if not, nothing was written.
   */
  copyIn(address: number, source: Uint8Array): boolean {
    if (!this.covers(address, source.length)) return false;
    let done = 0;
    while (done < source.length) {
      const bytes = this.reach(address + done, source.length - done);
      this.#window(address + done, bytes)
        .set(source.subarray(done, done + bytes));
      done += bytes;
    }
    return true;
  }

  #window(address: number, length: number): Uint8Array {
    const region = this.#search(address);
    const view = this.#views[region]!;
    return new Uint8Array(
      view.buffer,
      view.byteOffset + (address - this.#starts[region]!),
      length,
    );
  }

  /**
   * Translates a range of the frontend's own address space.
   *
   * @returns The guest-physical address, or undefined when part of the range is
   * in no region, or is not contiguous in guest-physical memory.
   */
  userToGuest(address: number, length: number): number | undefined {
    let guest: number | undefined;
    let at = address;
    let left = length;
    do {
      const region = this.#regions.find((r) =>
        at >= r.userAddress && at < r.userAddress + r.length
      );
      if (region === undefined) return undefined;
      const here = region.guestAddress + (at - region.userAddress);
      guest ??= here;
      if (here !== guest + (at - address)) return undefined;
      const bytes = Math.min(left, region.userAddress + region.length - at);
      at += bytes;
      left -= bytes;
    } while (left > 0);
    return guest;
  }
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
