/**
 * The audit log as a file: appended to in the background, so that a file system
 * that hangs or is full delays neither the service nor its clients for long.
 *
 * @module
 */
import { errnoText } from "../../../ffi/errno.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { checkAppended, identityOf } from "./checked_file.ts";
import { LineQueue, type LineSink } from "./line_queue.ts";
import { printableJson } from "../../text/printable.ts";

/** Settings of an {@linkcode AuditFile}; the defaults are a service's. */
export interface AuditFileOptions {
  /**
   * Receives messages about the file, and entries that could not be written to
   * it.
   */
  tell: (text: string) => void;
  /** Size limit of waiting entries. **Units**: bytes. */
  maxBytes?: number;
  /** Time limit of waiting for an entry. **Units**: milliseconds. */
  waitMs?: number;
}

const MAX_BYTES = 1024 * 1024;
const WAIT_MS = 1000;
/** For the service's own user only. */
const MODE = 0o600;

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
  /** Bytes given to the queue, and those of them that are settled. */
  #pushed = 0;
  #done = 0;
  #waiting: { until: number; resolve: () => void }[] = [];
  #isStalled = false;

  /**
   * Makes a log in front of `sink`.
   *
   * @param name File name for messages.
   */
  constructor(
    name: string,
    sink: LineSink,
    { tell, maxBytes = MAX_BYTES, waitMs = WAIT_MS }: AuditFileOptions,
  ) {
    this.#name = name;
    this.#tell = tell;
    this.#waitMs = waitMs;
    this.#queue = new LineQueue({
      write: async (bytes) => {
        try {
          const count = await sink.write(bytes);
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
    return new AuditFile(path, file, options);
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
    this.#pushed += new TextEncoder().encode(line).length + 1;
    if (this.#isStalled || this.#done >= this.#pushed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = { until: this.#pushed, resolve };
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
    for (const line of new TextDecoder().decode(bytes).split("\n")) {
      if (line !== "") this.#tell(`audit: ${line}`);
    }
  }
}

/** A file that is appended to, and opened anew after it was moved away. */
class AppendedFile implements LineSink {
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

  async write(bytes: Uint8Array): Promise<number> {
    if (!await this.#isInPlace()) await this.#openAgain();
    return await this.#file!.write(bytes);
  }

  /** False if log rotation has moved the file away. */
  async #isInPlace(): Promise<boolean> {
    try {
      const identity = identityOf(await Deno.stat(this.#path));
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
    if (identityOf(status) !== this.#checked) {
      file.close();
      throw new Error("another process replaced the file at the same time");
    }
    this.#file = file;
  }
}

function cannotWrite(path: string, cause: unknown): string {
  const reason = isOsError(cause)
    ? `${errnoText(cause.errno)} (${cause.code})`
    : cause instanceof Error
    ? cause.message
    : String(cause);
  return `Cannot write to the audit log ${path}: ${reason}`;
}
