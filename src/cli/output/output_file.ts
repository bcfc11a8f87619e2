/**
 * A file, or standard output, that text is written to as it comes.
 *
 * @module
 */
import { O_TRUNC, O_WRONLY } from "../../../ffi/files.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { openOutput, writeWhole } from "../../../ffi/trusted_path.ts";
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import { reasonOn } from "../../text/reason.ts";
import { sleepBlocking } from "../../async/wait.ts";

/** Delay before a write to a full pipe is retried. **Units**: microseconds. */
const FULL_PIPE_US = 2000;
const MODE = 0o644;

const encoder = new TextEncoder();

/** An open file. */
export class OutputFile implements Disposable {
  readonly #path: string;
  readonly #file: OwnedFd | undefined;

  /**
   * Opens and truncates a file; `-` is standard output.
   *
   * @throws {Error} If it cannot be opened.
   *
   * **Blocking**: a FIFO waits for its reader.
   */
  constructor(path: string) {
    this.#path = path === "-" ? "standard output" : path;
    surviveFileSizeLimit();
    if (path === "-") return;
    try {
      this.#file = openOutput(path, O_WRONLY | O_TRUNC, {
        mode: MODE,
        // Viewers read a FIFO while it is written.
        kinds: ["fifo", "character device"],
      });
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * Writes whole lines.
   *
   * @throws {Error} If it cannot be written: a full disk, a closed pipe.
   *
   * **Blocking**: until all of it is written.
   */
  write(text: string): void {
    const bytes = encoder.encode(text);
    try {
      if (this.#file !== undefined) writeWhole(this.#file, bytes);
      else writeStandardOutput(bytes);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file?.close();
  }

  #failure(error: unknown): Error {
    const why = error instanceof Deno.errors.BrokenPipe ||
        isOsError(error, "EPIPE")
      ? "its reader is gone (EPIPE)"
      : reasonOn(this.#path, error);
    return new Error(`Cannot write to ${this.#path}: ${why}`, { cause: error });
  }
}

function writeStandardOutput(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += Deno.stdout.writeSync(bytes.subarray(at));
    } catch (error) {
      // Another process has made our end of a pipe nonblocking.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      sleepBlocking(FULL_PIPE_US);
    }
  }
}
