/**
 * One descriptor chain of a split ring: walked once, checked while it is
 * walked, and from then on a list of readable and of writable parts.
 *
 * A descriptor is read from shared memory exactly once; what was read is what
 * is checked and used. A driver may arrange the bytes of its buffers over
 * descriptors in any way, so users of a chain see byte positions, never
 * descriptors.
 *
 * **Source**: virtio 1.3, sections 2.7.4 (framing), 2.7.5 (descriptor table),
 * 2.7.5.3 (indirect descriptors).
 *
 * @module
 */
import { layout, LITTLE_ENDIAN, U16, U32, U64 } from "../../../ffi/layout.ts";
import { ChainFault } from "./chain_fault.ts";
import { type GuestMemory, PAGE_BYTES } from "./guest_memory.ts";

/** `struct virtq_desc`. */
export const DESCRIPTOR = layout("virtq_desc", 16, [
  ["addr", U64], // guest-physical
  ["len", U32],
  ["flags", U16],
  ["next", U16], // if flags & NEXT
]);

/** The descriptor continues in the one that its `next` names. */
export const VIRTQ_DESC_F_NEXT = 1;
/** The device may write the buffer, and not read it. */
export const VIRTQ_DESC_F_WRITE = 2;
/** The buffer is a table of descriptors. */
export const VIRTQ_DESC_F_INDIRECT = 4;

const DESCRIPTOR_SIZE = DESCRIPTOR.size;
const AT_ADDRESS_LOW = DESCRIPTOR.at.addr;
const AT_ADDRESS_HIGH = DESCRIPTOR.at.addr + 4;
const AT_LENGTH = DESCRIPTOR.at.len;
// flags and next in one load: flags in the low half, next in the high half.
const AT_FLAGS_NEXT = DESCRIPTOR.at.flags;
const NEXT_SHIFT = 16;
const TWO_TO_32 = 2 ** 32;
const MAX_CHAIN_BYTES = TWO_TO_32 - 1;

/**
 * Descriptors that an indirect table may use even in a smaller queue. The
 * specification allows no chain longer than the queue; drivers with tiny queues
 * and indirect descriptors are known to do it and do no harm.
 */
const INDIRECT_CHAIN_ALLOWANCE = 64;

/**
 * Descriptors of a chain, however large the queue is: one chain is one unit of
 * work. QEMU serves no more either (VIRTQUEUE_MAX_SIZE); requests and event
 * buffers of virtio-gpio have two.
 */
const MAX_CHAIN_DESCRIPTORS = 1024;

/**
 * Contiguous parts of a chain. Without a limit a few descriptors that each span
 * hundreds of small memory regions would make millions.
 */
const MAX_PARTS = 1024;

/**
 * Parts for which there is room from the start; hostile chains make it grow.
 */
const INITIAL_PARTS = 16;

/**
 * Bytes at the beginning of what is read, and of what is written, that a chain is
 * used for at least: requests, answers and events are shorter.
 */
const TOUCHED_BYTES = 8;

const LONGEST_TABLE_BYTES = MAX_CHAIN_DESCRIPTORS * DESCRIPTOR_SIZE;
/** Length of a window, at most: a driver has its buffers in fewer pages. */
const MAX_WINDOW_BYTES = 512 * PAGE_BYTES;

/** Up to here a loop copies faster than making a view for it. */
const FEW_BYTES = 64;

const READABLE = 0;
const WRITABLE = 1;
/** An indirect table. */
const TABLE = 2;
const KINDS = 3;

/**
 * The chain that a queue popped last: one object per queue, filled again by
 * each pop.
 *
 * **Ownership**: valid until the next `pop` of its queue.
 */
export class DescriptorChain {
  readonly #memory: GuestMemory;
  readonly #ring: DataView;
  readonly #queueSize: number;
  readonly #indirectAllowed: boolean;
  // One descriptor, copied together from an indirect table that spans regions.
  readonly #copyBytes = new Uint8Array(DESCRIPTOR.size);
  readonly #copy = new DataView(this.#copyBytes.buffer);
  // The readable parts come first, then the writable ones.
  #regions = new Int32Array(INITIAL_PARTS);
  #offsets = new Float64Array(INITIAL_PARTS);
  #lengths = new Float64Array(INITIAL_PARTS);
  #readableParts = 0;
  #parts = 0;
  // Typed, since a sum beyond 2^31 must not become a heap number.
  readonly #totals = new Float64Array(2);
  // For each kind of memory a window within a region, where the driver had its
  // last ones: adjacent pages that exist. What lies in it needs no other look,
  // neither for its region nor for its pages. Empty: 1 to 0.
  readonly #windowStarts = new Float64Array(KINDS).fill(1);
  readonly #windowEnds = new Float64Array(KINDS);
  readonly #windowRegions = new Int32Array(KINDS);
  readonly #windowBases = new Float64Array(KINDS);
  #tableView: DataView;
  #generation = -1;
  #isOutside = false;

