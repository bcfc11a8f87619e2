/**
 * The driver's side of a split virtqueue, for tests of the device's side. It is
 * written from the driver's perspective and shares no code with the device: the
 * offsets below are those of virtio 1.3, section 2.7, written out once more.
 *
 * It can be honest (`add`, `publish`, `collect`) and hostile (`writeDescriptor`,
 * `makeAvailable`, `setAvailIndex`).
 *
 * @module
 */

/** One buffer of a chain. */
export interface DriverBuffer {
  /** Guest-physical address. */
  address: number;
  /** **Units**: bytes. */
  length: number;
  /** Set if the device writes it. */
  writable: boolean;
}

/** One entry of the used ring. */
export interface UsedEntry {
  head: number;
  length: number;
}

/** Places of a ring and its scratch memory. */
export interface RingDriverOptions {
  /** All of the guest's memory that this driver knows. */
  memory: ArrayBuffer;
  /** Guest-physical address of the first byte of `memory`. */
  guestAddress: number;
  /** Offset of the ring in `memory`; a multiple of 16. */
  offset: number;
  /** Entries; a power of two. */
  size: number;
  /** Set if EVENT_IDX is negotiated. */
  eventIndex?: boolean;
  /** Index at which both rings begin. */
  firstIndex?: number;
}

const DESCRIPTOR_SIZE = 16;
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

/** A part of the ring: what it is, where it begins, and what it takes. */
export interface RingPart {
  name: string;
  offset: number;
  length: number;
}

/** A split virtqueue as its driver sees it. */
export class RingDriver {
  readonly size: number;
  /** Guest-physical addresses, as a transport would be told. */
  readonly descriptorAddress: number;
  readonly availAddress: number;
  readonly usedAddress: number;
  /** The parts of the ring, as offsets into the memory. */
  readonly parts: readonly RingPart[];
  /** First offset behind the ring. */
  readonly endOffset: number;
  readonly #view: DataView;
  readonly #guestAddress: number;
  readonly #descriptors: number;
  readonly #avail: number;
  readonly #used: number;
  readonly #eventIndex: boolean;
  readonly #free: number[] = [];
  // Descriptors of each chain that is out, by head.
  readonly #chains = new Map<number, number[]>();
  #availIndex: number;
  #usedIndex: number;

