/**
 * A split virtqueue from the driver's side. Written from the specification
 * alone: it shares nothing with the device's side of the ring, so that a
 * mistake in one is not repeated in the other.
 *
 * **Source**: virtio 1.2, section 2.7 "Split Virtqueues".
 *
 * @module
 */
import { RuleViolation } from "./errors.ts";
import type { GuestSpan } from "./memory.ts";

/** Descriptor flag: the chain goes on at `next`. */
export const DESCRIPTOR_NEXT = 1;
/** Descriptor flag: the device writes this buffer. */
export const DESCRIPTOR_WRITE = 2;
/** Descriptor flag: the buffer is a table of descriptors. */
export const DESCRIPTOR_INDIRECT = 4;
/** Used-ring flag: the device wants no kicks. */
export const USED_NO_NOTIFY = 1;

/** Size of a descriptor. **Units**: bytes. */
export const DESCRIPTOR_BYTES = 16;
const RING_HEADER_BYTES = 4; // flags and index
const AVAIL_ENTRY_BYTES = 2;
const USED_ENTRY_BYTES = 8;
const EVENT_BYTES = 2; // used_event and avail_event

const DESCRIPTOR_ALIGN = 16;
const AVAIL_ALIGN = 2;
const USED_ALIGN = 4;

/** Sizes of the parts of a ring. **Units**: bytes. */
interface RingSizes {
  /** The descriptor table. */
  readonly descriptors: number;
  /** The available ring with `used_event`. */
  readonly avail: number;
  /** The used ring with `avail_event`. */
  readonly used: number;
}

/** Sizes of the three parts of a ring with `size` entries. */
export function ringSizes(size: number): RingSizes {
  return {
    descriptors: DESCRIPTOR_BYTES * size,
    avail: RING_HEADER_BYTES + AVAIL_ENTRY_BYTES * size + EVENT_BYTES,
    used: RING_HEADER_BYTES + USED_ENTRY_BYTES * size + EVENT_BYTES,
  };
}

/**
 * Returns true if the other side asked, by its event index, to be notified of
 * an index that moved from `old` to `next`.
 *
 * **Source**: virtio 1.2, section 2.7.10.
 */
export function eventIndexPassed(
  event: number,
  next: number,
  old: number,
): boolean {
  return ((next - event - 1) & 0xffff) < ((next - old) & 0xffff);
}

/** Guest memory as a ring needs it; tests bring a plain buffer. */
export interface RingMemory {
  /** Gives out zeroed bytes; yields their guest-physical address. */
  allocate(length: number, align: number, region: number): number;
  /** Finds the bytes behind a guest-physical range. */
  span(guestAddress: number, length: number): GuestSpan;
}

/** Options of a ring. */
interface DriverRingOptions {
  /** Memory that it lives in. */
  readonly memory: RingMemory;
  /** Entries; a power of two up to 32768. */
  readonly size: number;
  /** True if VIRTIO_F_EVENT_IDX was negotiated. */
  readonly eventIndex: boolean;
  /** Which region of the memory to lay it in. */
  readonly region?: number;
}

/**
 * The driver's side of one split ring. Nothing is checked on the way out, so
 * that a test can say to the device whatever it likes; everything is checked
 * on the way in.
 */
export class DriverRing {
  /** Entries. */
  readonly size: number;
  /** Guest-physical address of the descriptor table. */
  readonly descriptorAddress: number;
  /** Guest-physical address of the available ring. */
  readonly availAddress: number;
  /** Guest-physical address of the used ring. */
  readonly usedAddress: number;
  /** The head that {@linkcode takeUsed} has just taken. */
  usedHead = 0;
  /** The length that {@linkcode takeUsed} has just taken. **Units**: bytes. */
  usedLength = 0;

  readonly #memory: RingMemory;
  readonly #eventIndex: boolean;
  readonly #mask: number;
  /** Words of the available ring: 0 flags, 1 index, then the entries. */
  readonly #avail: Uint16Array;
  /** Words of the used ring's header, 0 flags and 1 index, to its end. */
  readonly #usedWords: Uint16Array;
  /** The used ring's entries: id and length in turn. */
  readonly #usedEntries: Uint32Array;
  readonly #descriptors: DataView;
  readonly #availEventAt: number;
  readonly #usedEventAt: number;
  /** Index behind the last entry that was written. */
  #nextAvail = 0;
  /** Index that the device has been shown. */
  #published = 0;
  #nextUsed = 0;

