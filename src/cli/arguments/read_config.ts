/**
 * Reads a configuration file.
 *
 * @module
 */
import { errnoText } from "../../../ffi/errno.ts";
import {
  O_NONBLOCK,
  O_RDONLY,
  openFile,
  readSome,
} from "../../../ffi/files.ts";
import { fdStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { pollFd, POLLIN } from "../../../ffi/poll.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import {
  type ConfigResult,
  parseConfig,
} from "../../config/file/config_file.ts";
import { printableError } from "../../text/printable.ts";

/** Paths that mean standard input, whatever kind of file that is. */
const STANDARD_INPUT: ReadonlySet<string> = new Set([
  "-",
  "/dev/stdin",
  "/dev/fd/0",
  "/proc/self/fd/0",
]);
/** Largest configuration file. **Units**: bytes. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Time limit of a pipe's writer. **Units**: milliseconds. */
const PIPE_LIMIT_MS = 5000;

/** Options of reading a configuration. */
interface ReadConfigOptions {
  /**
   * Accept a pipe and wait for its writer, which must not happen while guests
   * are served. Default: true.
   */
  fromPipe?: boolean;
}

/**
 * Reads and checks a configuration file; `-` is standard input.
 *
 * **Blocking**: for a pipe, up to 5 s.
 *
 * @throws {ConfigError} If the file does not exist or cannot be read.
 */
export function readConfig(
  file: string,
  options: ReadConfigOptions = {},
): ConfigResult {
  return parseConfig(readText(file, options), file === "-" ? "<stdin>" : file);
}

function readText(
  file: string,
  { fromPipe = true }: ReadConfigOptions,
): string {
  const fail = (why: string, cause?: unknown) =>
    new ConfigError(`cannot read the configuration: ${why}`, {
      file,
      path: file,
      cause,
    });
  let bytes: Uint8Array;
  try {
    bytes = STANDARD_INPUT.has(file)
      ? readAll(Deno.stdin)
      : readFile(file, fromPipe);
  } catch (error) {
    throw fail(
      isOsError(error, "ENOENT")
        ? "no such file"
        : isOsError(error)
        ? `${errnoText(error.errno)} (${error.code})`
        : printableError(error),
      error,
    );
  }
  if (bytes.length > MAX_BYTES) {
    throw fail(`it is larger than ${MAX_BYTES / 1024 / 1024} MiB`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw fail("it is not UTF-8 text", error);
  }
}

function readFile(path: string, fromPipe: boolean): Uint8Array {
  // Opening a FIFO would wait for its writer.
  using file = openFile(path, O_RDONLY | O_NONBLOCK);
  const { kind } = fdStatus(file.fd);
  if (kind !== "regular file" && kind !== "directory") {
    const isPipe = kind === "fifo";
    if (!isPipe || !fromPipe) {
      throw new Error(`it is a ${kind}, and must be a regular file`);
    }
  }
  // A running service does not wait at all.
  const limitMs = fromPipe ? PIPE_LIMIT_MS : 0;
  const deadline = performance.now() + limitMs;
  return readAll({
    readSync(target) {
      for (;;) {
        const leftMs = Math.max(0, deadline - performance.now());
        // A FIFO without a writer reports end of file at once. What stat calls a
        // regular file may wait as well (/proc/kmsg); on a disk none does.
        if (pollFd(file.fd, POLLIN, leftMs) === 0) {
          const what = kind === "fifo" ? "it is a pipe, and" : "it";
          throw new Error(`${what} had no data within ${limitMs / 1000} s`);
        }
        const count = readSome(file, target);
        if (count >= 0) return count === 0 ? null : count;
      }
    },
  });
}

/** Reads the whole file, or a little more than the limit. */
function readAll(
  source: { readSync(target: Uint8Array<ArrayBuffer>): number | null },
): Uint8Array {
  let bytes = new Uint8Array(64 * 1024);
  let length = 0;
  while (length <= MAX_BYTES) {
    if (length === bytes.length) {
      const larger = new Uint8Array(bytes.length * 2);
      larger.set(bytes);
      bytes = larger;
    }
    const count = source.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return bytes.subarray(0, length);
}
