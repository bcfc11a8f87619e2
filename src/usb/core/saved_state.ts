/**
 * State of an adapter as plain data, by which the next process goes on with the
 * guest: what it is read back with. Whatever does not fit is an error.
 *
 * @module
 */

/** Data that JSON can say. */
export type Saved = Readonly<Record<string, unknown>>;

/** Arrays that are saved as text. */
type Bytes = Uint8Array | Int8Array;

/** Returns bytes as text. */
export function savedBytes(bytes: Bytes): string {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    .toBase64();
}

/** Reads saved data. */
export class SavedReader {
  readonly #saved: Saved;

  /** @throws {RangeError} If it is not an object. */
  constructor(saved: unknown) {
    if (typeof saved !== "object" || saved === null) throw notFit("the state");
    this.#saved = saved as Saved;
  }

  /** Returns true if it is this number. */
  isNumber(key: string, value: number): boolean {
    return this.#saved[key] === value;
  }

  /** @throws {RangeError} If it is not a whole number from `least` to `most`. */
  integer(key: string, least: number, most: number): number {
    const value = this.#saved[key];
    const isWhole = Number.isSafeInteger(value);
    if (!isWhole || value as number < least || value as number > most) {
      throw notFit(key);
    }
    return value as number;
  }

  /** @throws {RangeError} If it is neither true nor false. */
  flag(key: string): boolean {
    const value = this.#saved[key];
    if (typeof value !== "boolean") throw notFit(key);
    return value;
  }

  /** @throws {RangeError} If they are not bytes, or more than `most`. */
  bytes(key: string, most: number): Uint8Array {
    const value = this.#saved[key];
    if (typeof value !== "string") throw notFit(key);
    let bytes: Uint8Array;
    try {
      bytes = Uint8Array.fromBase64(value);
    } catch {
      throw notFit(key);
    }
    if (bytes.length > most) throw notFit(key);
    return bytes;
  }

  /**
   * Reads an array of the same length, with values of `least` to `most`.
   *
   * @throws {RangeError} If it has another length, or another value.
   */
  fill(key: string, into: Bytes, least: number, most: number): void {
    const bytes = this.bytes(key, into.length);
    if (bytes.length !== into.length) throw notFit(key);
    into.set(bytes);
    for (const value of into) {
      if (value < least || value > most) throw notFit(key);
    }
  }

  /** @throws {RangeError} If it is not a list, or one of more than `most`. */
  list(key: string, most: number): readonly unknown[] {
    const value = this.#saved[key];
    if (!Array.isArray(value) || value.length > most) throw notFit(key);
    return value;
  }

  /** @throws {RangeError} If it is not an object. */
  part(key: string): SavedReader {
    return new SavedReader(this.#saved[key]);
  }
}

function notFit(what: string): RangeError {
  return new RangeError(`${what} of the adapter's state does not fit`);
}
