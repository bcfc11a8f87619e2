/**
 * Bytes of a stream that messages are taken from, in one buffer that is made
 * once.
 *
 * @module
 */

/** Bytes that came in, and were not taken yet. */
export class InputBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  #start = 0;
  #end = 0;

  /** Makes a buffer for the longest message. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Position of the next message in the buffer. */
  get start(): number {
    return this.#start;
  }

  /** Number of bytes that were not taken yet. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** Room for what is received, lent until `received`. */
  get room(): Uint8Array {
    if (this.#start > 0) {
      this.bytes.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.bytes.subarray(this.#end);
  }

  /**
   * The whole buffer, for a copy of what waits in the socket: nothing is in it
   * any more.
   */
  get whole(): Uint8Array {
    this.#start = 0;
    this.#end = 0;
    return this.bytes;
  }

  /** Number of bytes that were taken since `whole`, and not put out. */
  get taken(): number {
    return this.#start;
  }

  /** Notes that the bytes which were taken are out of the socket. */
  putOut(): void {
    this.bytes.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** That many bytes came into the room. */
  received(count: number): void {
    this.#end += count;
  }

  /** Bytes that were not taken yet, lent until the next call. */
  get waiting(): Uint8Array {
    return this.bytes.subarray(this.#start, this.#end);
  }

  /** Takes so many bytes; they stay in place until `room` is asked for. */
  take(count: number): void {
    this.#start += count;
  }
}
