/**
 * Owner, group and mode of socket files: the file system decides who may do
 * what.
 *
 * @module
 */
import { groupIdOf, userIdOf } from "../../ffi/accounts.ts";
import { changeMode, changeOwner, UNCHANGED } from "../../ffi/sysfs.ts";
import { ConfigError } from "../config/config_error.ts";
import type { FileAccess } from "../config/specification.ts";
import { ListenSocket } from "./listen_socket.ts";

/** For nobody else while owner and group are still to be set. */
const PRIVATE_MODE = 0o600;

/**
 * Listens at `path`; the file is never open to more than `access` says.
 *
 * @param defaultMode Permission bits where `access` has none.
 * @throws {ConfigError} If there is no such user or group.
 * @throws {Error} If another process serves there, or it is not ours to make.
 */
export function listenFor(
  path: string,
  access: FileAccess,
  defaultMode: number,
): ListenSocket {
  const { owner, group, mode = defaultMode } = access;
  if (owner === undefined && group === undefined) {
    return ListenSocket.open(path, mode);
  }
  const uid = idOf(owner, userIdOf, "user", path);
  const gid = idOf(group, groupIdOf, "group", path);
  using stack = new DisposableStack();
  const socket = stack.use(ListenSocket.open(path, PRIVATE_MODE));
  changeOwner(path, uid, gid);
  changeMode(path, mode);
  stack.move();
  return socket;
}

function idOf(
  text: string | undefined,
  find: (name: string) => number | undefined,
  what: string,
  path: string,
): number {
  if (text === undefined) return UNCHANGED;
  const id = /^\d+$/.test(text) ? Number(text) : find(text);
  if (id === undefined || id >= UNCHANGED) {
    throw new ConfigError(`there is no ${what} "${text}"`, { path });
  }
  return id;
}
