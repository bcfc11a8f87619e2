/**
 * Framing of commands on the socket pair from the main isolate to the reactor:
 * a 32-bit length, then that many bytes of JSON.
 *
 * @module
 */
import type { CommandFrame } from "./messages.ts";

const HEADER_BYTES = 4;
/** Largest frame; a larger one is a bug of ours, not a large configuration. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** Encodes one command. */
export function encodeFrame(frame: CommandFrame): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(frame));
  const bytes = new Uint8Array(HEADER_BYTES + json.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, HEADER_BYTES);
  return bytes;
}

/** Assembles frames from the pieces that a stream socket delivers. */
export class FrameAssembler {
  #bytes = new Uint8Array(1024);
  #filled = 0;

  /**
   * Takes a piece and returns the frames that it completes.
   *
   * @throws {RangeError} If a length exceeds the largest frame.
   */
  push(piece: Uint8Array): CommandFrame[] {
    this.#append(piece);
    const view = new DataView(this.#bytes.buffer, 0, this.#filled);
    const frames: CommandFrame[] = [];
    let at = 0;
    while (this.#filled - at >= HEADER_BYTES) {
      const length = view.getUint32(at, true);
      if (length > MAX_FRAME_BYTES) {
        throw new RangeError(`Cannot take a command of ${length} bytes`);
      }
      const end = at + HEADER_BYTES + length;
      if (this.#filled < end) break;
      frames.push(
        JSON.parse(new TextDecoder().decode(
          this.#bytes.subarray(at + HEADER_BYTES, end),
        )),
      );
      at = end;
    }
    this.#bytes.copyWithin(0, at, this.#filled);
    this.#filled -= at;
    return frames;
  }

  #append(piece: Uint8Array): void {
    const needed = this.#filled + piece.length;
    if (needed > this.#bytes.length) {
      // Doubled, so that a large frame is not copied once per piece.
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#filled));
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#filled);
    this.#filled = needed;
  }
}
