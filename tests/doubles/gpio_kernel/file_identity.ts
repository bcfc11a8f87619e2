/**
 * Identity of files: what `struct statx` says of them.
 *
 * @module
 */
// struct statx.
export const STATX_BYTES = 256;
export const STATX_ALL = 0xfff;
export const STX_MODE = 28;
const STX_INO = 32;
export const STX_RDEV_MAJOR = 128;
export const STX_RDEV_MINOR = 132;
const STX_DEV_MAJOR = 136;
const STX_DEV_MINOR = 140;

/** Returns device and inode of a `struct statx`, and the mode. */
export function identity(bytes: Uint8Array): { key: string; mode: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const device = [STX_DEV_MAJOR, STX_DEV_MINOR].map((at) =>
    view.getUint32(at, true)
  );
  const inode = view.getBigUint64(STX_INO, true);
  return {
    key: [...device, inode].join(":"),
    mode: view.getUint16(STX_MODE, true),
  };
}
