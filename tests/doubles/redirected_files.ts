/**
 * Files under `/proc` that read as a test wants them.
 *
 * @module
 */
import { cString, libc } from "../../ffi/libc.ts";

/** Paths that lead elsewhere. */
export interface Redirections {
  /** Files that are opened in place of those at these paths. */
  readonly files?: Readonly<Record<string, string>>;
  /** Targets that are read of the symbolic links at these paths. */
  readonly links?: Readonly<Record<string, string>>;
}

/** Redirects what this isolate opens and reads through libc, until disposed. */
export function redirectFiles(
  { files = {}, links = {} }: Redirections,
): Disposable {
  const symbols = libc();
  const { open, readlink } = symbols;
  replace({
    open: (name: Uint8Array<ArrayBuffer>, flags: number, mode: number) => {
      const file = files[decodeText(name)];
      return open(file === undefined ? name : cString(file), flags, mode);
    },
    readlink: (
      name: Uint8Array<ArrayBuffer>,
      target: Uint8Array<ArrayBuffer>,
      length: number,
    ) => {
      const link = links[decodeText(name)];
      return link === undefined
        ? readlink(name, target, length)
        : new TextEncoder().encodeInto(link, target).written;
    },
  });
  return { [Symbol.dispose]: () => replace({ open, readlink }) };
}

function replace(functions: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(functions)) {
    Object.defineProperty(libc(), name, { configurable: true, value });
  }
}

function decodeText(name: Uint8Array): string {
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}
