/**
 * QEMU's side of a usbredir connection, as bytes: packets to send, and packets
 * taken apart. Nothing of the code under test is used.
 *
 * @module
 */

/** One packet, taken apart. */
export interface UsbPacket {
  readonly type: number;
  readonly id: number;
  readonly body: Uint8Array;
}

/** Capabilities that QEMU announces. */
export const QEMU_CAPABILITIES = 0xff;

/** Numbers of packets that the tests use. */
export const T = {
  hello: 0,
  connect: 1,
  reset: 3,
  interfaces: 4,
  endpoints: 5,
  setConfiguration: 6,
  getConfiguration: 7,
  configuration: 8,
  setAlt: 9,
  getAlt: 10,
  alt: 11,
  startIso: 12,
  stopIso: 13,
  iso: 14,
  startInterrupt: 15,
  stopInterrupt: 16,
  interruptStatus: 17,
  cancel: 21,
  filterReject: 22,
  filter: 23,
  disconnectAck: 24,
  control: 100,
  bulk: 101,
  interrupt: 103,
} as const;

/** Makes packets. */
export class UsbredirPeer {
  readonly capabilities: number;
  #isGreeted = false;

  /** Announces these capabilities. */
  constructor(capabilities = QEMU_CAPABILITIES) {
    this.capabilities = capabilities;
  }

  get #hasLongIds(): boolean {
    return this.#isGreeted && (this.capabilities & 1 << 5) !== 0;
  }

  /** A packet of any type. */
  packet(type: number, id: number, body: readonly number[] = []): Uint8Array {
    const header = this.#hasLongIds ? 16 : 12;
    const bytes = new Uint8Array(header + body.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, body.length, true);
    view.setUint32(8, id >>> 0, true);
    if (header === 16) view.setUint32(12, Math.floor(id / 2 ** 32), true);
    bytes.set(body, header);
    return bytes;
  }

  /** The first packet. */
  hello(): Uint8Array {
    const version = new TextEncoder().encode("QEMU usb-redir guest");
    const body = new Array<number>(64).fill(0);
    for (const [i, byte] of version.entries()) body[i] = byte;
    body.push(this.capabilities, 0, 0, 0);
    const bytes = this.packet(T.hello, 0, body);
    this.#isGreeted = true;
    return bytes;
  }

  /** A control transfer. */
  control(
    id: number,
    requestType: number,
    request: number,
    value: number,
    index: number,
    length: number,
    data: readonly number[] = [],
  ): Uint8Array {
    return this.packet(T.control, id, [
      ...[requestType & 0x80, request, requestType, 0],
      ...word(value),
      ...word(index),
      ...word(length),
      ...data,
    ]);
  }

  /** A bulk transfer to an endpoint; from one: of `length` bytes at most. */
  bulk(
    id: number,
    endpoint: number,
    data: readonly number[],
    length = data.length,
    stream = 0,
  ): Uint8Array {
    return this.packet(T.bulk, id, [
      ...[endpoint, 0],
      ...word(length & 0xffff),
      ...word(stream & 0xffff),
      ...word(stream >>> 16),
      ...((this.capabilities & 1 << 6) === 0 ? [] : word(length >>> 16)),
      ...data,
    ]);
  }

  /** An interrupt transfer to an endpoint. */
  interrupt(id: number, endpoint: number, data: readonly number[]): Uint8Array {
    return this.packet(T.interrupt, id, [
      ...[endpoint, 0],
      ...word(data.length),
      ...data,
    ]);
  }

  /**
   * Takes packets apart; the first one is a hello, if `isFirst` says so.
   *
   * @throws {Error} If they do not end where the bytes do.
   */
  parse(bytes: Uint8Array, isFirst = false): UsbPacket[] {
    const packets: UsbPacket[] = [];
    let hasLongIds = this.#hasLongIds && !isFirst;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length;) {
      const header = hasLongIds ? 16 : 12;
      const length = view.getUint32(at + 4, true);
      if (at + header + length > bytes.length) throw new Error("cut short");
      packets.push({
        type: view.getUint32(at, true),
        id: view.getUint32(at + 8, true) +
          (hasLongIds ? view.getUint32(at + 12, true) * 2 ** 32 : 0),
        body: bytes.slice(at + header, at + header + length),
      });
      at += header + length;
      hasLongIds = this.#hasLongIds;
    }
    return packets;
  }
}

function word(value: number): [number, number] {
  return [value & 0xff, value >>> 8 & 0xff];
}
