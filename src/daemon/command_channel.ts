/**
 * Framing of commands on the socket pair from the main isolate to the reactor:
 * a 32-bit length, then that many bytes of JSON.
 *
 * @module
 */
import type { CommandFrame } from "./messages.ts";

const HEADER_BYTES = 4;
/** A frame beyond this is a bug of ours, not a large configuration. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** One command as bytes. */
export function encodeFrame(frame: CommandFrame): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(frame));
  const bytes = new Uint8Array(HEADER_BYTES + json.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, HEADER_BYTES);
  return bytes;
}

/** Puts frames together from the pieces that a stream socket delivers. */
export class FrameAssembler {
  #pending = new Uint8Array(0);

  /**
   * Takes a piece and returns the frames it completes.
   *
   * @throws {RangeError} If a length is beyond what a frame may have.
   */
  push(piece: Uint8Array): CommandFrame[] {
    const all = new Uint8Array(this.#pending.length + piece.length);
    all.set(this.#pending);
    all.set(piece, this.#pending.length);
    const view = new DataView(all.buffer);
    const frames: CommandFrame[] = [];
    let at = 0;
    while (all.length - at >= HEADER_BYTES) {
      const length = view.getUint32(at, true);
      if (length > MAX_FRAME_BYTES) {
        throw new RangeError(`Cannot take a command of ${length} bytes`);
      }
      const end = at + HEADER_BYTES + length;
      if (all.length < end) break;
      frames.push(
        JSON.parse(new TextDecoder().decode(all.subarray(at + 4, end))),
      );
      at = end;
    }
    this.#pending = all.slice(at);
    return frames;
  }
}
