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
  /**
   * Memory that the region is mapped into. **Ownership**: stays the caller's.
   */
  readonly buffer: ArrayBuffer;
  /** Offset of the region in `buffer`. **Units**: bytes. */
  readonly bufferOffset: number;
  /**
   * Returns the number of pages that a range of the region lacks, if that
   * matters: see {@linkcode GuestMemory.onAbsentPages}. **Units**: bytes.
   */
  readonly absentPages?: (offset: number, length: number) => number;
}

/** Aliases of one user address that a translation looks at. */
const MAX_ALIASES = 8;
/** Generations are small integers; none is met again after so many changes. */
const MAX_GENERATION = 0x3fff_ffff;
const INITIAL_REGIONS = 8;
/**
 * Pages that are not looked at again while they are among so many. A frontend can
 * take pages away that are known and have them allocated here instead.
 */
const KNOWN_PAGES = 1024;
/** Smallest page that there is. */
export const PAGE_BYTES = 4096;

/**
 * Guest-physical memory, made of regions that do not overlap.
 *
 * Regions may be added and removed at any time: adding one moves nothing else,
 * so that views of the others stay valid. Indices of regions are valid until
 * then.
 *
 * **Safety**: when a buffer is a mapping that gets unmapped, its region is
 * removed first, and everything that has a view of it stopped.
 */
export class GuestMemory {
  // Sorted by guest address, all alike.
  readonly #regions: GuestRegion[] = [];
  readonly #views: DataView[] = [];
  /** Numbers of pages that exist, each at the place of its lowest bits. */
  readonly #known = new Float64Array(KNOWN_PAGES).fill(-1);
  // Beyond the last region: empty ranges, so that the quick test in locate()
  // stays within bounds.
  #starts = new Float64Array(INITIAL_REGIONS).fill(1);
  #ends = new Float64Array(INITIAL_REGIONS);
  #recent = 0;
  #onAbsentPages: ((pages: number) => void) | undefined;
  #generation = 0;
  /** The regions by user address; undefined until they are needed. */
  #byUser: readonly GuestRegion[] | undefined;

  /**
   * Takes regions in any order.
   *
   * @throws {RangeError} If {@linkcode GuestMemory.add} refuses one.
   */
  constructor(regions: readonly GuestRegion[] = []) {
    for (const region of regions) {
      const problem = this.add(region);
      if (problem !== undefined) throw new RangeError(problem);
    }
  }

  /** Number of regions. */
  get regionCount(): number {
    return this.#regions.length;
  }

  /**
   * Notified of pages that do not exist and that the device is about to use: the
   * kernel allocates them then, and counts them as this process's memory, not
   * the guest's. Without it nothing is looked at.
   */
  get onAbsentPages(): ((pages: number) => void) | undefined {
    return this.#onAbsentPages;
  }

  set onAbsentPages(onAbsentPages: ((pages: number) => void) | undefined) {
    this.#onAbsentPages = onAbsentPages;
    this.#change();
  }

  /**
   * Another number once regions, their indices, or what is known of their pages
   * may be others than before.
   */
  get generation(): number {
    return this.#generation;
  }

