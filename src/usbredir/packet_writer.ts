/**
 * Packets on their way to the peer, in one buffer that is made once.
 *
 * @module
 */
import { LONG_HEADER, SHORT_HEADER } from "./protocol.ts";

/** Bytes that wait for the peer at most. */
const CAPACITY = 128 * 1024;

/** Writes packets one behind the other. */
export class PacketWriter {
  readonly #bytes = new Uint8Array(CAPACITY);
  readonly #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;
  #packet = 0;
  #hasOverflowed = false;
  /** Set once both sides can take ids of 64 bits. */
  hasLongIds = false;

  /** Bytes that wait. */
  get backlog(): number {
    return this.#end - this.#start;
  }

  /** True if a packet found no room, and was not written. */
  get hasOverflowed(): boolean {
    return this.#hasOverflowed;
  }

  /** Bytes that wait, lent until the next call. */
  get waiting(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** That many bytes are sent. */
  sent(count: number): void {
    this.#start += count;
    if (this.#start !== this.#end) return;
    this.#start = 0;
    this.#end = 0;
  }

  /**
   * Begins a packet that takes at most `room` bytes.
   *
   * @returns False if there is no room for it.
   */
  begin(type: number, idLow: number, idHigh: number, room: number): boolean {
    const needed = LONG_HEADER + room;
    if (this.#end + needed > CAPACITY && this.#start > 0) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end + needed > CAPACITY) {
      this.#hasOverflowed = true;
      return false;
    }
    this.#packet = this.#end;
    this.u32(type);
    this.u32(0);
    this.u32(idLow);
    if (this.hasLongIds) this.u32(idHigh);
    return true;
  }

  /** Ends the packet. */
  end(): void {
    const header = this.hasLongIds ? LONG_HEADER : SHORT_HEADER;
    this.#view.setUint32(
      this.#packet + 4,
      this.#end - this.#packet - header,
      true,
    );
  }

  /** Writes 8 bits. */
  u8(value: number): void {
    this.#bytes[this.#end++] = value;
  }

  /** Writes 16 bits. */
  u16(value: number): void {
    this.#view.setUint16(this.#end, value, true);
    this.#end += 2;
  }

  /** Writes 32 bits. */
  u32(value: number): void {
    this.#view.setUint32(this.#end, value, true);
    this.#end += 4;
  }

  /** Writes bytes as they are. */
  bytes(data: Uint8Array, length: number): void {
    for (let i = 0; i < length; i++) this.#bytes[this.#end + i] = data[i]!;
    this.#end += length;
  }

  /** Writes zeros. */
  zeros(count: number): void {
    this.#bytes.fill(0, this.#end, this.#end + count);
    this.#end += count;
  }
}
