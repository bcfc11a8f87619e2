/**
 * Interfaces to the files that edges are written to, and read from.
 *
 * @module
 */
import type { RecordedBlock } from "./edge_source.ts";

/** An open file of edges. **Ownership**: its user's. */
export interface EdgeFileReader {
  /** **Units**: bytes. */
  readonly size: number;
  /** Reads from a place on; returns the number of bytes, 0 at the end. */
  read(at: number, into: Uint8Array): Promise<number>;
  close(): void;
}

/** Contents of a file by now. */
export interface WrittenEdges {
  /** Rises when the file becomes the older one, and another begins. */
  readonly generation: number;
  /** Size of the file. **Units**: bytes. */
  readonly size: number;
  /** Number of the next edge by the serial number of a source. */
  readonly next: ReadonlyMap<number, number>;
  /** True if the file has the begin of these lines. */
  hasBegun(block: RecordedBlock): boolean;
  /** True if the file has the end of these lines. */
  hasEnded(block: RecordedBlock): boolean;
}

/** A file that is appended to, and the older one beside it. */
export interface EdgeSink {
  /** Size of the file. **Units**: bytes. */
  readonly size: number;
  /** Appends whole lines: all of them, or it rejects with the reason. */
  append(bytes: Uint8Array): Promise<void>;
  /** Keeps the file as the older one, and begins another. */
  rotate(): Promise<void>;
  /**
   * Returns false if another process removed, moved or truncated the file, or if
   * another one could not be begun.
   *
   * @throws {Error} If that cannot be read.
   */
  isWhole(): Promise<boolean>;
  /**
   * Begins another file in place of one that is not whole.
   *
   * @throws {Error} If it cannot be written.
   */
  restart(): void;
  /**
   * Opens the file, or the older one, for a reader; undefined if there is none.
   *
   * @throws {Error} If it cannot be read.
   */
  openReader(older: boolean): Promise<EdgeFileReader | undefined>;
  /** Ends the use of the file. */
  close(): void;
}
