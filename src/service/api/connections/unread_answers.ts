/**
 * Large answers that clients have not read yet. Clients that asked at the same
 * time share one piece of memory; those that ask and do not read are ended when
 * all pieces together become too much.
 *
 * @module
 */

/** Most bytes of all answers, each counted once. */
const MAX_BYTES = 16 * 1024 * 1024;

interface Reader {
  uid: number;
  bytes: Uint8Array;
  end: () => void;
}

/** All unread answers of a service. */
export class UnreadAnswers {
  readonly #maxBytes: number;
  /** Oldest answer first. */
  readonly #readers = new Map<Uint8Array, Set<Reader>>();
  #total = 0;

  /** Limits the bytes of all answers together. */
  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of all answers, each counted once. */
  get total(): number {
    return this.#total;
  }

  /**
   * Counts an answer until it is read. If all become too many, the user that
   * has most of them loses its oldest.
   *
   * @param end Ends the connection.
   * @returns Function to call once it is read, or the connection is closed.
   */
  add(bytes: Uint8Array, uid: number, end: () => void): () => void {
    const reader = { uid, bytes, end };
    const others = this.#readers.get(bytes);
    if (others === undefined) {
      this.#readers.set(bytes, new Set([reader]));
      this.#total += bytes.length;
    } else others.add(reader);
    while (this.#total > this.#maxBytes && this.#readers.size > 1) {
      this.#endOldest(this.#largestUser(), bytes);
    }
    return () => this.#remove(reader);
  }

  #remove(reader: Reader): void {
    const { bytes } = reader;
    const readers = this.#readers.get(bytes);
    if (readers?.delete(reader) !== true || readers.size > 0) return;
    this.#readers.delete(bytes);
    this.#total -= bytes.length;
  }

  #largestUser(): number {
    const held = new Map<number, number>();
    let largest = 0;
    let most = -1;
    for (const [bytes, readers] of this.#readers) {
      for (const uid of new Set([...readers].map(({ uid }) => uid))) {
        const sum = (held.get(uid) ?? 0) + bytes.length;
        held.set(uid, sum);
        if (sum < most) continue;
        most = sum;
        largest = uid;
      }
    }
    return largest;
  }

  /** Ends a user's readers of its oldest answer; of the newest one last. */
  #endOldest(uid: number, newest: Uint8Array): void {
    for (const [bytes, readers] of this.#readers) {
      const own = [...readers].filter((reader) => reader.uid === uid);
      if (own.length === 0) continue;
      // It has nothing else: others that read the same lose it too.
      const ended = bytes === newest ? [...readers] : own;
      for (const reader of ended) {
        this.#remove(reader);
        reader.end();
      }
      return;
    }
  }
}
