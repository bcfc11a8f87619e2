/**
 * A file, or standard input, in pieces.
 *
 * @module
 */
import { O_RDONLY, openFile } from "../../../ffi/files.ts";
import { lastErrno, libc } from "../../../ffi/libc.ts";
import { EINTR } from "../../../ffi/errno.ts";
import { OsError } from "../../../ffi/os_error.ts";

const PIECE_BYTES = 256 * 1024;

/**
 * Returns the pieces of a file; `-` is standard input. A piece is used again for
 * the next one.
 *
 * @throws {OsError} If it cannot be read.
 *
 * **Blocking**: as the file does.
 */
export function* readPieces(path: string): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_BYTES);
  if (path === "-") {
    for (;;) {
      const count = Deno.stdin.readSync(piece);
      if (count === null) return;
      yield piece.subarray(0, count);
    }
  }
  using file = openFile(path, O_RDONLY);
  for (;;) {
    const count = libc().read(file.fd, piece, piece.length);
    if (count > 0) yield piece.subarray(0, count);
    else if (count === 0) return;
    else if (lastErrno() !== EINTR) {
      throw new OsError("read", lastErrno(), path);
    }
  }
}
