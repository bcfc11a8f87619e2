/**
 * Packets on their way to the peer.
 *
 * @module
 */
import { OutputBuffer } from "../usb_host/output_buffer.ts";
import { LONG_HEADER, Packet, SHORT_HEADER } from "./protocol.ts";

/** Bytes that wait for the peer at most. */
const CAPACITY = 128 * 1024;

/** Writes packets one behind the other. */
export class PacketWriter extends OutputBuffer {
  #packet = 0;
  /** Set once both sides can take ids of 64 bits. */
  hasLongIds = false;

  /** Makes an empty buffer. */
  constructor() {
    super(CAPACITY);
  }

  /**
   * Begins a packet that takes at most `room` bytes.
   *
   * @returns False if there is no room for it.
   */
  begin(type: number, idLow: number, idHigh: number, room: number): boolean {
    if (!this.makeRoom(LONG_HEADER + room)) return false;
    this.#packet = this.end;
    this.u32(type);
    this.u32(0);
    this.u32(idLow);
    if (this.hasLongIds) this.u32(idHigh);
    return true;
  }

  override wholeMessages(most: number): number {
    let at = this.start;
    while (at < this.end) {
      // The hello is written before it is known which ids both sides take.
      const isLong = this.hasLongIds &&
        this.view.getUint32(at, true) !== Packet.Hello;
      const next = at + (isLong ? LONG_HEADER : SHORT_HEADER) +
        this.view.getUint32(at + 4, true);
      if (next - this.start > most && at > this.start) break;
      at = next;
    }
    return at - this.start;
  }

  /** Ends the packet. */
  finish(): void {
    const header = this.hasLongIds ? LONG_HEADER : SHORT_HEADER;
    this.view.setUint32(
      this.#packet + 4,
      this.end - this.#packet - header,
      true,
    );
  }

  /** Writes 8 bits. */
  u8(value: number): void {
    this.buffer[this.end++] = value;
  }

  /** Writes 16 bits. */
  u16(value: number): void {
    this.view.setUint16(this.end, value, true);
    this.end += 2;
  }

  /** Writes 32 bits. */
  u32(value: number): void {
    this.view.setUint32(this.end, value, true);
    this.end += 4;
  }

  /** Writes bytes as they are. */
  bytes(data: Uint8Array, length: number): void {
    this.append(data, length);
  }

  /** Writes zeros. */
  zeros(count: number): void {
    this.buffer.fill(0, this.end, this.end + count);
    this.end += count;
  }
}