  /** Makes void what was remembered of pages and indices. */
  #change(): void {
    this.#known.fill(-1);
    this.#generation = (this.#generation + 1) & MAX_GENERATION;
  }

  /**
   * Adds a region.
   *
   * @returns Why it cannot be part of this memory; nothing has changed then.
   */
  add(region: GuestRegion): string | undefined {
    const fault = regionFault(region);
    if (fault !== undefined) return fault;
    const { guestAddress, length } = region;
    const at = this.#firstFrom(guestAddress);
    const before = this.#regions[at - 1];
    const after = this.#regions[at];
    const other = before !== undefined &&
        before.guestAddress + before.length > guestAddress
      ? before
      : after !== undefined && guestAddress + length > after.guestAddress
      ? after
      : undefined;
    if (other !== undefined) {
      return `Cannot use the memory region at ${
        hex(guestAddress)
      }: it overlaps the one at ${hex(other.guestAddress)}`;
    }
    const count = this.#regions.length;
    if (count === this.#starts.length) this.#grow();
    this.#starts.copyWithin(at + 1, at, count);
    this.#ends.copyWithin(at + 1, at, count);
    this.#starts[at] = guestAddress;
    this.#ends[at] = guestAddress + length;
    this.#regions.splice(at, 0, region);
    this.#views.splice(
      at,
      0,
      new DataView(region.buffer, region.bufferOffset, length),
    );
    this.#byUser = undefined;
    this.#change();
    return undefined;
  }

  /** Removes the region that begins at `guestAddress`, if there is one. */
  remove(guestAddress: number): void {
    const at = this.#firstFrom(guestAddress);
    if (this.#regions[at]?.guestAddress !== guestAddress) return;
    const last = this.#regions.length - 1;
    this.#starts.copyWithin(at, at + 1, last + 1);
    this.#ends.copyWithin(at, at + 1, last + 1);
    this.#starts[last] = 1;
    this.#ends[last] = 0;
    this.#regions.splice(at, 1);
    this.#views.splice(at, 1);
    this.#byUser = undefined;
    this.#change();
  }

  /** Index of the first region that does not begin below `address`. */
  #firstFrom(address: number): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    const starts = new Float64Array(this.#starts.length * 2).fill(1);
    const ends = new Float64Array(starts.length);
    starts.set(this.#starts);
    ends.set(this.#ends);
    this.#starts = starts;
    this.#ends = ends;
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
   * Returns the number of the `length` bytes at `address` that lie in that
   * address's region; 0 when the address is in none.
   */
  reach(address: number, length: number): number {
    const region = this.#search(address);
    return region < 0 ? 0 : Math.min(length, this.#ends[region]! - address);
  }

  /**
   * Returns true if all of `length` bytes at `address` exist, in adjacent
   * regions if need be.
   */
  covers(address: number, length: number): boolean {
    if (length === 0) return true;
    let region = this.#search(address);
    if (region < 0) return false;
    while (this.#ends[region]! < address + length) {
      if (!this.isAdjacent(region)) return false;
      region++;
    }
    return true;
  }

  /** Address of the first byte behind a region, by index. */
  end(region: number): number {
    return this.#ends[region]!;
  }

  /** Returns true if the next region, by index, begins where this one ends. */
  isAdjacent(region: number): boolean {
    return region + 1 < this.#regions.length &&
      this.#ends[region] === this.#starts[region + 1];
  }

  /** Returns true if a page, by its guest-physical number, was found to exist. */
  isKnown(page: number): boolean {
    return this.#known[page & (KNOWN_PAGES - 1)] === page;
  }

  /**
   * Is called before the device uses `length` bytes at `address`, at least one:
   * finds pages that do not exist yet.
   */
  touch(address: number, length: number): void {
    if (this.#onAbsentPages === undefined) return;
    const last = Math.floor((address + length - 1) / PAGE_BYTES);
    let absent = 0;
    for (let page = Math.floor(address / PAGE_BYTES); page <= last; page++) {
      if (!this.isKnown(page)) absent += this.#learn(page);
    }
    if (absent > 0) this.#onAbsentPages(absent);
  }

  /** Returns the number of pages of the file that did not exist. */
  #learn(page: number): number {
    const address = page * PAGE_BYTES;
    const index = this.#search(address);
    if (index < 0) return 0;
    this.#known[page & (KNOWN_PAGES - 1)] = page;
    return this.#regions[index]!
      .absentPages?.(address - this.#starts[index]!, PAGE_BYTES) ?? 0;
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
      const region = this.#regionOfUser(at, left);
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

  /**
   * The region that holds `address` of the frontend's address space. Where
   * several do (a VMM may map one piece of memory twice), it is the first that
   * holds all of the `length` bytes, or the one that begins last.
   */
  #regionOfUser(address: number, length: number): GuestRegion | undefined {
    const sorted = this.#byUser ??= this.#regions.toSorted((a, b) =>
      // Of two that begin alike the one with the lower guest address is last.
      a.userAddress - b.userAddress || b.guestAddress - a.guestAddress
    );
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]!.userAddress <= address) low = middle + 1;
      else high = middle;
    }
    let best: GuestRegion | undefined;
    for (let i = low - 1; i >= Math.max(0, low - MAX_ALIASES); i--) {
      const region = sorted[i]!;
      const end = region.userAddress + region.length;
      if (address >= end) continue;
      if (address + length <= end) return region;
      best ??= region;
    }
    return best;
  }
}

/** The reason why a region cannot be used, whatever others there are. */
function regionFault(region: GuestRegion): string | undefined {
  const { guestAddress, userAddress, length, buffer, bufferOffset } = region;
  for (const n of [guestAddress, userAddress, length, bufferOffset]) {
    if (!Number.isSafeInteger(n) || n < 0) {
      return `Cannot use a memory region with ${n} as an address or size: ` +
        "it must be an integer from 0 to 2^53 - 1";
    }
  }
  if (length === 0) {
    return `Cannot use the memory region at ${hex(guestAddress)}: it is empty`;
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
  return undefined;
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