  private constructor(options: DriverRingOptions) {
    const { memory, size, region = 0 } = options;
    const sizes = ringSizes(size);
    this.#memory = memory;
    this.#eventIndex = options.eventIndex;
    this.size = size;
    this.#mask = size - 1;
    this.descriptorAddress = memory.allocate(
      sizes.descriptors,
      DESCRIPTOR_ALIGN,
      region,
    );
    this.availAddress = memory.allocate(sizes.avail, AVAIL_ALIGN, region);
    this.usedAddress = memory.allocate(sizes.used, USED_ALIGN, region);
    const table = memory.span(this.descriptorAddress, sizes.descriptors);
    const avail = memory.span(this.availAddress, sizes.avail);
    const used = memory.span(this.usedAddress, sizes.used);
    this.#descriptors = new DataView(
      table.buffer,
      table.offset,
      sizes.descriptors,
    );
    this.#avail = new Uint16Array(avail.buffer, avail.offset, size + 3);
    this.#usedWords = new Uint16Array(used.buffer, used.offset, 4 * size + 3);
    this.#usedEntries = new Uint32Array(
      used.buffer,
      used.offset + RING_HEADER_BYTES,
      2 * size,
    );
    this.#usedEventAt = size + 2;
    this.#availEventAt = 4 * size + 2;
  }

  /**
   * Lays a ring out in guest memory.
   *
   * @throws {RangeError} If `size` is not a power of two up to 32768, or memory
   * is full.
   */
  static create(options: DriverRingOptions): DriverRing {
    const { size } = options;
    const isPower = Number.isInteger(size) && (size & (size - 1)) === 0;
    if (!isPower || size < 1 || size > 32768) {
      throw new RangeError(
        `Cannot make a ring of ${size} entries: a split ring has a power of ` +
          "two, up to 32768",
      );
    }
    return new DriverRing(options);
  }

  /** Entries that were made available and not taken back. */
  get outstanding(): number {
    return (this.#nextAvail - this.#nextUsed) & 0xffff;
  }

  /** Index of the next available entry: what the driver has shown so far. */
  get availIndex(): number {
    return this.#published;
  }

  /** Index of the next used entry that the driver will look at. */
  get nextUsed(): number {
    return this.#nextUsed;
  }

  /** The device's used index as it stands in memory. */
  get deviceUsedIndex(): number {
    return Atomics.load(this.#usedWords, 1);
  }

  /** Writes a descriptor of the ring's own table. */
  writeDescriptor(
    index: number,
    address: number | bigint,
    length: number,
    flags: number,
    next = 0,
  ): void {
    putDescriptor(
      this.#descriptors,
      index * DESCRIPTOR_BYTES,
      address,
      length,
      flags,
      next,
    );
  }

  /** Writes entry `index` of an indirect table that begins at `table`. */
  writeIndirect(
    table: number,
    index: number,
    address: number | bigint,
    length: number,
    flags: number,
    next = 0,
  ): void {
    const span = this.#memory.span(
      table + index * DESCRIPTOR_BYTES,
      DESCRIPTOR_BYTES,
    );
    const view = new DataView(span.buffer, span.offset, DESCRIPTOR_BYTES);
    putDescriptor(view, 0, address, length, flags, next);
  }

  /** Writes the next available entry; the device sees it at {@linkcode publish}. */
  makeAvailable(head: number): void {
    this.#avail[2 + (this.#nextAvail & this.#mask)] = head;
    this.#nextAvail = (this.#nextAvail + 1) & 0xffff;
  }

  /**
   * Shows the device all entries written so far.
   *
   * @returns Whether the device wants a kick for them.
   */
  publish(): boolean {
    const old = this.#published;
    const next = this.#nextAvail;
    this.#published = next;
    // Sequentially consistent both: whether the device wants a kick is read only
    // after it can see the new index, or one of the two would sleep for ever.
    Atomics.store(this.#avail, 1, next);
    if (this.#eventIndex) {
      const event = Atomics.load(this.#usedWords, this.#availEventAt);
      return eventIndexPassed(event, next, old);
    }
    return (Atomics.load(this.#usedWords, 0) & USED_NO_NOTIFY) === 0;
  }

  /** Stores any available index, also one that no entries stand behind. */
  publishRaw(index: number): void {
    this.#published = this.#nextAvail = index & 0xffff;
    Atomics.store(this.#avail, 1, index & 0xffff);
  }

  /**
   * Returns the number of used entries that wait to be taken.
   *
   * @throws {RuleViolation} If the device gave back more than it was given.
   */
  usedCount(): number {
    const count = (Atomics.load(this.#usedWords, 1) - this.#nextUsed) & 0xffff;
    if (count > ((this.#published - this.#nextUsed) & 0xffff)) {
      throw new RuleViolation(
        "virtio 2.7.8: the device returns each available buffer once",
        `the used index ran ${count} entries ahead while ` +
          `${(this.#published - this.#nextUsed) & 0xffff} were outstanding`,
      );
    }
    return count;
  }

  /**
   * Takes the next used entry into `usedHead` and `usedLength`. Only after
   * {@linkcode usedCount} reported one.
   */
  takeUsed(): void {
    const at = (this.#nextUsed & this.#mask) << 1;
    this.usedHead = this.#usedEntries[at] as number;
    this.usedLength = this.#usedEntries[at + 1] as number;
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
  }

  /**
   * Asks the device for a call at the next used entry. The caller looks at
   * {@linkcode usedCount} once more before it sleeps.
   *
   * @param after Entries that need no call before that one, where the event
   * index was negotiated.
   */
  enableCalls(after = 0): void {
    if (this.#eventIndex) {
      const event = (this.#nextUsed + after) & 0xffff;
      Atomics.store(this.#avail, this.#usedEventAt, event);
    } else Atomics.store(this.#avail, 0, 0);
  }

  /** Empties the ring, as a driver does after a device reset. */
  reset(): void {
    this.#nextAvail = this.#published = this.#nextUsed = 0;
    this.#avail.fill(0);
    this.#usedWords.fill(0);
  }
}

function putDescriptor(
  view: DataView,
  at: number,
  address: number | bigint,
  length: number,
  flags: number,
  next: number,
): void {
  view.setBigUint64(at, BigInt(address), true);
  view.setUint32(at + 8, length, true);
  view.setUint16(at + 12, flags, true);
  view.setUint16(at + 14, next, true);
}
