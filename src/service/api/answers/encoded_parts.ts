/**
 * Long texts that are encoded in parts.
 *
 * @module
 */
/** Bytes that are copied at a time; the kernel has to find pages for them. */
const BYTES_AT_ONCE = 1 << 18;

const encoder = new TextEncoder();

/** Texts that are encoded one by one. */
export class EncodedParts {
  readonly #parts: Uint8Array[] = [];

  /** Adds a text. */
  readonly add: (text: string) => void = (text) => {
    this.#parts.push(encoder.encode(text));
  };

  /** Returns all texts as one; yields often. */
  *joined(): Generator<void, Uint8Array> {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const all = new Uint8Array(length);
    let at = 0;
    let copied = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
      if (at - copied < BYTES_AT_ONCE) continue;
      copied = at;
      yield;
    }
    return all;
  }
}
