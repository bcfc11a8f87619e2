/**
 * The lock that serializes making and removing chips between processes.
 *
 * @module
 */
import { sleep } from "../async/wait.ts";
import { openAt, tryLock } from "../../ffi/directory.ts";
import {
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  readSmallFile,
} from "../../ffi/files.ts";
import { fdStatus, type FileStatus, statusAt } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { openRegularAt, UntrustedPathError } from "../../ffi/trusted_path.ts";

const NAME = "lock";
const STEP_MS = 20;
/**
 * Time limit of other holders: a chip and its node appear within some seconds,
 * and several processes may wait for each other. **Units**: ms.
 */
const LOCK_LIMIT_MS = 15_000;

/**
 * Locks a directory of records. **Ownership**: disposing releases it.
 *
 * **Blocking**: until the other holders have finished, at most `limitMs`.
 *
 * @throws {Error} If another process keeps it locked; names it, if it is
 * visible.
 * @throws {UntrustedPathError} If the lock is not a file of this user or root.
 * @throws {OsError} EACCES, EPERM.
 */
export async function lockRecords(
  directory: OwnedFd,
  limitMs = LOCK_LIMIT_MS,
): Promise<Disposable> {
  const deadline = performance.now() + limitMs;
  let file = openLock(directory);
  for (;;) {
    const status = fdStatus(file.fd);
    const isLocked = tryLock(file);
    // It may have been removed and made anew by another process meanwhile.
    const isCurrent = statusAt(directory, NAME)?.identity === status.identity;
    if (isLocked && isCurrent) return file;
    if (performance.now() >= deadline) {
      file.close();
      throw new Error(
        `Cannot lock the records of chips in ${directory.what}: ` +
          `${findHolder(status)} keeps them locked for ${
            limitMs / 1000
          } s by now`,
      );
    }
    if (!isCurrent) {
      file.close();
      file = openLock(directory);
    }
    await sleep(STEP_MS);
  }
}

function openLock(directory: OwnedFd): OwnedFd {
  try {
    // Only its owner may open it: a process that can open a file can lock it,
    // and keep it locked.
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    return openAt(directory, NAME, flags, 0o600);
  } catch (error) {
    if (!isOsError(error, "EEXIST")) throw error;
  }
  const file = openRegularAt(directory, NAME, O_WRONLY);
  if (file !== undefined) return file;
  throw new UntrustedPathError(
    `Cannot lock the records of chips in ${directory.what}: ${NAME} there is ` +
      `not a regular file of this user or root that can be opened; remove it`,
  );
}

/**
 * Returns the process that holds a lock, as text.
 *
 * **Source**: proc_locks(5): number, kind, …, PID, device:inode.
 */
function findHolder({ inode }: FileStatus): string {
  const held = new RegExp(
    `^\\d+: FLOCK +\\S+ +\\S+ +(\\d+) +[0-9a-f]+:[0-9a-f]+:${inode} `,
    "m",
  );
  const pid = held.exec(readSmallFile("/proc/locks") ?? "")?.[1];
  if (pid === undefined || pid === "0") {
    return "a process that is not seen from here (of a container?)";
  }
  const name = readSmallFile(`/proc/${pid}/comm`)?.trim() ?? "";
  return `process ${pid}${name === "" ? "" : ` (${name})`}`;
}
