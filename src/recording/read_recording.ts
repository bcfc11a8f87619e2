/**
 * Reads files of edges of any format.
 *
 * @module
 */
import { type Recording, RecordingError, type Signal } from "./recording.ts";
import { CsvTableReader, JsonTableReader } from "./table.ts";
import { VcdReader } from "./vcd_reader.ts";

/** Format of a file of edges. */
export type RecordingFormat = "vcd" | "csv" | "jsonl";

interface Reader {
  push(bytes: Uint8Array): void;
  end(): Recording;
}

const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d]);
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Reads a file, of the format that its first character shows.
 *
 * @param pieces The file's bytes; a piece may be used again for the next one.
 * @param isWanted Returns false for signals that are to be passed over.
 * @throws {RecordingError} If it is not a valid file, or too large.
 */
export function readRecording(
  pieces: Iterable<Uint8Array>,
  isWanted: (signal: Signal) => boolean = () => true,
): Recording {
  let reader: Reader | undefined;
  for (const piece of pieces) {
    reader ??= selectReader(piece, isWanted);
    reader?.push(piece);
  }
  if (reader === undefined) throw new RecordingError("it is empty");
  return reader.end();
}

/** Returns the reader for a file that begins so; undefined if it is blank. */
function selectReader(
  piece: Uint8Array,
  isWanted: (signal: Signal) => boolean,
): Reader | undefined {
  const hasMark = BYTE_ORDER_MARK.every((byte, i) => piece[i] === byte);
  const first = (hasMark ? piece.subarray(3) : piece).find((byte) =>
    !BLANKS.has(byte)
  );
  if (first === undefined) return undefined;
  switch (String.fromCharCode(first)) {
    case "$":
      return new VcdReader(isWanted);
    case "{":
      return new JsonTableReader(isWanted);
    default:
      return new CsvTableReader(isWanted);
  }
}
