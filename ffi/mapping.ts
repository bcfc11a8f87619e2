/**
 * Shared memory mappings of files.
 *
 * @module
 */
import { BusGuardedRange, MAX_GUARDED } from "./bus_guard.ts";
import { ENOMEM } from "./errno.ts";
import { unmapElsewhere } from "./helper_thread.ts";
import { check, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_NORESERVE = 0x4000;
const PAGE_BYTES = 4096;
const onePage = new Uint8Array(1);
const MAP_FAILED = 2n ** 64n - 1n;

let reportLeak: (what: string) => void = () => {};

/**
 * Sets the listener for mappings that were dropped without being disposed.
 *
 * **Safety**: the listener runs some time after a garbage collection, between
 * tasks.
 */
export function onLeakedMapping(listener: (what: string) => void): void {
  reportLeak = listener;
}

const leaks = new FinalizationRegistry<string>((what) => reportLeak(what));

/**
 * Options of a mapping.
 *
 * **Safety**: plain data.
 */
interface MappingOptions {
  /** Bytes to map; the last page is mapped whole. */
  readonly length: number;
  /** Offset of its first byte in the file; a multiple of the page size. */
  readonly offset?: number;
  /** Allows writing to the memory; default true. */
  readonly writable?: boolean;
  /**
   * Page size of the file, if a fault must not end the process (SIGBUS): for
   * files that others can truncate. See {@linkcode Mapping.fault}.
   */
  readonly guardUnit?: number;
  /** Subject of messages. */
  readonly subject: string;
}

/**
 * A piece of a file, shared with all others that map it.
 *
 * **Ownership**: the mapping is the holder's, who disposes it; the fd can be
 * closed right after mapping. **Safety**: the memory of {@linkcode
 * Mapping.buffer} is not JavaScript's. It changes at any time (use `Atomics`
 * where order matters), touching it beyond the end of the file kills the
 * process (SIGBUS) unless it is guarded, and so does any view of it that is
 * used after disposal (SIGSEGV): views belong to objects that are emptied
 * first. A write to a read-only mapping kills the process too.
 */
export class Mapping implements Disposable {
  #pointer: Deno.PointerObject | null;
  #buffer: ArrayBuffer | undefined;
  readonly #subject: string;
  readonly #guard: BusGuardedRange | undefined;
  /** Bytes mapped. */
  readonly length: number;

  private constructor(
    pointer: Deno.PointerObject,
    length: number,
    subject: string,
    guard: BusGuardedRange | undefined,
  ) {
    this.#pointer = pointer;
    this.#guard = guard;
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
   * @throws {OsError} EINVAL for an unaligned offset, EACCES for a file not
   * open for it, ENOMEM (also when {@linkcode MAX_GUARDED} mappings are
   * guarded), …
   * @throws {RangeError} If the length is not a positive integer.
   */
  static map(fd: number, options: MappingOptions): Mapping {
    const { length, offset = 0, writable = true, guardUnit, subject } = options;
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
    if (guardUnit === undefined) {
      return new Mapping(pointer, length, subject, undefined);
    }
    try {
      const guard = BusGuardedRange.add(
        Deno.UnsafePointer.value(pointer),
        length,
        guardUnit,
      );
      if (guard !== undefined) {
        return new Mapping(pointer, length, subject, guard);
      }
    } catch (error) {
      libc().munmap(pointer, BigInt(length));
      throw error;
    }
    libc().munmap(pointer, BigInt(length));
    throw new OsError(
      "mmap",
      ENOMEM,
      `${subject} (${MAX_GUARDED} mappings are guarded already)`,
    );
  }

  /**
   * Offset of the last access for which the file had no page; undefined if
   * there was none, or the mapping is not guarded. From then on the mapping is
   * zeroed memory of the process's own, and not shared.
   */
  get fault(): number | undefined {
    return this.#guard?.fault;
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

  /**
   * Returns the number of pages in a range that the file does not have in memory
   * now: a first access allocates them, as this process's memory. None where the
   * kernel does not say.
   *
   * @param offset Where the range begins, in whole pages. **Units**: bytes.
   */
  absentPages(offset: number, length: number): number {
    if (this.#pointer === null) return 0;
    const count = Math.ceil(length / PAGE_BYTES);
    const present = count === 1 ? onePage : new Uint8Array(count);
    const address = Deno.UnsafePointer.value(this.#pointer) + BigInt(offset);
    if (libc().mincore(address, BigInt(length), present) !== 0) return 0;
    let absent = 0;
    for (let i = 0; i < count; i++) if ((present[i]! & 1) === 0) absent++;
    return absent;
  }

  /** True once it was disposed. */
  get disposed(): boolean {
    return this.#buffer === undefined;
  }

  /**
   * Unmaps the memory; idempotent. No view of it may be used from here on. The
   * last user of a file frees its pages, which takes time: see {@linkcode
   * Mapping.disposeElsewhere}.
   */
  [Symbol.dispose](): void {
    const pointer = this.#release();
    if (pointer === null) return;
    check(
      libc().munmap(pointer, BigInt(this.length)),
      "munmap",
      this.#subject,
    );
  }

  /** Unmaps several at once as disposing does, without waiting for it. */
  static disposeElsewhere(mappings: Iterable<Mapping>): void {
    const ranges: { address: bigint; length: number }[] = [];
    for (const mapping of mappings) {
      const pointer = mapping.#release();
      if (pointer === null) continue;
      ranges.push({
        address: Deno.UnsafePointer.value(pointer),
        length: mapping.length,
      });
    }
    if (ranges.length > 0) unmapElsewhere(ranges);
  }

  #release(): Deno.PointerObject | null {
    const pointer = this.#pointer;
    this.#pointer = null;
    this.#buffer = undefined;
    this.#guard?.[Symbol.dispose]();
    if (pointer !== null) leaks.unregister(this);
    return pointer;
  }
}
