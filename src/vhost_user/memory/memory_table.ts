/**
 * The guest's memory as the frontend describes it, mapped here.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import type { RegionDescription } from "../messages/codec.ts";
import type { NamedFds } from "../messages/named_fds.ts";
import type { RegionRecord, SessionFds } from "../session_record.ts";
import { sessionLimitBytes, SharedFile } from "./shared_file.ts";

/** A region that is mapped. **Ownership**: the holder disposes `file`. */
interface MappedRegion {
  /** Description by the frontend. */
  readonly description: RegionDescription;
  /** Mapping of the region. */
  readonly file: SharedFile;
  /** Name by which its descriptor is kept. */
  readonly name: string;
}

/** Regions that ADD_MEM_REG may make: as many as KVM has slots on most hosts. */
export const MAX_MEM_SLOTS = 509;
/** Regions consist of whole pages, of the smallest size that there is. */
const PAGE_BYTES = 4096;

/**
 * Maps one region; its fd may be closed afterwards.
 *
 * @returns The region, or the rule that it breaks.
 * @throws {OsError} If the kernel refuses to map it.
 */
function mapRegion(
  description: RegionDescription,
  fd: OwnedFd,
  name: string,
): MappedRegion | string {
  const { guestAddress, mmapOffset, size } = description;
  const subject = `the region at guest address 0x${guestAddress.toString(16)}`;
  // Otherwise one buffer could lie in as many pieces as it has bytes.
  if (guestAddress % PAGE_BYTES !== 0 || size % PAGE_BYTES !== 0) {
    return `${subject} (${size} bytes) must consist of whole pages of ${PAGE_BYTES} bytes`;
  }
  const file = SharedFile.map(fd, mmapOffset, size, subject);
  return typeof file === "string" ? file : { description, file, name };
}

/** True if two descriptions mean the same region; where it lies in its file is not asked. */
function isSameRegion(
  a: RegionDescription,
  b: RegionDescription,
): boolean {
  return a.guestAddress === b.guestAddress && a.userAddress === b.userAddress &&
    a.size === b.size;
}

/** The guest's memory: the regions of the frontend, mapped. */
export class MemoryTable {
  /** By guest address. **Ownership**: the table's. */
  readonly #regions = new Map<number, MappedRegion>();
  #mappedBytes = 0;
  /** The same as the rings see it. */
  readonly memory: GuestMemory = new GuestMemory();

  readonly #named: NamedFds;

  /** Makes an empty table that reports pages which do not exist yet. */
  constructor(onAbsentPages: (pages: number) => void, named: NamedFds) {
    this.#named = named;
    this.memory.onAbsentPages = onAbsentPages;
  }

  /** Number of regions. */
  get size(): number {
    return this.#regions.size;
  }

  /**
   * Maps all regions of a new table. Takes no fd over.
   *
   * @returns The table, or the rule that a region breaks; nothing is mapped then.
   * @throws {OsError} If the kernel refuses to map one; the same.
   */
  static map(
    descriptions: readonly RegionDescription[],
    fds: readonly OwnedFd[],
    onAbsentPages: (pages: number) => void,
    named: NamedFds,
  ): MemoryTable | string {
    const table = new MemoryTable(onAbsentPages, named);
    let isComplete = false;
    try {
      for (const [i, description] of descriptions.entries()) {
        const problem = table.addMapped(description, fds[i]!);
        if (problem !== undefined) return problem;
      }
      isComplete = true;
      return table;
    } finally {
      if (!isComplete) table.unmap();
    }
  }

  /**
   * Maps a region and adds it; rings that run go on undisturbed. Takes no fd
   * over.
   *
   * @param name Name of a descriptor that is kept already.
   * @returns The rule that it breaks, alone or beside the others.
   * @throws {OsError} If the kernel refuses to map it.
   */
  addMapped(
    description: RegionDescription,
    fd: OwnedFd,
    name?: string,
  ): string | undefined {
    const named = name ?? this.#named.bring("memory", fd.fd);
    const region = mapRegion(description, fd, named);
    if (typeof region === "string") return region;
    const problem = this.#add(region);
    if (problem !== undefined) region.file[Symbol.dispose]();
    return problem;
  }

  /** Describes its regions for the next process, and names their descriptors. */
  record(fds: SessionFds): RegionRecord[] {
    return [...this.#regions.values()].map(({ description, name }) => {
      fds.set(name, this.#named.findFd(name));
      return { ...description, file: name };
    });
  }

  /** **Ownership**: taken over, unless it is refused. */
  #add(region: MappedRegion): string | undefined {
    const { description, file } = region;
    const limit = sessionLimitBytes();
    if (this.#mappedBytes + file.mappedBytes > limit) {
      return `a frontend may map ${limit} bytes, and has mapped ${this.#mappedBytes}`;
    }
    const problem = this.memory.add({
      guestAddress: description.guestAddress,
      userAddress: description.userAddress,
      length: description.size,
      buffer: file.buffer,
      bufferOffset: file.offset,
      absentPages: (offset, length) => file.absentPages(offset, length),
    });
    if (problem !== undefined) return problem;
    this.#regions.set(description.guestAddress, region);
    this.#mappedBytes += file.mappedBytes;
    return undefined;
  }

  /** The region that the frontend described like this, if there is one. */
  find(description: RegionDescription): MappedRegion | undefined {
    const region = this.#regions.get(description.guestAddress);
    return region !== undefined && isSameRegion(region.description, description)
      ? region
      : undefined;
  }

  /** Removes and unmaps a region. No ring that runs may lie in it. */
  remove({ description: { guestAddress }, file }: MappedRegion): void {
    this.memory.remove(guestAddress);
    this.#regions.delete(guestAddress);
    this.#mappedBytes -= file.mappedBytes;
    file[Symbol.dispose]();
  }

  /**
   * Guest-physical address of an access that found no page of its region's file;
   * undefined if all did.
   */
  get faultAddress(): number | undefined {
    for (const { description, file } of this.#regions.values()) {
      const { fault } = file;
      if (fault !== undefined) return description.guestAddress + fault;
    }
    return undefined;
  }

  /** Unmaps every region. Nothing may use the memory any more. */
  unmap(): void {
    SharedFile.disposeAll(this.#regions.values().map(({ file }) => file));
  }
}
