/**
 * Bytes on their way to a peer, in one buffer that is made once.
 *
 * @module
 */

/** Bytes that wait. */
export class OutputBuffer {
  protected readonly buffer: Uint8Array;
  protected readonly view: DataView;
  /** Position behind the last byte. */
  protected end = 0;
  #start = 0;
  #hasOverflowed = false;

  /** Makes a buffer for so many bytes at most. */
  constructor(capacity: number) {
    this.buffer = new Uint8Array(capacity);
    this.view = new DataView(this.buffer.buffer);
  }

  /** Number of bytes that wait. */
  get backlog(): number {
    return this.end - this.#start;
  }

  /** True if something found no room, and was not written. */
  get hasOverflowed(): boolean {
    return this.#hasOverflowed;
  }

  /** Bytes that wait, lent until the next call. */
  get waiting(): Uint8Array {
    return this.buffer.subarray(this.#start, this.end);
  }

  /** Position of the first byte that waits. */
  protected get start(): number {
    return this.#start;
  }

  /**
   * Returns the length of whole messages that wait, of `most` bytes if there is
   * more than one.
   */
  wholeMessages(most: number): number {
    return Math.min(most, this.backlog);
  }

  /** Has these bytes waiting, and nothing else. */
  replace(bytes: Uint8Array): void {
    this.#start = 0;
    this.end = 0;
    if (this.makeRoom(bytes.length)) this.append(bytes, bytes.length);
  }

  /** That many bytes are sent. */
  sent(count: number): void {
    this.#start += count;
    if (this.#start !== this.end) return;
    this.#start = 0;
    this.end = 0;
  }

  /** Makes room behind the end. @returns False if there is not enough. */
  protected makeRoom(needed: number): boolean {
    const capacity = this.buffer.length;
    if (this.end + needed > capacity && this.#start > 0) {
      this.buffer.copyWithin(0, this.#start, this.end);
      this.end -= this.#start;
      this.#start = 0;
    }
    if (this.end + needed <= capacity) return true;
    this.#hasOverflowed = true;
    return false;
  }

  /** Writes the first `count` bytes of `data`, for which there is room. */
  protected append(data: Uint8Array, count: number): void {
    for (let i = 0; i < count; i++) this.buffer[this.end + i] = data[i]!;
    this.end += count;
  }
}
