/**
 * Requested value of one user of a combined output, in memory that outlives this process:
 * the guest that wanted it never notices a restart, and would not repeat it.
 *
 * @module
 */
import { fdStatus } from "../../../ffi/file_status.ts";
import { Mapping } from "../../../ffi/mapping.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { FdStore } from "./fd_store.ts";

/** Size of the memory; no other is believed. */
const BYTES = 8;
const AT_MAGIC = 0;
const AT_VOTE = 1;
/** Also says which version of this layout it is. */
const MAGIC = 0x77;
/** Stored if no value is requested. */
const NONE = 0;

/** Requested value of one user. **Ownership**: owns its memory. */
export class PersistedVote implements Disposable {
  readonly #mapping: Mapping;
  readonly #bytes: Uint8Array;
  readonly #onDispose: () => void;

  private constructor(mapping: Mapping, onDispose: () => void) {
    this.#mapping = mapping;
    this.#bytes = new Uint8Array(mapping.buffer, 0, BYTES);
    this.#onDispose = onDispose;
  }

  /**
   * Opens what was kept by this name, or by an older one, or begins without a
   * requested value.
   *
   * @throws {OsError} If there is no memory or fd for it.
   */
  static open(
    store: FdStore,
    name: string,
    ...olderNames: readonly string[]
  ): PersistedVote {
    let kept: OwnedFd | undefined;
    let useless = 0;
    let isOlder = false;
    const replaced: string[] = [];
    for (const from of [name, ...olderNames]) {
      const fds = store.take(from);
      if (from !== name && fds.length > 0) replaced.push(from);
      for (const fd of fds) {
        const { kind, size } = fdStatus(fd.fd);
        const isVote = kind === "regular file" && size === BYTES;
        if (kept === undefined && isVote) {
          kept = fd;
          isOlder = from !== name;
          continue;
        }
        if (from === name) useless++;
        // A vote of an older name is replaced by that of the new one.
        if (from === name || !isVote) {
          store.report(
            `what was kept as ${from} is not used: it is not a vote, but a ` +
              `${kind} of ${size} bytes`,
          );
        }
        fd.close();
      }
    }
    using fd = kept ?? createMemFd(name, BYTES, { seal: true });
    const mapping = Mapping.map(fd.fd, { length: BYTES, subject: name });
    // What was kept stays kept, but for what goes by the same name.
    if (useless > 0) store.drop(name);
    if (kept === undefined || useless > 0 || isOlder) store.keep(name, fd.fd);
    for (const older of replaced) store.drop(older);
    const vote = new PersistedVote(mapping, () => store.drop(name));
    if (vote.#bytes[AT_MAGIC] !== MAGIC) {
      vote.#bytes[AT_VOTE] = NONE;
      vote.#bytes[AT_MAGIC] = MAGIC;
    }
    return vote;
  }

  /** The value that is wanted; undefined for none. */
  get vote(): number | undefined {
    const value = this.#bytes[AT_VOTE]! - 1;
    return value === 0 || value === 1 ? value : undefined;
  }

  set vote(value: number | undefined) {
    this.#bytes[AT_VOTE] = value === undefined ? NONE : value + 1;
  }

  /** Keeps it no longer: the user is gone for good. */
  [Symbol.dispose](): void {
    this.#onDispose();
    this.#mapping[Symbol.dispose]();
  }
}
