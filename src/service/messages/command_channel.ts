/**
 * Framing of commands on the socket pair from the main isolate to the reactor:
 * a 32-bit length, a byte for the queue, then that many bytes of JSON.
 *
 * @module
 */
import { ByteBuffer } from "./byte_buffer.ts";
import type { Command, CommandFrame } from "./messages.ts";

const HEADER_BYTES = 5;
const QUEUE_AT = 4;
/** Largest frame; a larger one is a bug of ours, not a large configuration. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** Commands that change nothing that other commands see: they need not wait. */
const QUESTIONS: ReadonlySet<Command["kind"]> = new Set(
  ["describe", "count", "pending", "observe"] as const,
);

/** A frame that has arrived; to parse it may take milliseconds. */
export interface ReceivedFrame {
  /** True if it changes nothing that other commands see. */
  readonly isQuestion: boolean;
  /** Reads it. */
  parse(): CommandFrame;
}

/** Encodes one command. */
export function encodeFrame(frame: CommandFrame): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(frame));
  const bytes = new Uint8Array(HEADER_BYTES + json.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes[QUEUE_AT] = Number(QUESTIONS.has(frame.command.kind));
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
  push(piece: Uint8Array): ReceivedFrame[] {
    this.#received.append(piece);
    const { bytes, length: received } = this.#received;
    const view = new DataView(bytes.buffer, 0, received);
    const frames: ReceivedFrame[] = [];
    let at = 0;
    while (received - at >= HEADER_BYTES) {
      const length = view.getUint32(at, true);
      if (length > MAX_FRAME_BYTES) {
        throw new RangeError(`Cannot take a command of ${length} bytes`);
      }
      const end = at + HEADER_BYTES + length;
      if (received < end) break;
      const json = bytes.slice(at + HEADER_BYTES, end);
      frames.push({
        isQuestion: bytes[at + QUEUE_AT] === 1,
        parse: () => JSON.parse(new TextDecoder().decode(json)),
      });
      at = end;
    }
    this.#received.drop(at);
    return frames;
  }
}
