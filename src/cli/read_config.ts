/**
 * A configuration file from the disk.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { type ConfigResult, parseConfig } from "../config/config_file.ts";

/** A larger file is something else. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Reads and checks a configuration file; `-` is standard input.
 *
 * @throws {ConfigError} If there is no such file, or it cannot be read.
 */
export function readConfig(file: string): ConfigResult {
  return parseConfig(readText(file), file === "-" ? "<stdin>" : file);
}

function readText(file: string): string {
  const fail = (why: string, cause?: unknown) =>
    new ConfigError(`cannot read the configuration: ${why}`, {
      path: file,
      cause,
    });
  let bytes: Uint8Array;
  try {
    bytes = file === "-" ? readAll(Deno.stdin) : readFile(file);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw fail(
      error instanceof Deno.errors.NotFound
        ? "there is no such file"
        : error.message,
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

function readFile(file: string): Uint8Array {
  using opened = Deno.openSync(file);
  return readAll(opened);
}

/** Everything that can be read, or a little more than the limit. */
function readAll(source: { readSync(target: Uint8Array): number | null }) {
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
