/**
 * A disk quota that is used up. No mount is needed, and root is not exempt: the
 * C library's `write` refuses.
 *
 * @module
 */
import { fdStatus } from "../../ffi/file_status.ts";
import { libc } from "../../ffi/libc.ts";

const EDQUOT = 122;

/** Words of the reason. */
export const QUOTA_REASON = "disk quota exceeded (EDQUOT)";

/**
 * Lets this isolate write so many bytes more to files through libc, and refuses
 * others, until disposed.
 *
 * @param bytes What is left of the quota: part of a write is taken.
 */
export function limitWrites(bytes: number): Disposable {
  const symbols = libc();
  const { write } = symbols;
  const errno = new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(symbols.errnoLocation()!, 4),
  );
  let left = bytes;
  replaceWrite((fd, buffer, length) => {
    if (fdStatus(fd).kind !== "regular file") return write(fd, buffer, length);
    const taken = Math.min(length, left);
    if (taken === 0 && length > 0) {
      errno[0] = EDQUOT;
      return -1;
    }
    left -= taken;
    return write(fd, buffer, taken);
  });
  return { [Symbol.dispose]: () => replaceWrite(write) };
}

function replaceWrite(
  value: (fd: number, buffer: BufferSource | null, length: number) => number,
): void {
  Object.defineProperty(libc(), "write", { configurable: true, value });
}
