/**
 * Access to a chip: owner, group and mode of its device node.
 *
 * @module
 */
import { findGroupId, findUserId } from "../../ffi/accounts.ts";
import { changeMode, changeOwner } from "../../ffi/directory.ts";
import { O_NOFOLLOW, O_PATH, openFile } from "../../ffi/files.ts";
import { fdStatus, fileStatus } from "../../ffi/file_status.ts";
import { UNCHANGED } from "../../ffi/sysfs.ts";
import { ConfigError } from "../config/document/config_error.ts";
import { Problems } from "../config/document/problems.ts";
import { MODE, readValue } from "../config/values/values.ts";

/** Requested access; absent parts stay as the machine makes them. */
export interface NodeAccessOptions {
  /** User name or number. */
  readonly owner?: string | undefined;
  /** Group name or number. */
  readonly group?: string | undefined;
  /** Octal digits such as `660`, or the number that they mean. */
  readonly mode?: string | number | undefined;
}

/** The same as numbers. */
export interface NodeAccess {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly mode?: number | undefined;
}

/**
 * Looks up user and group.
 *
 * @throws {ConfigError} If there is no such user or group, or the mode is
 * invalid.
 */
export function readNodeAccess(options: NodeAccessOptions): NodeAccess {
  const { owner, group } = options;
  const problems = new Problems();
  const mode = typeof options.mode === "string"
    ? readValue(MODE, options.mode, problems.at({ path: "--mode" }))
    : options.mode;
  problems.throwFirst();
  return {
    uid: owner === undefined
      ? undefined
      : resolveId(owner, findUserId, "user", "--owner"),
    gid: group === undefined
      ? undefined
      : resolveId(group, findGroupId, "group", "--group"),
    mode,
  };
}

/**
 * Sets a node's owner, group and mode, after udev has applied its rules, if
 * there is an udev: it does so a moment after the node appears.
 *
 * @param isOwn Returns true if the path is that of the chip's node now. Udev may
 * take seconds, and a chip that was added meanwhile has the name and number of
 * one that was removed.
 * @throws {OsError} EPERM.
 * @throws {Error} If it is not a character device, or the chip's any more.
 */
export async function grantAccess(
  path: string,
  access: NodeAccess,
  isOwn: () => boolean,
): Promise<void> {
  const { uid, gid, mode } = access;
  if (uid === undefined && gid === undefined && mode === undefined) return;
  if (fileStatus("/run/udev/control") !== undefined) await settle();
  using node = openFile(path, O_PATH | O_NOFOLLOW);
  const { kind, mode: now } = fdStatus(node.fd);
  if (kind !== "character device") {
    throw new Error(
      `Cannot change the owner of ${path}: it is a ${kind}, not a chip`,
    );
  }
  // Of a node that was opened before its chip was removed, nothing has any use.
  if (!isOwn()) {
    throw new Error(
      `Cannot change the owner of ${path}: the chip was removed meanwhile`,
    );
  }
  // Closed to others first: the old owner must not get the wider mode.
  if (mode !== undefined) changeMode(node, mode & now);
  if (uid !== undefined || gid !== undefined) {
    changeOwner(node, uid ?? UNCHANGED, gid ?? UNCHANGED);
  }
  if (mode !== undefined) changeMode(node, mode);
}

async function settle(): Promise<void> {
  try {
    await new Deno.Command("udevadm", {
      args: ["settle", "--timeout=5"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
  } catch (error) {
    // If udev's tool is missing, the node is taken as it is.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function resolveId(
  text: string,
  find: (name: string) => number | undefined,
  what: string,
  path: string,
): number {
  const id = /^\d+$/.test(text) ? Number(text) : find(text);
  if (id === undefined || id >= UNCHANGED) {
    throw new ConfigError(`there is no ${what} "${text}"`, { path });
  }
  return id;
}
