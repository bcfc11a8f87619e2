/**
 * The guest's memory, as a VMM would own it: one memfd per region, mapped
 * here and handed to the backend by the memory table.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";

/** Place of a region. **Units**: bytes. */
export interface RegionPlan {
  /** Guest-physical address of the first byte. */
  readonly guestAddress: number;
  /** Length; a multiple of the page size. */
  readonly length: number;
  /**
   * The address that the frontend claims to have the region at. Only numbers
   * to the backend: it must translate ring addresses by them and may never
   * use them as pointers. Differs from the guest address by default.
   */
  readonly userAddress?: number;
  /** Offset of the region in its memfd; a multiple of the page size. */
  readonly fileOffset?: number;
}

/** A region of guest memory that exists. */
export interface Region {
  /** Guest-physical address of the first byte. */
  readonly guestAddress: number;
  /** The address by which the frontend names the first byte to the backend. */
  readonly userAddress: number;
  /** **Units**: bytes. */
  readonly length: number;
  /** Offset of the region in the memfd. **Units**: bytes. */
  readonly fileOffset: number;
  /** The memfd. **Ownership**: the memory's. */
  readonly fd: OwnedFd;
  /** The mapped bytes of the region. Invalid once the memory is disposed. */
  readonly buffer: ArrayBuffer;
}

/** A place in guest memory that was found by its guest-physical address. */
export interface GuestSpan {
  /** The region's bytes. */
  readonly buffer: ArrayBuffer;
  /** Offset of the span in `buffer`. */
  readonly offset: number;
}

/** One region of 1 MiB: enough for rings, buffers and some thousand lines. */
export const DEFAULT_REGIONS: readonly RegionPlan[] = [
  { guestAddress: 0x4000_0000, length: 0x10_0000 },
];

/** Far from every guest address, so that mixing the two up is found at once. */
const USER_ADDRESS_BASE = 0x7f10_0000_0000;

interface OwnedRegion extends Region {
  readonly mapping: Mapping;
  /** First byte that was not given out yet. */
  free: number;
}

/**
 * Guest memory with a simple allocator: memory is given out once and lives as
 * long as the guest.
 *
 * **Ownership**: owns every memfd and mapping; dispose of it last, after
 * everything that reads through its buffers.
 */
export class FrontendMemory implements Disposable {
  readonly #regions: OwnedRegion[] = [];

  private constructor() {}

  /**
   * Makes and maps the regions.
   *
   * @throws {RangeError} If two regions overlap.
   * @throws {OsError} If the kernel has no memory for them.
   */
  static create(
    plans: readonly RegionPlan[] = DEFAULT_REGIONS,
  ): FrontendMemory {
    const memory = new FrontendMemory();
    try {
      for (const plan of plans) memory.add(plan);
    } catch (error) {
      memory[Symbol.dispose]();
      throw error;
    }
    return memory;
  }

  /** The regions, in the order in which they were added. */
  get regions(): readonly Region[] {
    return this.#regions;
  }

  /**
   * Adds a region. The backend learns of it with the next memory table, or
   * with ADD_MEM_REG.
   *
   * @throws {RangeError} If it overlaps one that exists.
   */
  add(plan: RegionPlan): Region {
    const { guestAddress, length, fileOffset = 0 } = plan;
    const userAddress = plan.userAddress ?? USER_ADDRESS_BASE + guestAddress;
    for (const other of this.#regions) {
      if (
        guestAddress < other.guestAddress + other.length &&
        other.guestAddress < guestAddress + length
      ) {
        throw new RangeError(
          `Cannot add guest memory at 0x${guestAddress.toString(16)}: it ` +
            `overlaps the region at 0x${other.guestAddress.toString(16)}`,
        );
      }
    }
    const fd = createMemFd("gpioagg-probe", fileOffset + length);
    try {
      const mapping = Mapping.map(fd.fd, {
        length,
        offset: fileOffset,
        writable: true,
        subject: "guest memory of the probe",
      });
      const region: OwnedRegion = {
        guestAddress,
        userAddress,
        length,
        fileOffset,
        fd,
        mapping,
        buffer: mapping.buffer,
        free: 0,
      };
      this.#regions.push(region);
      return region;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Unmaps a region that nothing uses any longer, and closes its memfd. */
  remove(region: Region): void {
    const at = this.#regions.findIndex((each) => each === region);
    const [owned] = at < 0 ? [] : this.#regions.splice(at, 1);
    owned?.mapping[Symbol.dispose]();
    owned?.fd.close();
  }

  /**
   * Gives out `length` bytes, zeroed.
   *
   * @param align A power of two. **Units**: bytes.
   * @param regionIndex Which region to take them from.
   * @returns The guest-physical address.
   * @throws {RangeError} If the region is full.
   */
  allocate(length: number, align = 16, regionIndex = 0): number {
    const region = this.#regions[regionIndex];
    if (region === undefined) {
      throw new RangeError(`Guest memory has no region ${regionIndex}`);
    }
    const start = Math.ceil(region.free / align) * align;
    if (start + length > region.length) {
      throw new RangeError(
        `Guest memory is full: region ${regionIndex} has ` +
          `${region.length - start} bytes left and ${length} are wanted; ` +
          "give the frontend larger regions",
      );
    }
    region.free = start + length;
    // As drivers do: the pages are the guest's before the backend uses them.
    new Uint8Array(region.buffer, start, length).fill(0);
    return region.guestAddress + start;
  }

  /**
   * Finds the bytes behind a guest-physical range.
   *
   * @throws {RangeError} If no single region holds all of it.
   */
  span(guestAddress: number, length: number): GuestSpan {
    const region = this.#findRegion(guestAddress, length);
    return {
      buffer: region.buffer,
      offset: guestAddress - region.guestAddress,
    };
  }

  /**
   * Turns a guest-physical address into the frontend's address of it, which
   * is what SET_VRING_ADDR carries.
   */
  toUserAddress(guestAddress: number): number {
    const region = this.#findRegion(guestAddress, 1);
    return guestAddress - region.guestAddress + region.userAddress;
  }

  [Symbol.dispose](): void {
    for (const region of this.#regions.splice(0)) {
      region.mapping[Symbol.dispose]();
      region.fd.close();
    }
  }

  #findRegion(guestAddress: number, length: number): OwnedRegion {
    for (const region of this.#regions) {
      if (
        guestAddress >= region.guestAddress &&
        guestAddress + length <= region.guestAddress + region.length
      ) return region;
    }
    throw new RangeError(
      `No region of guest memory holds ${length} bytes at ` +
        `0x${guestAddress.toString(16)}`,
    );
  }
}
