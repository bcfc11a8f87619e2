/**
 * Texts as bytes, one after the other.
 *
 * @module
 */

/** Returns both parts as one. */
export function joinBytes(
  first: Uint8Array,
  second: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
