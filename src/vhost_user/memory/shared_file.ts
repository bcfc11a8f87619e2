/**
 * Mapping files that a frontend hands over: guest memory and in-flight logs.
 *
 * @module
 */
import { fdStatus } from "../../../ffi/file_status.ts";
import { givenKind } from "../../../ffi/given_fd.ts";
import { addressSpaceBytes } from "../../../ffi/machine_code.ts";
import { Mapping } from "../../../ffi/mapping.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";

/**
 * Smallest unit that offsets are aligned to: a multiple of every page size that
 * Linux has on the supported targets (4, 16 and 64 KiB).
 */
const PAGE_BYTES = 0x1_0000;
const SMALLEST_PAGE_BYTES = 4096;

const TIB = 2 ** 40;

/**
 * Bytes that a frontend may have mapped here: far more than any VM has, and a
 * small part of the addresses that a process has. Less where those are few.
 */
export function sessionLimitBytes(): number {
  return Math.min(TIB, addressSpaceBytes() / 16);
}

/**
 * Bytes that all frontends of the process may have mapped. The rest is for V8,
 * which ends the process when it finds no addresses for its heap.
 */
export function processLimitBytes(): number {
  return addressSpaceBytes() / 4;
}

let mapped = 0;
let mappedBytes = 0;

/**
 * Returns the number of pieces of frontends' files that this process has mapped
 * at present, for tests of leaks.
 */
export function mappedFileCount(): number {
  return mapped;
}

/** A piece of a frontend's file, mapped. **Ownership**: the holder unmaps it. */
export class SharedFile implements Disposable {
  readonly #mapping: Mapping;
  /** Offset of the piece in {@linkcode SharedFile.buffer}. **Units**: bytes. */
  readonly offset: number;
  /** **Units**: bytes. */
  readonly length: number;

  /** Bytes that a first access allocates: a page, or a huge one. */
  readonly #blockBytes: number;

  private constructor(
    mapping: Mapping,
    offset: number,
    length: number,
    blockBytes: number,
  ) {
    this.#blockBytes = blockBytes;
    this.#mapping = mapping;
    this.offset = offset;
    this.length = length;
    mapped++;
    mappedBytes += mapping.length;
  }

  /**
   * Maps `length` bytes at `offset` of the file behind `fd`, which may be closed
   * afterwards.
   *
   * The file must be that long now. A frontend can shrink it later, and a sparse
   * file cannot be filled in on a file system that is full: see
   * {@linkcode SharedFile.fault}. Seals (F_SEAL_SHRINK) do not help: no VMM
   * seals guest memory, and they do not allocate pages.
   *
   * @returns The mapped piece, or the rule that the file breaks.
   * @throws {OsError} If the kernel refuses to map it.
   */
  static map(
    fd: OwnedFd,
    offset: number,
    length: number,
    subject: string,
  ): SharedFile | string {
    const end = offset + length;
    if (
      !Number.isSafeInteger(offset) || !Number.isSafeInteger(length) ||
      !Number.isSafeInteger(end)
    ) {
      return `${subject} must end below 2^53`;
    }
    if (length === 0) return `${subject} must not be empty`;
    // Only these never wait for a disk, a network or a FUSE server: in `stat`, in
    // a page fault, when they are closed.
    if (givenKind(fd.fd) !== "memory") {
      return `${subject} must be a memfd or a file on tmpfs or hugetlbfs`;
    }
    const { size, blockBytes } = fdStatus(fd.fd);
    if (end > size) {
      return `${subject} ends at ${end} of a file that has ${size} bytes`;
    }
    // A hugetlbfs file must be mapped, and unmapped, in units of its page size,
    // which is its block size.
    const unit = Math.max(PAGE_BYTES, blockBytes);
    const start = Math.floor(offset / unit) * unit;
    const whole = Math.min(Math.ceil(end / unit) * unit, size) - start;
    const limit = sessionLimitBytes();
    if (whole > limit) {
      return `${subject} has ${whole} bytes, and a frontend may map ${limit}`;
    }
    const all = processLimitBytes();
    if (mappedBytes + whole > all) {
      return `${subject} does not fit: all frontends of this process may map ${all} bytes together, and have mapped ${mappedBytes}`;
    }
    const mapping = Mapping.map(fd.fd, {
      offset: start,
      length: whole,
      guardUnit: unit,
      subject,
    });
    return new SharedFile(mapping, offset - start, length, blockBytes);
  }

  /**
   * The memory, from a little before the piece to a little behind it.
   *
   * @throws {Deno.errors.BadResource} Once it is unmapped.
   */
  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** Bytes that are mapped for it, the pages around it included. */
  get mappedBytes(): number {
    return this.#mapping.length;
  }

  /**
   * Offset in the piece of the last access that found no page of the file;
   * undefined if all did. From then on the piece is zeroed memory that the
   * frontend does not share. **Units**: bytes.
   */
  get fault(): number | undefined {
    const fault = this.#mapping.fault;
    return fault === undefined ? undefined : fault - this.offset;
  }

  /**
   * Returns the number of pages in a range of the piece that do not exist yet: a
   * first access allocates them, and they count as this process's memory. Huge
   * ones are not looked for: those of hugetlbfs belong to no control group's memory.
   *
   * @param offset Where the range begins. **Units**: bytes.
   */
  absentPages(offset: number, length: number): number {
    if (this.#blockBytes > PAGE_BYTES) return 0;
    const start = this.offset + offset;
    const page = start - start % SMALLEST_PAGE_BYTES;
    return this.#mapping.absentPages(page, start + length - page);
  }

  /** Unmaps it; idempotent. No view of it may be used from here on. */
  [Symbol.dispose](): void {
    SharedFile.disposeAll([this]);
  }

  /** Unmaps several as disposing does. */
  static disposeAll(files: Iterable<SharedFile>): void {
    const mappings: Mapping[] = [];
    for (const file of files) {
      if (file.#mapping.disposed) continue;
      mapped--;
      mappedBytes -= file.#mapping.length;
      mappings.push(file.#mapping);
    }
    // The VMM may be gone, and its memory with this mapping.
    Mapping.disposeElsewhere(mappings);
  }
}
