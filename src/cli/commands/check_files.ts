/**
 * Checks the files of a configuration against this host: directories, users and
 * groups, sockets in use. Leaves no file behind.
 *
 * @module
 */
import { findGroupId, findUserId } from "../../../ffi/accounts.ts";
import { connectDatagram } from "../../../ffi/datagram.ts";
import { errnoText } from "../../../ffi/errno.ts";
import { O_DIRECTORY, O_WRONLY, openFile } from "../../../ffi/files.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { UNCHANGED } from "../../../ffi/sysfs.ts";
import { splitPath } from "../../../ffi/trusted_path.ts";
import type { FileAccess } from "../../config/specification.ts";

/** Makes a file without a name, which disappears when it is closed. */
const O_TMPFILE = 0o20000000 | O_DIRECTORY;

/** Directories that the units make for their sockets when they start. */
const RUNTIME_DIRECTORY = /^\/run\/gpioagg(-[^/]+)?$/;

/** One finding. */
export interface FileFinding {
  readonly problem: string;
  readonly hint?: string;
  /** Its key: `owner`; absent: the file itself. */
  readonly key?: "owner" | "group";
  /** True if a service can be started all the same. */
  readonly isNote?: true;
}

/** Finds users and groups that this host does not have. */
export function checkAccess(
  { owner, group }: FileAccess,
): FileFinding[] {
  return [
    ...unknown(owner, findUserId, "user", "owner"),
    ...unknown(group, findGroupId, "group", "group"),
  ];
}

/** Checks that a directory exists and that this user can create files in it. */
export function checkDirectory(path: string): FileFinding[] {
  const status = readStatus(path);
  if (typeof status === "string") return [{ problem: status }];
  if (status === undefined && RUNTIME_DIRECTORY.test(path)) {
    return [{
      problem: `there is no directory ${path} yet`,
      hint: "The units gpioagg and gpioagg@NAME make it (RuntimeDirectory=); " +
        `without them: mkdir -p ${path}`,
      isNote: true,
    }];
  }
  if (status === undefined) {
    return [{
      problem: `directory ${path} does not exist`,
      hint: `Make it: mkdir -p ${path}`,
    }];
  }
  if (status.kind !== "directory") {
    return [{ problem: `${path} is not a directory, but a ${status.kind}` }];
  }
  try {
    openFile(path, O_TMPFILE | O_WRONLY, 0o600).close();
  } catch (error) {
    // Some file systems do not support files without a name.
    if (!isOsError(error, "EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT")) {
      return [];
    }
    // The service may run as another user.
    const isOfUser = isOsError(error, "EACCES", "EPERM");
    return [{
      problem: `no file can be created in directory ${path}: ` +
        `${errnoText(error.errno)} (${error.code})` +
        (isOfUser ? ", as the user of this command" : ""),
      ...(isOfUser ? { isNote: true } : {}),
    }];
  }
  return [];
}

/** Checks that a socket can be made at `path`. */
export function checkSocket(path: string): FileFinding[] {
  const findings = checkDirectory(splitPath(path).directory);
  if (findings.some(({ isNote }) => isNote !== true)) return findings;
  const status = readStatus(path);
  if (status === undefined || typeof status === "string") return findings;
  if (status.kind !== "socket") {
    return [...findings, {
      problem: `${path} exists, and is a ${status.kind}`,
      hint: "A service replaces only sockets that no process uses",
    }];
  }
  return isServed(path)
    ? [...findings, {
      problem: `a process listens at ${path}: a service uses it`,
      isNote: true,
    }]
    : findings;
}

/** Checks that lines can be appended to the file at `path`. */
export function checkLog(path: string): FileFinding[] {
  const findings = checkDirectory(splitPath(path).directory);
  const status = readStatus(path);
  if (
    typeof status === "object" && status.kind !== "regular file" &&
    findings.length === 0
  ) {
    return [{ problem: `${path} is a ${status.kind}, and must be a file` }];
  }
  return findings;
}

function unknown(
  text: string | undefined,
  find: (name: string) => number | undefined,
  what: string,
  key: "owner" | "group",
): FileFinding[] {
  if (text === undefined) return [];
  const id = /^\d+$/.test(text) ? Number(text) : find(text);
  return id === undefined || id >= UNCHANGED
    ? [{ problem: `${what} "${text}" does not exist on this host`, key }]
    : [];
}

/** Returns a file's status, or the reason why it cannot be read. */
function readStatus(path: string): ReturnType<typeof fileStatus> | string {
  try {
    return fileStatus(path);
  } catch (error) {
    if (!isOsError(error)) throw error;
    return `${path}: ${errnoText(error.errno)} (${error.code})`;
  }
}

/**
 * Returns true if a process listens at a socket. A datagram socket never
 * connects to it, so that the process notices nothing.
 */
function isServed(path: string): boolean {
  try {
    connectDatagram(path).close();
    return true;
  } catch (error) {
    // EPROTOTYPE: there is a listener, of another kind.
    return isOsError(error, "EPROTOTYPE");
  }
}
