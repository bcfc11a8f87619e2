/**
 * The heads that a device has taken from a ring, in the order in which it took
 * them. A pause of the ring hands them on as they are: it costs the same for a
 * ring of any size.
 *
 * @module
 */

/** Heads of one ring, as a list in which each has its place at most once. */
export class TakenHeads {
  /** Entries of the ring; stands before the oldest head and after the newest. */
  readonly size: number;
  readonly #next: Uint16Array;
  readonly #previous: Uint16Array;
  readonly #isTaken: Uint8Array;
  #count = 0;

  /** Makes an empty list for a ring of up to 32768 entries. */
  constructor(size: number) {
    this.size = size;
    this.#next = new Uint16Array(size + 1);
    this.#previous = new Uint16Array(size + 1);
    this.#next[size] = this.#previous[size] = size;
    this.#isTaken = new Uint8Array(size);
  }

  /** Number of heads. */
  get count(): number {
    return this.#count;
  }

  /** Returns true if the device has this head; false for any other number. */
  has(head: number): boolean {
    return this.#isTaken[head] === 1;
  }

  /** Adds a head of the ring that it does not have, as the newest. */
  add(head: number): void {
    const { size } = this;
    const newest = this.#previous[size]!;
    this.#next[newest] = head;
    this.#previous[head] = newest;
    this.#next[head] = size;
    this.#previous[size] = head;
    this.#isTaken[head] = 1;
    this.#count++;
  }

  /** Removes a head that it has. */
  delete(head: number): void {
    const next = this.#next[head]!;
    const previous = this.#previous[head]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#isTaken[head] = 0;
    this.#count--;
  }

  /** Returns the oldest head, or `size` if there is none. */
  oldest(): number {
    return this.#next[this.size]!;
  }

  /** Returns the one taken after a head that it has, or `size`. */
  after(head: number): number {
    return this.#next[head]!;
  }

  /** Returns up to `most` heads, oldest first. */
  list(most: number = this.#count): number[] {
    const heads: number[] = [];
    let head = this.oldest();
    while (head !== this.size && heads.length < most) {
      heads.push(head);
      head = this.after(head);
    }
    return heads;
  }
}
