/**
 * The file of edges of a service, and the older one beside it: `FILE.1`.
 *
 * @module
 */
import type {
  EdgeFileReader,
  EdgeSink,
} from "../../service/record/edge_sink.ts";
import { reasonOn } from "../../text/reason.ts";
import { checkAppended, fileIdentity } from "./checked_file.ts";

/** The service's group may read it, as it may read the API. */
const MODE = 0o640;
const LINE_FEED = 0x0a;
const BRACE = 0x7b;
const OTHER = "it exists, and is not a file of edges";
/** Longest line that a crash can leave without its end. **Units**: bytes. */
const TORN_BYTES = 64 * 1024;

/** A file that is appended to. **Ownership**: of the open file. */
export class RecordFile implements EdgeSink {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  #size = 0;
  /** Device and inode of the file. */
  #identity = "";
  /** Those of the older one, if this process has made it. */
  #olderIdentity: string | undefined;
  /** Part of a line may stand behind the whole ones. */
  #isTorn = false;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * Opens the file, which is made if it does not exist. The rest of a line whose
   * end was not written is removed.
   *
   * @throws {Error} If it cannot be written.
   */
  static open(path: string): RecordFile {
    const record = new RecordFile(path);
    try {
      record.#open();
    } catch (cause) {
      throw new Error(
        `Cannot write the record of edges to ${path}: ${reasonOn(path, cause)}`,
        { cause },
      );
    }
    return record;
  }

  get size(): number {
    return this.#size;
  }

  async append(bytes: Uint8Array): Promise<void> {
    const file = this.#file ?? this.#open();
    if (this.#isTorn) await file.truncate(this.#size);
    this.#isTorn = true;
    for (let done = 0; done < bytes.length;) {
      done += await file.write(bytes.subarray(done));
    }
    this.#isTorn = false;
    this.#size += bytes.length;
  }

  async rotate(): Promise<void> {
    // Where it cannot be moved, it stays open, and the one that is written.
    try {
      await Deno.rename(this.#path, `${this.#path}.1`);
    } catch (error) {
      // Another process removed it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    this.close();
    this.#olderIdentity = this.#identity;
    this.#open();
  }

  async isWhole(): Promise<boolean> {
    if (this.#file === undefined) return false;
    try {
      const status = await Deno.lstat(this.#path);
      return fileIdentity(status) === this.#identity &&
        status.size >= this.#size;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  restart(): void {
    this.close();
    // What was written is not the older file: it may be anywhere.
    this.#olderIdentity = this.#identity;
    this.#open();
  }

  async openReader(older: boolean): Promise<EdgeFileReader | undefined> {
    const path = older ? `${this.#path}.1` : this.#path;
    let checked: Deno.FileInfo;
    try {
      checked = await Deno.lstat(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    // To open a pipe would wait for its other end.
    if (!checked.isFile) throw new Error(OTHER);
    const file = await Deno.open(path, { read: true });
    const status = await file.stat();
    if (fileIdentity(status) !== fileIdentity(checked)) {
      file.close();
      throw new Error("another process replaced it at the same time");
    }
    const known = older ? this.#olderIdentity : this.#identity;
    if (known !== undefined && fileIdentity(status) !== known) {
      file.close();
      throw new Error("another process has replaced it");
    }
    if (!older && status.size < this.#size) {
      file.close();
      throw new Error("another process has truncated it");
    }
    return {
      size: status.size,
      read: async (at, into) => {
        await file.seek(at, Deno.SeekMode.Start);
        return await file.read(into) ?? 0;
      },
      close: () => file.close(),
    };
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): Deno.FsFile {
    const checked = checkAppended(this.#path, MODE);
    const file = Deno.openSync(this.#path, { append: true, read: true });
    try {
      const status = file.statSync();
      if (fileIdentity(status) !== checked) {
        throw new Error("another process replaced it at the same time");
      }
      this.#identity = checked;
      this.#size = wholeSize(file, status.size);
      if (this.#size < status.size) file.truncateSync(this.#size);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#isTorn = false;
    return this.#file = file;
  }
}

/**
 * Returns the size of a file up to the end of its last whole line.
 *
 * @throws {Error} If it is not a file of edges: none else is appended to.
 */
function wholeSize(file: Deno.FsFile, size: number): number {
  const isObject = (bytes: Uint8Array) => bytes[0] === BRACE;
  if (size > 0 && !isObject(read(file, 0, 1))) throw new Error(OTHER);
  const from = Math.max(0, size - TORN_BYTES);
  const end = read(file, from, size);
  const last = end.lastIndexOf(LINE_FEED);
  const rest = end.subarray(last + 1);
  if (last < 0 && from > 0 || rest.length > 0 && !isObject(rest)) {
    throw new Error(OTHER);
  }
  return from + last + 1;
}

/** Reads a file from one place to another. */
function read(file: Deno.FsFile, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from);
  file.seekSync(from, Deno.SeekMode.Start);
  let length = 0;
  while (length < bytes.length) {
    const count = file.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return bytes.subarray(0, length);
}
