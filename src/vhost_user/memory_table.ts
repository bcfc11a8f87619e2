/**
 * The guest's memory as the frontend describes it, mapped here.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { GuestMemory, type GuestRegion } from "../virtio/guest_memory.ts";
import type { RegionDescription } from "./codec.ts";
import { SharedFile } from "./shared_file.ts";

/** A region that is mapped. **Ownership**: the holder disposes `file`. */
export interface MappedRegion {
  /** What the frontend said of it. */
  readonly description: RegionDescription;
  /** Where it is mapped. */
  readonly file: SharedFile;
}

/**
 * Maps one region; its fd may be closed afterwards.
 *
 * @returns The region, or the rule that it breaks.
 * @throws {OsError} If the kernel refuses to map it.
 */
export function mapRegion(
  description: RegionDescription,
  fd: OwnedFd,
): MappedRegion | string {
  const { guestAddress, mmapOffset, size } = description;
  const subject = `the region at guest address 0x${guestAddress.toString(16)}`;
  const file = SharedFile.map(fd, mmapOffset, size, subject);
  return typeof file === "string" ? file : { description, file };
}

/** Whether two descriptions mean the same region; where it lies in its file is not asked. */
export function isSameRegion(
  a: RegionDescription,
  b: RegionDescription,
): boolean {
  return a.guestAddress === b.guestAddress && a.userAddress === b.userAddress &&
    a.size === b.size;
}

/**
 * A set of regions, as it stands until the frontend changes it: a change makes
 * another table, so that rings move from one whole memory to another.
 */
export class MemoryTable {
  /** The regions, in the frontend's order. **Ownership**: the session's. */
  readonly regions: readonly MappedRegion[];
  /** The same as the rings see it. */
  readonly memory: GuestMemory;

  private constructor(regions: readonly MappedRegion[], memory: GuestMemory) {
    this.regions = regions;
    this.memory = memory;
  }

  /** The table before the first message: no memory at all. */
  static readonly EMPTY: MemoryTable = new MemoryTable([], new GuestMemory([]));

  /**
   * Makes a table of mapped regions.
   *
   * @returns The table, or why these regions cannot stand together. The regions
   * stay the caller's either way.
   */
  static of(regions: readonly MappedRegion[]): MemoryTable | string {
    const guestRegions = regions.map(({ description, file }): GuestRegion => ({
      guestAddress: description.guestAddress,
      userAddress: description.userAddress,
      length: description.size,
      buffer: file.buffer,
      bufferOffset: file.offset,
    }));
    return GuestMemory.problemWith(guestRegions) ??
      new MemoryTable(regions, new GuestMemory(guestRegions));
  }

  /** Unmaps every region. Nothing may use the memory any more. */
  unmap(): void {
    for (const { file } of this.regions) file[Symbol.dispose]();
  }
}
