/**
 * USB/IP messages on their way.
 *
 * @module
 */
import { OutputBuffer } from "../usb_host/output_buffer.ts";
import { Field, HEADER } from "./protocol.ts";

/** Bytes that wait at most. */
const CAPACITY = 192 * 1024;

/** Messages, one behind the other. */
export class AnswerBuffer extends OutputBuffer {
  /** Makes an empty buffer. */
  constructor() {
    super(CAPACITY);
  }

  /** Writes an answer, with the first `length` bytes of `data` if it has any. */
  answer(
    message: number,
    seqnum: number,
    status: number,
    length: number,
    data: Uint8Array,
  ): void {
    const count = Math.min(length, data.length);
    if (!this.makeRoom(HEADER + count)) return;
    const { end, view } = this;
    this.buffer.fill(0, end, end + HEADER);
    view.setUint32(end + Field.Message, message);
    view.setUint32(end + Field.Seqnum, seqnum);
    view.setInt32(end + Field.Status, status);
    view.setUint32(end + Field.Length, length);
    this.end += HEADER;
    this.append(data, count);
  }

  /** Writes bytes as they are. */
  bytes(data: Uint8Array): void {
    if (this.makeRoom(data.length)) this.append(data, data.length);
  }
}
