/**
 * The kernel's side of a USB/IP connection, by hand.
 *
 * @module
 */
import { Field, HEADER, Message } from "../../src/usbip/protocol.ts";

/** Answer to a transfer. */
export interface UrbAnswer {
  readonly status: number;
  readonly length: number;
  readonly data: number[];
}

/** Fields of a message that is made by hand. */
export interface RawFields {
  readonly message?: number;
  readonly seqnum?: number;
  readonly direction?: number;
  readonly endpoint?: number;
  readonly length?: number;
}

/** The side that is spoken to. */
export interface UsbipSide {
  readonly room: Uint8Array;
  received(count: number): void;
  next(): boolean;
  readonly output: {
    readonly backlog: number;
    readonly waiting: Uint8Array;
    sent(count: number): void;
  };
}

/** Returns the bytes of a message of the kernel's. */
export function urb(
  fields: RawFields & { readonly victim?: number },
  setup: readonly number[] = [],
  data: readonly number[] = [],
): Uint8Array {
  const bytes = new Uint8Array(HEADER + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(Field.Message, fields.message ?? Message.Submit);
  view.setUint32(Field.Seqnum, fields.seqnum ?? 0);
  view.setUint32(Field.Device, 0x10002);
  view.setUint32(Field.Direction, fields.direction ?? 0);
  view.setUint32(Field.Endpoint, fields.endpoint ?? 0);
  view.setUint32(Field.Victim, fields.victim ?? 0);
  view.setUint32(Field.Length, fields.length ?? data.length);
  bytes.set(setup, Field.Setup);
  bytes.set(data, HEADER);
  return bytes;
}

/** A kernel that keeps every answer. */
export class UsbipPeer {
  readonly #side: UsbipSide;
  readonly #answers = new Map<number, UrbAnswer>();
  /** Transfers to the host, whose answers have data. */
  readonly #isIn = new Set<number>();
  #seqnum = 1000;
  /** Most bytes that are sent at once. */
  piece = Infinity;
  /** False: nothing is read of what the other side sends. */
  isReading = true;

  constructor(side: UsbipSide) {
    this.#side = side;
  }

  /** Sends a transfer to the host; its number. */
  in(endpoint: number, length: number, setup: readonly number[] = []): number {
    const seqnum = ++this.#seqnum;
    this.#isIn.add(seqnum);
    this.#send(urb({ seqnum, direction: 1, endpoint, length }, setup));
    return seqnum;
  }

  /** Sends a transfer to the device; its number. */
  out(
    endpoint: number,
    data: readonly number[],
    setup: readonly number[] = [],
  ): number {
    const seqnum = ++this.#seqnum;
    this.#send(urb({ seqnum, endpoint }, setup, data));
    return seqnum;
  }

  /** Takes a transfer back; the number of that message. */
  unlink(victim: number): number {
    const seqnum = ++this.#seqnum;
    this.#send(urb({ message: Message.Unlink, seqnum, victim }));
    return seqnum;
  }

  /** Sends a message as it is. */
  raw(fields: RawFields): void {
    this.#send(urb(fields));
  }

  /** Returns the answer to a message; undefined if there is none. */
  answer(seqnum: number): UrbAnswer | undefined {
    return this.#answers.get(seqnum);
  }

  #send(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const room = this.#side.room;
      const piece = bytes.subarray(
        at,
        at + Math.min(this.piece, room.length),
      );
      room.set(piece);
      at += piece.length;
      this.#side.received(piece.length);
      while (this.#side.next());
    }
    if (this.isReading) this.#read();
  }

  #read(): void {
    const { output } = this.#side;
    const bytes = output.waiting.slice();
    output.sent(output.backlog);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length;) {
      const seqnum = view.getUint32(at + Field.Seqnum);
      const length = view.getUint32(at + Field.Length);
      const size = this.#isIn.has(seqnum) ? length : 0;
      const from = at + HEADER;
      if (this.#answers.has(seqnum)) throw new Error(`${seqnum} twice`);
      this.#answers.set(seqnum, {
        status: view.getInt32(at + Field.Status),
        length,
        data: [...bytes.subarray(from, from + size)],
      });
      at = from + size;
    }
  }
}