  constructor(options: RingDriverOptions) {
    const { memory, guestAddress, offset, size } = options;
    this.size = size;
    this.#view = new DataView(memory);
    this.#guestAddress = guestAddress;
    this.#eventIndex = options.eventIndex ?? false;
    const descriptorBytes = DESCRIPTOR_SIZE * size;
    const availBytes = 6 + 2 * size;
    const usedBytes = 6 + 8 * size;
    this.#descriptors = offset;
    this.#avail = this.#descriptors + descriptorBytes;
    this.#used = Math.ceil((this.#avail + availBytes) / 4) * 4;
    this.endOffset = Math.ceil((this.#used + usedBytes) / 16) * 16;
    this.parts = [
      {
        name: "descriptors",
        offset: this.#descriptors,
        length: descriptorBytes,
      },
      { name: "available", offset: this.#avail, length: availBytes },
      { name: "used", offset: this.#used, length: usedBytes },
    ];
    this.descriptorAddress = guestAddress + this.#descriptors;
    this.availAddress = guestAddress + this.#avail;
    this.usedAddress = guestAddress + this.#used;
    for (let i = size - 1; i >= 0; i--) this.#free.push(i);
    this.#availIndex = this.#usedIndex = options.firstIndex ?? 0;
    this.#view.setUint16(this.#avail + 2, this.#availIndex, true);
    this.#view.setUint16(this.#used + 2, this.#usedIndex, true);
    this.setUsedEvent(this.#usedIndex);
  }

  /** The driver's own index: entries made available so far, modulo 2^16. */
  get availIndex(): number {
    return this.#availIndex;
  }

  /** Entries of the used ring that the driver has seen, modulo 2^16. */
  get seenUsedIndex(): number {
    return this.#usedIndex;
  }

  /** Descriptors that are free. */
  get freeCount(): number {
    return this.#free.length;
  }

  /** Makes a chain of descriptors for these buffers; does not publish it. */
  add(buffers: readonly DriverBuffer[]): number {
    if (buffers.length === 0 || buffers.length > this.#free.length) {
      throw new Error(
        `no room for ${buffers.length} descriptors: ${this.#free.length} are free`,
      );
    }
    const used = buffers.map(() => this.#free.pop()!);
    buffers.forEach((buffer, i) => {
      this.writeDescriptor(used[i]!, {
        ...buffer,
        flags: (buffer.writable ? WRITE : 0) |
          (i + 1 < buffers.length ? NEXT : 0),
        next: used[i + 1] ?? 0,
      });
    });
    this.#chains.set(used[0]!, used);
    this.#enter(used[0]!);
    return used[0]!;
  }

  /** The same with one indirect descriptor; the table goes to `tableAddress`. */
  addIndirect(buffers: readonly DriverBuffer[], tableAddress: number): number {
    const head = this.#free.pop();
    if (head === undefined) throw new Error("no descriptor is free");
    buffers.forEach((buffer, i) => {
      this.#writeAt(
        tableAddress - this.#guestAddress + i * DESCRIPTOR_SIZE,
        buffer.address,
        buffer.length,
        (buffer.writable ? WRITE : 0) | (i + 1 < buffers.length ? NEXT : 0),
        i + 1 < buffers.length ? i + 1 : 0,
      );
    });
    this.writeDescriptor(head, {
      address: tableAddress,
      length: buffers.length * DESCRIPTOR_SIZE,
      flags: INDIRECT,
      next: 0,
    });
    this.#chains.set(head, [head]);
    this.#enter(head);
    return head;
  }

  /**
   * Shows what was added to the device.
   *
   * @returns Whether the device wants a kick for it.
   */
  publish(): boolean {
    const old = this.#view.getUint16(this.#avail + 2, true);
    const now = this.#availIndex;
    this.#view.setUint16(this.#avail + 2, now, true);
    if (!this.#eventIndex) {
      return (this.#view.getUint16(this.#used, true) & 1) === 0;
    }
    const event = this.availEvent();
    // The entries old, old + 1, … now - 1 are new: is the event among them?
    for (let i = old; i !== now; i = (i + 1) & 0xffff) {
      if (i === event) return true;
    }
    return false;
  }

  /** Takes what the device has used since the last time, and frees it. */
  collect(): UsedEntry[] {
    const entries: UsedEntry[] = [];
    const now = this.usedIndex();
    while (this.#usedIndex !== now) {
      const at = this.#used + 4 + 8 * (this.#usedIndex % this.size);
      const head = this.#view.getUint32(at, true);
      entries.push({ head, length: this.#view.getUint32(at + 4, true) });
      const chain = this.#chains.get(head);
      if (chain !== undefined) {
        this.#free.push(...chain);
        this.#chains.delete(head);
      }
      this.#usedIndex = (this.#usedIndex + 1) & 0xffff;
    }
    this.setUsedEvent(this.#usedIndex);
    return entries;
  }

  /** The device's used index as it stands in memory. */
  usedIndex(): number {
    return this.#view.getUint16(this.#used + 2, true);
  }

  /** The flags of the used ring (1: no kicks). */
  usedFlags(): number {
    return this.#view.getUint16(this.#used, true);
  }

  /** The entry for which the device wants a kick. */
  availEvent(): number {
    return this.#view.getUint16(this.#used + 4 + 8 * this.size, true);
  }

  /** Asks for a notification once entry `index` of the used ring is there. */
  setUsedEvent(index: number): void {
    this.#view.setUint16(this.#avail + 4 + 2 * this.size, index, true);
  }

  /** Sets the flags of the available ring (1: no notifications). */
  setAvailFlags(flags: number): void {
    this.#view.setUint16(this.#avail, flags, true);
  }

  /** Hostile: writes any descriptor. */
  writeDescriptor(
    index: number,
    descriptor: {
      address: number;
      length: number;
      flags: number;
      next: number;
      highAddress?: number;
    },
  ): void {
    const at = this.#descriptors + index * DESCRIPTOR_SIZE;
    const { address, length, flags, next, highAddress } = descriptor;
    this.#writeAt(at, address, length, flags, next);
    if (highAddress !== undefined) {
      this.#view.setUint32(at + 4, highAddress, true);
    }
  }

  /** Hostile: puts any number into the available ring and shows it. */
  makeAvailable(head: number): void {
    this.#enter(head);
    this.#view.setUint16(this.#avail + 2, this.#availIndex, true);
  }

  /** Hostile: sets the available index as the device sees it. */
  setAvailIndex(index: number): void {
    this.#availIndex = index & 0xffff;
    this.#view.setUint16(this.#avail + 2, this.#availIndex, true);
  }

  #enter(head: number): void {
    const at = this.#avail + 4 + 2 * (this.#availIndex % this.size);
    this.#view.setUint16(at, head, true);
    this.#availIndex = (this.#availIndex + 1) & 0xffff;
  }

  #writeAt(
    at: number,
    address: number,
    length: number,
    flags: number,
    next: number,
  ): void {
    this.#view.setUint32(at, address % 2 ** 32, true);
    this.#view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
    this.#view.setUint32(at + 8, length, true);
    this.#view.setUint16(at + 12, flags, true);
    this.#view.setUint16(at + 14, next, true);
  }
}