  /** The descriptor the chain begins with: how the queue knows it. */
  head = 0;
  /** Why the chain cannot be used; give it back unread then. */
  fault: ChainFault = ChainFault.None;
  /** Descriptors, and further parts of their buffers: its cost, for budgets. */
  stepCount = 0;

  /**
   * Makes the chain object of a queue.
   *
   * @param ring The ring's descriptor table, `queueSize` entries.
   */
  constructor(
    memory: GuestMemory,
    ring: DataView,
    queueSize: number,
    indirectAllowed: boolean,
  ) {
    this.#memory = memory;
    this.#ring = ring;
    this.#tableView = ring;
    this.#queueSize = queueSize;
    this.#indirectAllowed = indirectAllowed;
  }

  /** Bytes the driver filled in for the device. */
  get readableBytes(): number {
    return this.#totals[READABLE]!;
  }

  /** Bytes the device may write. */
  get writableBytes(): number {
    return this.#totals[WRITABLE]!;
  }

  /**
   * Walks the chain that begins at `head`, which is below the queue's size.
   * The outcome is in `fault`.
   */
  load(head: number): void {
    this.head = head;
    this.stepCount = 0;
    this.#parts = 0;
    this.#readableParts = 0;
    this.#totals[READABLE] = 0;
    this.#totals[WRITABLE] = 0;
    if (this.#generation !== this.#memory.generation) this.#closeWindows();
    this.#isOutside = false;
    this.fault = this.#walk(head);
    if (this.#isOutside) this.#touch();
  }

  #closeWindows(): void {
    this.#generation = this.#memory.generation;
    this.#windowStarts.fill(1);
    this.#windowEnds.fill(0);
    this.#tableView = this.#ring;
  }

  /** Is about to be read and written where requests and answers are. */
  #touch(): void {
    this.#touchParts(0, this.#readableParts, READABLE);
    this.#touchParts(this.#readableParts, this.#parts, WRITABLE);
  }

  #touchParts(first: number, end: number, kind: 0 | 1): void {
    let left = TOUCHED_BYTES;
    for (let part = first; part < end && left > 0; part++) {
      const bytes = Math.min(left, this.#lengths[part]!);
      const region = this.#regions[part]!;
      const address = this.#memory.start(region) + this.#offsets[part]!;
      this.#memory.touch(address, bytes);
      if (part === first) this.#openWindow(kind, region, address, bytes);
      left -= bytes;
    }
  }

