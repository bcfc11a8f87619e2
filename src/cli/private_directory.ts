/**
 * A directory of this process for sockets that only its children are given.
 *
 * @module
 */

import { ownRuntimeDirectory } from "../../ffi/runtime_directory.ts";
import { untrustedDirectories } from "../../ffi/trusted_path.ts";

/** Directories for when the usual one cannot be written. */
const FALLBACKS = ["/run", "/dev/shm"];

/**
 * Makes a directory that only this user can enter: in `$TMPDIR` or /tmp, in
 * `$XDG_RUNTIME_DIR`, in /run or in /dev/shm, in this order. A directory that
 * another user could replace is skipped.
 *
 * @returns Its path without links.
 * @throws {Error} If none of them can be used.
 *
 * **Ownership**: the caller removes it.
 */
export function makePrivateDirectory(prefix: string): string {
  const { path: runtime } = ownRuntimeDirectory();
  const places = [
    undefined,
    ...(runtime === undefined ? [] : [runtime]),
    ...FALLBACKS,
  ];
  const reasons: string[] = [];
  for (const dir of places) {
    try {
      const made = Deno.realPathSync(
        Deno.makeTempDirSync(dir === undefined ? { prefix } : { prefix, dir }),
      );
      const [shared] = untrustedDirectories(`${made}/socket`);
      if (shared === undefined) return made;
      Deno.removeSync(made);
      reasons.push(`${shared.path}: ${shared.reason}`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const reason = error.message.replace(/ \(os error.*$/s, "");
      reasons.push(`${dir ?? "$TMPDIR or /tmp"}: ${reason}`);
    }
  }
  throw Object.assign(
    new Error(
      `Cannot make a directory for private sockets (${reasons.join("; ")})`,
    ),
    { hint: "Set TMPDIR to a writable directory" },
  );
}
