/**
 * Who may use a chip: owner, group and mode of its device node.
 *
 * @module
 */
import { groupIdOf, userIdOf } from "../../ffi/accounts.ts";
import { fileStatus } from "../../ffi/files.ts";
import { changeMode, changeOwner, UNCHANGED } from "../../ffi/sysfs.ts";
import { ConfigError } from "../config/config_error.ts";

/** What is asked for; what is absent stays as the machine makes it. */
export interface NodeAccessOptions {
  /** User name or number. */
  readonly owner?: string;
  /** Group name or number. */
  readonly group?: string;
  /** Octal digits such as `660`, or the number that they mean. */
  readonly mode?: string | number;
}

/** The same in numbers. */
export interface NodeAccess {
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

/**
 * Looks up user and group.
 *
 * @throws {ConfigError} If there is no such user or group, or the mode is none.
 */
export function readNodeAccess(options: NodeAccessOptions): NodeAccess {
  const { owner, group } = options;
  const mode = typeof options.mode === "number"
    ? options.mode.toString(8).padStart(3, "0")
    : options.mode;
  if (mode !== undefined && !/^0?[0-7]{3}$/.test(mode)) {
    throw new ConfigError(`"${mode}" is no mode`, {
      path: "--mode",
      hint: "Three octal digits, such as 660",
    });
  }
  return {
    ...(owner === undefined
      ? {}
      : { uid: idOf(owner, userIdOf, "user", "--owner") }),
    ...(group === undefined
      ? {}
      : { gid: idOf(group, groupIdOf, "group", "--group") }),
    ...(mode === undefined ? {} : { mode: parseInt(mode, 8) }),
  };
}

/**
 * Sets a node's owner, group and mode, after udev has had its say where there
 * is an udev: its rules run a moment after the node appears.
 *
 * @throws {OsError} EPERM.
 */
export async function grantAccess(
  path: string,
  access: NodeAccess,
): Promise<void> {
  const { uid, gid, mode } = access;
  if (uid === undefined && gid === undefined && mode === undefined) return;
  if (fileStatus("/run/udev/control") !== undefined) await settle();
  // Closed to others first: a wider mode must not meet the old owner.
  if (mode !== undefined) {
    changeMode(path, mode & (fileStatus(path)?.mode ?? 0));
  }
  if (uid !== undefined || gid !== undefined) {
    changeOwner(path, uid ?? UNCHANGED, gid ?? UNCHANGED);
  }
  if (mode !== undefined) changeMode(path, mode);
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
    // An udev without its tool: then the node is as it is.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function idOf(
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
