/**
 * Shared memory mappings of files.
 *
 * @module
 */
import { check, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_NORESERVE = 0x4000;
const MAP_FAILED = 2n ** 64n - 1n;

const leaks = new FinalizationRegistry<string>((what) =>
  console.error(`a mapping of ${what} was never disposed`)
);

/**
 * How to map a file.
 *
 * **Safety**: plain data.
 */
export interface MappingOptions {
  /** Bytes to map; the last page is mapped whole. */
  readonly length: number;
  /** Where in the file to begin; a multiple of the page size. */
  readonly offset?: number;
  /** Whether the memory may be written; true unless said otherwise. */
  readonly writable?: boolean;
  /** What it is, for messages. */
  readonly subject: string;
}

/**
 * A piece of a file, shared with whoever else maps it.
 *
 * **Ownership**: the mapping is the holder's, who disposes it; the fd can be
 * closed right after mapping. **Safety**: the memory of {@linkcode
 * Mapping.buffer} is not JavaScript's. It changes at any time (use `Atomics`
 * where order matters), touching it beyond the end of the file kills the process
 * (SIGBUS), and so does any view of it that is used after disposal (SIGSEGV):
 * views belong to objects that are emptied first. A write to a read-only mapping
 * kills the process too.
 */
export class Mapping implements Disposable {
  #pointer: Deno.PointerObject | null;
  #buffer: ArrayBuffer | undefined;
  readonly #subject: string;
  /** Bytes mapped. */
  readonly length: number;

  private constructor(
    pointer: Deno.PointerObject,
    length: number,
    subject: string,
  ) {
    this.#pointer = pointer;
    this.length = length;
    this.#subject = subject;
    this.#buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, length);
    leaks.register(this, subject, this);
  }

  /**
   * Maps `options.length` bytes of a file.
   *
   * Whether the file is that long is the caller's to know.
   *
   * @throws {OsError} EINVAL for an unaligned offset, EACCES for a file not open
   * for it, ENOMEM, …
   * @throws {RangeError} If the length is not a positive integer.
   */
  static map(fd: number, options: MappingOptions): Mapping {
    const { length, offset = 0, writable = true, subject } = options;
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new RangeError(
        `Cannot map ${length} bytes of ${subject}: at least 1 is needed`,
      );
    }
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new RangeError(
        `Cannot map ${subject} from ${offset} on: not an offset of a file`,
      );
    }
    const pointer = libc().mmap(
      null,
      BigInt(length),
      writable ? PROT_READ | PROT_WRITE : PROT_READ,
      MAP_SHARED | MAP_NORESERVE,
      fd,
      BigInt(offset),
    );
    const errno = lastErrno();
    if (pointer === null || Deno.UnsafePointer.value(pointer) === MAP_FAILED) {
      throw new OsError("mmap", errno, subject);
    }
    return new Mapping(pointer, length, subject);
  }

  /**
   * The memory.
   *
   * @throws {Deno.errors.BadResource} If the mapping was disposed.
   */
  get buffer(): ArrayBuffer {
    if (this.#buffer === undefined) {
      throw new Deno.errors.BadResource(
        `Cannot use the memory of ${this.#subject}: it is not mapped any more`,
      );
    }
    return this.#buffer;
  }

  /** Whether it was disposed. */
  get disposed(): boolean {
    return this.#buffer === undefined;
  }

  /** Unmaps the memory; idempotent. No view of it may be used from here on. */
  [Symbol.dispose](): void {
    const pointer = this.#pointer;
    if (pointer === null) return;
    this.#pointer = null;
    this.#buffer = undefined;
    leaks.unregister(this);
    check(
      libc().munmap(pointer, BigInt(this.length)),
      "munmap",
      this.#subject,
    );
  }
}
