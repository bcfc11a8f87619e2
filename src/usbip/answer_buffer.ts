/**
 * Messages on their way, in one buffer that is made once.
 *
 * @module
 */
import { Field, HEADER } from "./protocol.ts";

/** Bytes that wait at most. */
const CAPACITY = 192 * 1024;

/** Bytes to send, one message behind the other. */
export class AnswerBuffer {
  readonly #bytes = new Uint8Array(CAPACITY);
  readonly #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;
  #hasOverflowed = false;

  /** Bytes that wait. */
  get backlog(): number {
    return this.#end - this.#start;
  }

  /** True if a message found no room, and was not written. */
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

  /** Writes an answer, with the first `length` bytes of `data` if it has any. */
  answer(
    message: number,
    seqnum: number,
    status: number,
    length: number,
    data: Uint8Array,
  ): void {
    const count = Math.min(length, data.length);
    if (!this.#makeRoom(HEADER + count)) return;
    const at = this.#end;
    this.#bytes.fill(0, at, at + HEADER);
    this.#view.setUint32(at + Field.Message, message);
    this.#view.setUint32(at + Field.Seqnum, seqnum);
    this.#view.setInt32(at + Field.Status, status);
    this.#view.setUint32(at + Field.Length, length);
    this.#end += HEADER;
    this.#append(data, count);
  }

  /** Writes bytes as they are. */
  bytes(data: Uint8Array): void {
    if (this.#makeRoom(data.length)) this.#append(data, data.length);
  }

  #append(data: Uint8Array, count: number): void {
    for (let i = 0; i < count; i++) this.#bytes[this.#end + i] = data[i]!;
    this.#end += count;
  }

  #makeRoom(needed: number): boolean {
    if (this.#end + needed > CAPACITY && this.#start > 0) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end + needed <= CAPACITY) return true;
    this.#hasOverflowed = true;
    return false;
  }
}
