/**
 * The audit log as a file: appended to in the background, so that a file system
 * that hangs or is full delays neither the service nor its clients for long.
 *
 * @module
 */
import { checkAppended, fileIdentity } from "./checked_file.ts";
import { LineQueue, type LineSink } from "./line_queue.ts";
import { joinBytes } from "../../text/join_bytes.ts";
import { printableJson } from "../../text/printable.ts";
import { reasonOn } from "../../text/reason.ts";

/** Settings of an {@linkcode AuditFile}; the defaults are a service's. */
interface AuditFileOptions {
  /**
   * Receives messages about the file, and entries that could not be written to
   * it.
   */
  tell: (text: string) => void;
  /** Size limit of waiting entries. **Units**: bytes. */
  maxBytes?: number;
  /** Time limit of waiting for an entry. **Units**: milliseconds. */
  waitMs?: number;
  /** Set if the file ends without a line feed. */
  isTorn?: boolean;
}

const MAX_BYTES = 1024 * 1024;
const WAIT_MS = 1000;
const NOTHING = new Uint8Array();
const LINE_FEED = 0x0a;
/** For the service's own user only. */
const MODE = 0o600;

/** A file of entries that others may move away. */
interface AuditSink extends LineSink {
  /** Finds the file for the next write; true if it is another than before. */
  findFile?(): Promise<boolean>;
}

/**
 * Queue of entries for a file. Entries that cannot be written, or that do not
 * fit into the queue while the file hangs, are reported instead, in the same
 * order.
 */
export class AuditFile {
  readonly #name: string;
  readonly #queue: LineQueue;
  readonly #tell: (text: string) => void;
  readonly #waitMs: number;
  /** Bytes that the queue has accepted, and that are settled. */
  #done = 0;
  #waiting: { until: number; resolve: () => void }[] = [];
  #isStalled = false;
  /** Part of an entry that the file took last. */
  #part: Uint8Array = NOTHING;
  /** The file ends with a part of an entry, which was reported instead. */
  #isTorn: boolean;

