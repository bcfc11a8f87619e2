/**
 * Surviving SIGBUS in mappings of other processes' files.
 *
 * Access to a page of a mapped file raises SIGBUS when the file has no such
 * page any more (it was truncated), or the page cannot be allocated (a sparse
 * file on a full tmpfs, no free huge pages) or read (a memory error). By
 * default that ends the process. A handler of a few dozen instructions instead
 * maps zeroed memory over the *whole* guarded mapping, marks its entry, counts
 * the fault, and returns: the access is repeated and succeeds. What reads the
 * memory afterwards finds zeros; the event loop looks at the count and ends
 * what used the mapping. The whole mapping, not the page: no second signal is
 * needed, huge pages need no care, and a peer cannot split it into thousands of
 * pieces.
 *
 * A fault anywhere else goes to the handler that was there before.
 *
 * The handler works on whichever thread the fault occurs. A system call that is
 * given such memory fails with EFAULT instead; no call of this program is.
 *
 * @module
 */
import { bytes, I32, layout, LITTLE_ENDIAN, U64 } from "./layout.ts";
import { check, libc } from "./libc.ts";
import { machineCode, TABLE_BYTES } from "./machine_code.ts";
import { SIGACTION } from "./sigaction.ts";

const SIGBUS = 7;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x0800_0000;

/**
 * The table that the handler reads: a header, then slots.
 *
 * `zeros` is the kernel's `struct sigaction` of the default action.
 */
const HEADER = layout("bus_table", 64, [
  ["used", I32],
  ["faults", I32],
  ["previous", U64],
  ["_reserved", bytes(16)],
  ["zeros", bytes(32)],
]);
const SLOT = layout("bus_slot", 32, [
  ["base", U64],
  ["end", U64],
  ["unit", U64],
  ["fault", U64],
]);

/**
 * The most mappings that can be guarded at a time: half of what Linux lets a
 * process have of any kind (vm.max_map_count).
 *
 * **Safety**: a constant.
 */
export const MAX_GUARDED = (TABLE_BYTES - HEADER.size) / SLOT.size;

const WORD = 8;

/** The table of this isolate and its handler. */
class BusGuard {
  /** Header and slots in words; slots are read by the handler at any time. */
  readonly words: BigUint64Array;
  readonly counts: Int32Array;
  readonly #free: number[] = [];
  #used = 0;

  constructor() {
    const code = machineCode();
    const table = Deno.UnsafePointerView.getArrayBuffer(
      code.table,
      TABLE_BYTES,
    );
    this.words = new BigUint64Array(table);
    this.counts = new Int32Array(table);
    const handler = Deno.UnsafePointer.value(code.routine("bus"));
    // The handler may run as soon as it is installed, and must know by then
    // where to go on; another isolate may install its own at the same time.
    this.#setPrevious(this.#exchange(undefined));
    this.#setPrevious(this.#exchange(handler));
  }

  #setPrevious(handler: bigint): void {
    Atomics.store(this.words, HEADER.at.previous / WORD, handler);
  }

  /** Installs a handler, or none; returns the one before. */
  #exchange(handler: bigint | undefined): bigint {
    const old = new Uint8Array(SIGACTION.size);
    let action = new Uint8Array(0);
    if (handler !== undefined) {
      action = new Uint8Array(SIGACTION.size);
      const view = new DataView(action.buffer);
      view.setBigUint64(SIGACTION.at.sa_handler, handler, LITTLE_ENDIAN);
      view.setInt32(
        SIGACTION.at.sa_flags,
        SA_SIGINFO | SA_ONSTACK,
        LITTLE_ENDIAN,
      );
    }
    check(libc().sigaction(SIGBUS, action, old), "sigaction", "SIGBUS");
    return new DataView(old.buffer)
      .getBigUint64(SIGACTION.at.sa_handler, LITTLE_ENDIAN);
  }

  add(base: bigint, end: bigint, unit: bigint): number | undefined {
    const slot = this.#free.pop() ?? this.#used;
    if (slot >= MAX_GUARDED) return undefined;
    const at = this.at(slot);
    Atomics.store(this.words, at + SLOT.at.base / WORD, base);
    Atomics.store(this.words, at + SLOT.at.unit / WORD, unit);
    Atomics.store(this.words, at + SLOT.at.fault / WORD, 0n);
    Atomics.store(this.words, at + SLOT.at.end / WORD, end);
    if (slot === this.#used) Atomics.store(this.counts, 0, ++this.#used);
    return slot;
  }

  remove(slot: number): void {
    // Below every address: the slot matches nothing.
    Atomics.store(this.words, this.at(slot) + SLOT.at.end / WORD, 0n);
    this.#free.push(slot);
  }

  at(slot: number): number {
    return (HEADER.size + slot * SLOT.size) / WORD;
  }
}

let guard: BusGuard | undefined;

/**
 * Counts the faults in guarded mappings of this isolate since it began, modulo
 * 2^32. One load: for an event loop to look at in every turn.
 *
 * **Safety**: looks only.
 */
export function busFaultCount(): number {
  return guard === undefined ? 0 : guard.counts[HEADER.at.faults / 4]!;
}

/**
 * An address range in which SIGBUS is survived. **Ownership**: disposed before
 * the range is unmapped. **Safety**: from the first fault on, the range is not
 * the file's memory any more but zeroed memory of the process's own.
 */
export class BusGuardedRange implements Disposable {
  readonly #guard: BusGuard;
  readonly #base: bigint;
  #slot: number;

  private constructor(guard: BusGuard, base: bigint, slot: number) {
    this.#guard = guard;
    this.#base = base;
    this.#slot = slot;
  }

  /**
   * Guards `length` bytes from `base` on; undefined if {@linkcode MAX_GUARDED}
   * ranges are guarded already.
   *
   * @param base First address, of a page.
   * @param unit Page size of the file, a power of two.
   * @throws {OsError} If the handler cannot be installed.
   */
  static add(
    base: bigint,
    length: number,
    unit: number,
  ): BusGuardedRange | undefined {
    guard ??= new BusGuard();
    const slot = guard.add(base, base + BigInt(length), BigInt(unit));
    return slot === undefined
      ? undefined
      : new BusGuardedRange(guard, base, slot);
  }

  /** Offset of the last access that found no page; undefined if all did. */
  get fault(): number | undefined {
    if (this.#slot < 0) return undefined;
    const at = this.#guard.at(this.#slot) + SLOT.at.fault / WORD;
    const address = Atomics.load(this.#guard.words, at);
    return address === 0n ? undefined : Number(address - this.#base);
  }

  /** Ends the guard; idempotent. */
  [Symbol.dispose](): void {
    if (this.#slot < 0) return;
    this.#guard.remove(this.#slot);
    this.#slot = -1;
  }
}
