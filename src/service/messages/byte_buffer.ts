/**
 * Bytes of a stream that are not processed yet.
 *
 * @module
 */

/** A buffer that grows with what is appended. */
export class ByteBuffer {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** Has room for `size` bytes at first. */
  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
  }

  /** The bytes from the oldest on; those behind `length` mean nothing. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** Number of bytes. */
  get length(): number {
    return this.#length;
  }

  /** Appends a copy of `piece`. */
  append(piece: Uint8Array): void {
    const needed = this.#length + piece.length;
    if (needed > this.#bytes.length) {
      // Doubled, so that a large frame is not copied once per piece.
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = needed;
  }

  /** Removes the oldest `count` bytes. */
  drop(count: number): void {
    this.#bytes.copyWithin(0, count, this.#length);
    this.#length -= count;
  }
}