  /**
   * Makes a log in front of `sink`.
   *
   * @param name File name for messages.
   */
  constructor(
    name: string,
    sink: AuditSink,
    { tell, maxBytes = MAX_BYTES, waitMs = WAIT_MS, isTorn = false }:
      AuditFileOptions,
  ) {
    this.#isTorn = isTorn;
    this.#name = name;
    this.#tell = tell;
    this.#waitMs = waitMs;
    this.#queue = new LineQueue({
      write: async (bytes) => {
        try {
          const count = await this.#append(sink, bytes);
          this.#advance(count);
          return count;
        } catch (cause) {
          this.#divert(bytes, cause);
          this.#advance(bytes.length);
          return bytes.length;
        }
      },
    }, {
      lost: (count) =>
        printableJson({
          time: new Date().toISOString(),
          action: "lost",
          outcome: "failed",
          reason:
            `${count} entries were written to standard error: the file could not be written`,
        }),
      maxBytes,
    });
  }

  /**
   * Opens the file, which is created if necessary.
   *
   * @throws {Error} If it cannot be written: reported now, and not at the first
   * change.
   */
  static open(path: string, options: AuditFileOptions): AuditFile {
    const file = new AppendedFile(path);
    try {
      file.openNow();
    } catch (cause) {
      throw new Error(cannotWrite(path, cause), { cause });
    }
    return new AuditFile(path, file, { ...options, isTorn: isTorn(path) });
  }

  /**
   * Adds an entry, without its line feed. Never throws; resolves once it is
   * written, or soon if the file hangs.
   */
  async write(line: string): Promise<void> {
    const { lost } = this.#queue;
    this.#queue.push(line);
    if (this.#queue.lost > lost) {
      this.#tell(`audit: ${line}`);
      return;
    }
    const until = this.#queue.accepted;
    if (this.#isStalled || this.#done >= until) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = { until, resolve };
    this.#waiting.push(waiting);
    const timer = setTimeout(() => this.#stall(), this.#waitMs);
    await promise;
    clearTimeout(timer);
  }

  /**
   * Waits until all is written, or for `limitMs` at most.
   *
   * @returns True if all is written.
   */
  async flush(limitMs: number): Promise<boolean> {
    return await this.#queue.flush(limitMs);
  }

  /** Appends what the file takes; the rest of an entry follows, or is diverted. */
  async #append(sink: AuditSink, bytes: Uint8Array): Promise<number> {
    if (await sink.findFile?.() === true) {
      // A torn line does not belong to this file.
      this.#isTorn = false;
      if (this.#part.length > 0) return await this.#appendWhole(sink, bytes);
    }
    if (this.#isTorn) {
      // The next entry is a line of its own, whatever is left of the last one.
      if (await sink.write(Uint8Array.of(LINE_FEED)) === 0) return 0;
      this.#isTorn = false;
    }
    const count = await sink.write(bytes);
    const taken = bytes.subarray(0, count);
    const last = taken.lastIndexOf(LINE_FEED);
    this.#part = last < 0
      ? joinBytes(this.#part, taken)
      : taken.slice(last + 1);
    return count;
  }

  /** Appends the rest of an entry, whose part the last file has, with that part. */
  async #appendWhole(sink: AuditSink, bytes: Uint8Array): Promise<number> {
    const { length } = this.#part;
    const whole = joinBytes(this.#part, bytes);
    const count = await sink.write(whole);
    if (count < length) throw new Error("It took a part of an entry only");
    const taken = whole.subarray(0, count);
    this.#part = taken.slice(taken.lastIndexOf(LINE_FEED) + 1);
    return count - length;
  }

  #advance(bytes: number): void {
    this.#done += bytes;
    if (this.#isStalled) {
      this.#isStalled = false;
      this.#tell(`the audit log ${this.#name} is written again`);
    }
    const ready = this.#waiting.filter(({ until }) => until <= this.#done);
    this.#waiting = this.#waiting.filter(({ until }) => until > this.#done);
    for (const { resolve } of ready) resolve();
  }

  #stall(): void {
    if (!this.#isStalled) {
      this.#isStalled = true;
      this.#tell(
        `the audit log ${this.#name} cannot be written: its file system hangs; ` +
          "entries wait, and those that do not fit follow here",
      );
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #divert(bytes: Uint8Array, cause: unknown): void {
    // The change was made in any case: a full disk must not leave it half done.
    this.#tell(cannotWrite(this.#name, cause));
    const whole = joinBytes(this.#part, bytes);
    this.#isTorn ||= this.#part.length > 0;
    this.#part = NOTHING;
    for (const line of new TextDecoder().decode(whole).split("\n")) {
      if (line !== "") this.#tell(`audit: ${line}`);
    }
  }
}

/** A file that is appended to, and opened anew after it was moved away. */
class AppendedFile implements AuditSink {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  /** Device and inode of the file that was checked. */
  #checked = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws {Error} If it cannot be opened or made. */
  openNow(): void {
    this.#check();
    const file = Deno.openSync(this.#path, { append: true });
    this.#take(file, file.statSync());
  }

  #check(): void {
    this.#checked = checkAppended(this.#path, MODE);
  }

  async findFile(): Promise<boolean> {
    if (await this.#isInPlace()) return false;
    await this.#openAgain();
    return true;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const file = this.#file!;
    const count = await file.write(bytes);
    // It may have been moved and removed since it was found in its place.
    const { nlink } = await file.stat();
    if (nlink === 0) throw new Error("it was removed while it was written");
    return count;
  }

  /** False if log rotation has moved the file away. */
  async #isInPlace(): Promise<boolean> {
    try {
      const identity = fileIdentity(await Deno.stat(this.#path));
      return this.#file !== undefined && this.#checked === identity;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  async #openAgain(): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    // Its file system has just answered, so this does not wait for it.
    this.#check();
    const file = await Deno.open(this.#path, { append: true });
    this.#take(file, await file.stat());
  }

  #take(file: Deno.FsFile, status: Deno.FileInfo): void {
    if (fileIdentity(status) !== this.#checked) {
      file.close();
      throw new Error("another process replaced the file at the same time");
    }
    this.#file = file;
  }
}

/** Returns true if a file ends within a line, as a full disk leaves it. */
function isTorn(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const last = new Uint8Array(1);
    if (file.statSync().size === 0) return false;
    file.seekSync(-1, Deno.SeekMode.End);
    return file.readSync(last) === 1 && last[0] !== LINE_FEED;
  } catch {
    // It may be written only, or is not a file on a disk.
    return false;
  }
}

function cannotWrite(path: string, cause: unknown): string {
  return `Cannot write to the audit log ${path}: ${reasonOn(path, cause)}`;
}
