/**
 * Framing of commands on the socket pair from the main isolate to the reactor:
 * a 32-bit length, then that many bytes of JSON.
 *
 * @module
 */
import { ByteBuffer } from "./byte_buffer.ts";
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
  readonly #received = new ByteBuffer(1024);

  /**
   * Takes a piece and returns the frames that it completes.
   *
   * @throws {RangeError} If a length exceeds the largest frame.
   */
  push(piece: Uint8Array): CommandFrame[] {
    this.#received.append(piece);
    const view = new DataView(
      this.#received.bytes.buffer,
      0,
      this.#received.length,
    );
    const frames: CommandFrame[] = [];
    let at = 0;
    while (this.#received.length - at >= HEADER_BYTES) {
      const length = view.getUint32(at, true);
      if (length > MAX_FRAME_BYTES) {
        throw new RangeError(`Cannot take a command of ${length} bytes`);
      }
      const end = at + HEADER_BYTES + length;
      if (this.#received.length < end) break;
      frames.push(
        JSON.parse(new TextDecoder().decode(
          this.#received.bytes.subarray(at + HEADER_BYTES, end),
        )),
      );
      at = end;
    }
    this.#received.drop(at);
    return frames;
  }
}
