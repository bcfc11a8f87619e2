/**
 * Lines of a file of edges, some at a time.
 *
 * @module
 */
import type { EdgeFileReader } from "./edge_sink.ts";

const LINE_FEED = 0x0a;

/** Whole lines. */
export interface LineBatch {
  readonly lines: readonly string[];
  /** Returns the place of the `index`-th line. **Units**: bytes. */
  fileOffset(index: number): number;
}

/** Reads whole lines; what stands behind the last one is passed over. */
export class FileLines {
  readonly #reader: EdgeFileReader;
  readonly #piece: Uint8Array<ArrayBuffer>;
  #end: number;
  /** The begin of a line is not read: it is too long, or begins earlier. */
  #isWithin: boolean;
  /** Place of the next line. **Units**: bytes. */
  offset: number;
  /** Lines that were too long. */
  tooLong = 0;
  /** Place of the last one. **Units**: bytes. */
  tooLongAt = 0;

  /** Reads lines from a place on, up to another one. */
  constructor(
    reader: EdgeFileReader,
    offset: number,
    end: number,
    bytes: number,
  ) {
    this.#reader = reader;
    this.#piece = new Uint8Array(bytes);
    this.#end = end;
    this.offset = offset;
    this.#isWithin = false;
  }

  /** Has the file grown up to this place. */
  set end(end: number) {
    this.#end = end;
  }

  /** Returns some lines; undefined at the end. */
  async next(): Promise<LineBatch | undefined> {
    for (;;) {
      const piece = this.#piece.subarray(
        0,
        Math.max(0, Math.min(this.#piece.length, this.#end - this.offset)),
      );
      let length = 0;
      while (length < piece.length) {
        const count = await this.#reader.read(
          this.offset + length,
          piece.subarray(length),
        );
        if (count === 0) break;
        length += count;
      }
      if (length === 0) return undefined;
      const bytes = piece.subarray(0, length);
      const first = this.#isWithin ? bytes.indexOf(LINE_FEED) + 1 : 0;
      const last = bytes.lastIndexOf(LINE_FEED) + 1;
      if (last === 0) {
        // Without an end it is the rest that a crash left, or no line at all.
        if (length < this.#piece.length) return undefined;
        if (!this.#isWithin) {
          this.tooLong++;
          this.tooLongAt = this.offset;
        }
        this.#isWithin = true;
        this.offset += length;
        continue;
      }
      this.#isWithin = false;
      const begin = this.offset + first;
      this.offset += last;
      if (last > first) {
        return splitBatch(bytes.subarray(first, last - 1), begin);
      }
    }
  }
}

function splitBatch(bytes: Uint8Array, begin: number): LineBatch {
  const text = new TextDecoder().decode(bytes);
  const lines = text.split("\n");
  const isAscii = text.length === bytes.length;
  return {
    lines,
    fileOffset: (index) => {
      let offset = begin;
      for (let i = 0; i < index; i++) {
        const line = lines[i]!;
        offset += 1 +
          (isAscii ? line.length : new TextEncoder().encode(line).length);
      }
      return offset;
    },
  };
}
