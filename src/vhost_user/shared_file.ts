/**
 * Mapping files that a frontend hands over: guest memory and in-flight logs.
 *
 * @module
 */
import { fdStatus } from "../../ffi/files.ts";
import { Mapping } from "../../ffi/mapping.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";

/**
 * Smallest unit that offsets are aligned to: a multiple of every page size that
 * Linux has on the supported targets (4, 16 and 64 KiB).
 */
const PAGE_BYTES = 0x1_0000;
/** Largest huge page there is (16 GiB, aarch64 with 64 KiB pages). */
const MAX_PAGE_BYTES = 2 ** 34;

let mapped = 0;

/**
 * How many pieces of frontends' files this process has mapped at present, for
 * metrics and leak checks.
 */
export function mappedFileCount(): number {
  return mapped;
}

/** A piece of a frontend's file, mapped. **Ownership**: the holder unmaps it. */
export class SharedFile implements Disposable {
  readonly #mapping: Mapping;
  /** Where in {@linkcode SharedFile.buffer} the piece begins. **Units**: bytes. */
  readonly offset: number;
  /** **Units**: bytes. */
  readonly length: number;

  private constructor(mapping: Mapping, offset: number, length: number) {
    this.#mapping = mapping;
    this.offset = offset;
    this.length = length;
    mapped++;
  }

  /**
   * Maps `length` bytes at `offset` of the file behind `fd`, which may be closed
   * afterwards.
   *
   * The file must be that long now: touching a page beyond its end would kill
   * the process (SIGBUS), and with it every other guest's aggregator. A frontend
   * that shrinks its file *later* still can do that. Seals against it
   * (F_SEAL_SHRINK) cannot be demanded, since no VMM seals guest memory and
   * files on hugetlbfs or tmpfs have none; who does not trust a VMM with the
   * other guests' lines runs one process per VM.
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
    const { kind, size } = fdStatus(fd.fd);
    if (kind !== "regular file") {
      // Only of a file is it known how much of it can be touched.
      return `${subject} must lie in a file (a memfd, tmpfs, hugetlbfs), not in a ${kind}`;
    }
    if (end > size) {
      return `${subject} ends at ${end} of a file that has ${size} bytes`;
    }
    const unit = mappingUnit(size);
    const start = Math.floor(offset / unit) * unit;
    const mapping = Mapping.map(fd.fd, {
      offset: start,
      length: Math.min(Math.ceil(end / unit) * unit, size) - start,
      subject,
    });
    return new SharedFile(mapping, offset - start, length);
  }

  /**
   * The memory, from a little before the piece to a little behind it.
   *
   * @throws {Deno.errors.BadResource} Once it is unmapped.
   */
  get buffer(): ArrayBuffer {
    return this.#mapping.buffer;
  }

  /** Unmaps it; idempotent. Whoever has a view of it must have dropped it. */
  [Symbol.dispose](): void {
    if (this.#mapping.disposed) return;
    mapped--;
    this.#mapping[Symbol.dispose]();
  }
}

/**
 * What a mapping of a file of `size` bytes must be a multiple of, in offset and
 * length. A hugetlbfs file must be mapped, and unmapped, in units of its own
 * page size, which its size is a multiple of: so the largest power of two that
 * divides the size always does. More address space than needed is no cost.
 */
function mappingUnit(size: number): number {
  let unit = PAGE_BYTES;
  while (unit < MAX_PAGE_BYTES && size % (unit * 2) === 0) unit *= 2;
  return unit;
}