  /**
   * Is called for bytes of a region that were touched: their pages, and the
   * window so far if it lies beside them, become the window.
   */
  #openWindow(
    kind: number,
    region: number,
    address: number,
    length: number,
  ): void {
    const memory = this.#memory;
    const starts = this.#windowStarts;
    const ends = this.#windowEnds;
    let start = memory.start(region);
    let end = memory.end(region);
    if (memory.onAbsentPages !== undefined) {
      const last = address + length - 1;
      start = Math.max(start, address - address % PAGE_BYTES);
      end = Math.min(end, last - last % PAGE_BYTES + PAGE_BYTES);
      if (
        this.#windowRegions[kind] === region &&
        starts[kind]! <= end && start <= ends[kind]!
      ) {
        const from = Math.min(start, starts[kind]!);
        const to = Math.max(end, ends[kind]!);
        if (to - from <= MAX_WINDOW_BYTES) {
          start = from;
          end = to;
        }
      }
    }
    this.#windowRegions[kind] = region;
    this.#windowBases[kind] = memory.start(region);
    if (kind === TABLE) this.#tableView = memory.view(region);
    starts[kind] = start;
    ends[kind] = end;
  }

  #walk(head: number): ChainFault {
    const memory = this.#memory;
    const starts = this.#windowStarts;
    const ends = this.#windowEnds;
    let table = this.#ring;
    let base = 0;
    let entries = this.#queueSize;
    let limit = Math.min(entries, MAX_CHAIN_DESCRIPTORS);
    let index = head;
    let count = 0;
    let isIndirect = false;
    let isSpanning = false;
    let seenWritable = false;
    let tableAddress = 0;
    for (;;) {
      if (count === limit) return ChainFault.TooLong;
      count++;
      this.stepCount++;
      let at = base + index * DESCRIPTOR_SIZE;
      if (isSpanning) {
        const address = tableAddress + at;
        const region = memory.locate(address, DESCRIPTOR_SIZE);
        if (region >= 0) {
          table = memory.view(region);
          at = address - memory.start(region);
        } else {
          memory.copyOut(address, this.#copyBytes);
          table = this.#copy;
          at = 0;
        }
      }
      const low = table.getUint32(at + AT_ADDRESS_LOW, LITTLE_ENDIAN);
      const high = table.getUint32(at + AT_ADDRESS_HIGH, LITTLE_ENDIAN);
      const length = table.getUint32(at + AT_LENGTH, LITTLE_ENDIAN);
      const flagsNext = table.getUint32(at + AT_FLAGS_NEXT, LITTLE_ENDIAN);
      const address = high * TWO_TO_32 + low;
      if ((flagsNext & VIRTQ_DESC_F_INDIRECT) !== 0) {
        if (!this.#indirectAllowed) return ChainFault.IndirectNotNegotiated;
        if (isIndirect) return ChainFault.IndirectNested;
        if ((flagsNext & VIRTQ_DESC_F_NEXT) !== 0) {
          return ChainFault.IndirectWithNext;
        }
        if (length === 0 || length % DESCRIPTOR_SIZE !== 0) {
          return ChainFault.IndirectLength;
        }
        if (address >= starts[TABLE]! && address + length <= ends[TABLE]!) {
          table = this.#tableView;
          base = address - this.#windowBases[TABLE]!;
        } else {
          const region = memory.locate(address, length);
          const bytes = Math.min(length, LONGEST_TABLE_BYTES);
          if (region >= 0) {
            table = memory.view(region);
            base = address - memory.start(region);
            memory.touch(address, bytes);
            this.#openWindow(TABLE, region, address, bytes);
          } else {
            if (!memory.covers(address, length)) {
              return ChainFault.IndirectOutOfRange;
            }
            memory.touch(address, bytes);
            isSpanning = true;
            tableAddress = address;
            base = 0;
          }
        }
        isIndirect = true;
        entries = length / DESCRIPTOR_SIZE;
        limit = Math.min(
          entries,
          MAX_CHAIN_DESCRIPTORS,
          Math.max(this.#queueSize, INDIRECT_CHAIN_ALLOWANCE),
        );
        index = 0;
        count = 0;
        continue;
      }
      const kind = (flagsNext & VIRTQ_DESC_F_WRITE) !== 0 ? WRITABLE : READABLE;
      if (kind === WRITABLE) seenWritable = true;
      else if (seenWritable) return ChainFault.ReadableAfterWritable;
      // An empty buffer adds nothing, wherever it claims to be.
      if (length !== 0) {
        if (address >= starts[kind]! && address + length <= ends[kind]!) {
          const offset = address - this.#windowBases[kind]!;
          this.#addPart(this.#windowRegions[kind]!, offset, length, kind);
        } else {
          this.#isOutside = true;
          const fault = this.#addOutside(address, length, kind);
          if (fault !== ChainFault.None) return fault;
        }
        if (
          this.#totals[READABLE]! + this.#totals[WRITABLE]! > MAX_CHAIN_BYTES
        ) return ChainFault.TooManyBytes;
      }
      if ((flagsNext & VIRTQ_DESC_F_NEXT) === 0) return ChainFault.None;
      index = flagsNext >>> NEXT_SHIFT;
      if (index >= entries) return ChainFault.NextOutOfRange;
    }
  }

  /** A buffer that lies across adjacent regions becomes one part in each. */
  #addOutside(address: number, length: number, kind: 0 | 1): ChainFault {
    const memory = this.#memory;
    let region = memory.locate(address, 1);
    if (region < 0) return ChainFault.BufferOutOfRange;
    let offset = address - memory.start(region);
    let left = length;
    for (;;) {
      if (this.#parts === MAX_PARTS) return ChainFault.TooManyParts;
      const there = memory.end(region) - memory.start(region) - offset;
      const bytes = Math.min(left, there);
      this.#addPart(region, offset, bytes, kind);
      left -= bytes;
      if (left === 0) return ChainFault.None;
      if (!memory.isAdjacent(region)) return ChainFault.BufferOutOfRange;
      this.stepCount++;
      region++;
      offset = 0;
    }
  }

  #addPart(
    region: number,
    offset: number,
    length: number,
    kind: 0 | 1,
  ): void {
    const part = this.#parts;
    if (part === this.#regions.length) this.#grow();
    this.#regions[part] = region;
    this.#offsets[part] = offset;
    this.#lengths[part] = length;
    this.#totals[kind] = this.#totals[kind]! + length;
    this.#parts = part + 1;
    if (kind === READABLE) this.#readableParts = part + 1;
  }

  #grow(): void {
    const regions = new Int32Array(this.#regions.length * 2);
    const offsets = new Float64Array(regions.length);
    const lengths = new Float64Array(regions.length);
    regions.set(this.#regions);
    offsets.set(this.#offsets);
    lengths.set(this.#lengths);
    this.#regions = regions;
    this.#offsets = offsets;
    this.#lengths = lengths;
  }

  /**
   * Reads four readable bytes from `position`, which the caller knows to be
   * there (`position + 4 <= readableBytes`).
   */
  readUint32(position: number): number {
    if (position + 4 <= this.#lengths[0]!) {
      return this.#memory.view(this.#regions[0]!)
        .getUint32(this.#offsets[0]! + position, LITTLE_ENDIAN);
    }
    let value = 0;
    for (let i = 3; i >= 0; i--) {
      value = value * 256 + this.readUint8(position + i);
    }
    return value;
  }

  /** Reads two readable bytes from `position`; they are known to be there. */
  readUint16(position: number): number {
    return this.readUint8(position) | this.readUint8(position + 1) << 8;
  }

  /** Reads the readable byte at `position`; it is known to be there. */
  readUint8(position: number): number {
    const part = this.#partAt(0, position);
    return this.#memory.view(this.#regions[part]!)
      .getUint8(this.#offsets[part]! + this.#within(0, part, position));
  }

  /** Writes two bytes at `position` of the writable part; there is room. */
  writeUint16(position: number, value: number): void {
    const first = this.#readableParts;
    if (position + 2 <= this.#lengths[first]!) {
      this.#memory.view(this.#regions[first]!)
        .setUint16(this.#offsets[first]! + position, value, LITTLE_ENDIAN);
      return;
    }
    this.writeUint8(position, value & 0xff);
    this.writeUint8(position + 1, value >>> 8);
  }

  /** Writes one byte at `position` of the writable part; there is room. */
  writeUint8(position: number, value: number): void {
    const first = this.#readableParts;
    const part = this.#partAt(first, position);
    this.#memory.view(this.#regions[part]!).setUint8(
      this.#offsets[part]! + this.#within(first, part, position),
      value,
    );
  }

  /** Writes bytes from `position` of the writable part on; there is room. */
  writeBytes(position: number, source: Uint8Array): void {
    const first = this.#readableParts;
    // Parts are visited once each: a hostile chain may have one per byte.
    let part = this.#partAt(first, position);
    let within = this.#within(first, part, position);
    let done = 0;
    while (done < source.length) {
      const bytes = Math.min(
        source.length - done,
        this.#lengths[part]! - within,
      );
      const view = this.#memory.view(this.#regions[part]!);
      const offset = this.#offsets[part]! + within;
      // Also of short ones: each may lie in a page of its own.
      this.#memory.touch(
        this.#memory.start(this.#regions[part]!) + offset,
        bytes,
      );
      if (bytes <= FEW_BYTES) {
        for (let i = 0; i < bytes; i++) {
          view.setUint8(offset + i, source[done + i]!);
        }
      } else {
        new Uint8Array(view.buffer, view.byteOffset + offset, bytes)
          .set(source.subarray(done, done + bytes));
      }
      done += bytes;
      part++;
      within = 0;
    }
  }

  /** Guest-physical address of a writable byte, for writing it later. */
  writableAddress(position: number): number {
    const first = this.#readableParts;
    const part = this.#partAt(first, position);
    return this.#memory.start(this.#regions[part]!) + this.#offsets[part]! +
      this.#within(first, part, position);
  }

  /** The part that holds `position`, counted from part `first` on. */
  #partAt(first: number, position: number): number {
    let part = first;
    let left = position;
    while (left >= this.#lengths[part]!) left -= this.#lengths[part++]!;
    return part;
  }

  /**
   * Returns the place in `part` of the byte at `position`, counted from `first`
   * on.
   */
  #within(first: number, part: number, position: number): number {
    let left = position;
    for (let i = first; i < part; i++) left -= this.#lengths[i]!;
    return left;
  }
}
