/**
 * What one user of a combined output wants, in memory that outlives this
 * process: the guest that wanted it never notices a restart, and would not say
 * it again.
 *
 * @module
 */
import { fdStatus } from "../../ffi/files.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { FdKeeper } from "./fd_keeper.ts";

/** Size of the memory; no other is believed. */
const BYTES = 8;
const AT_MAGIC = 0;
const AT_WISH = 1;
/** Also says which version of this layout it is. */
const MAGIC = 0x77;
/** In place of a wish: there is none. */
const NONE = 0;

/** One user's wish. **Ownership**: owns its memory. */
export class KeptWish implements Disposable {
  readonly #mapping: Mapping;
  readonly #bytes: Uint8Array;
  readonly #onDispose: () => void;

  private constructor(mapping: Mapping, onDispose: () => void) {
    this.#mapping = mapping;
    this.#bytes = new Uint8Array(mapping.buffer, 0, BYTES);
    this.#onDispose = onDispose;
  }

  /**
   * Opens what was kept by this name, or begins without a wish.
   *
   * @throws {OsError} If there is no memory or fd for it.
   */
  static open(keeper: FdKeeper, name: string): KeptWish {
    let kept: OwnedFd | undefined;
    let useless = 0;
    for (const fd of keeper.take(name)) {
      const { kind, size } = fdStatus(fd.fd);
      if (kept === undefined && kind === "regular file" && size === BYTES) {
        kept = fd;
        continue;
      }
      useless++;
      keeper.report(
        `what was kept as ${name} is not used: it is no wish, but a ${kind} ` +
          `of ${size} bytes`,
      );
      fd.close();
    }
    using fd = kept ?? createMemFd(name, BYTES, { seal: true });
    const mapping = Mapping.map(fd.fd, { length: BYTES, subject: name });
    // What was kept stays kept, but for what goes by the same name.
    if (useless > 0) keeper.drop(name);
    if (kept === undefined || useless > 0) keeper.keep(name, fd.fd);
    const wish = new KeptWish(mapping, () => keeper.drop(name));
    if (wish.#bytes[AT_MAGIC] !== MAGIC) {
      wish.#bytes[AT_WISH] = NONE;
      wish.#bytes[AT_MAGIC] = MAGIC;
    }
    return wish;
  }

  /** The value that is wanted; undefined for none. */
  get wish(): number | undefined {
    const value = this.#bytes[AT_WISH]! - 1;
    return value === 0 || value === 1 ? value : undefined;
  }

  set wish(value: number | undefined) {
    this.#bytes[AT_WISH] = value === undefined ? NONE : value + 1;
  }

  /** Keeps it no longer: the user is gone for good. */
  [Symbol.dispose](): void {
    this.#onDispose();
    this.#mapping[Symbol.dispose]();
  }
}
