/**
 * Owner, group and mode of socket files: the file system decides which users
 * may connect.
 *
 * @module
 */
import { findGroupId, findUserId } from "../../../ffi/accounts.ts";
import { UNCHANGED } from "../../../ffi/sysfs.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { FileAccess } from "../../config/specification.ts";
import { ListenSocket } from "./listen_socket.ts";

/**
 * Listens at `path`; the file never grants more than `access`.
 *
 * @param defaultMode Permission bits where `access` has none.
 * @param backlog Connections that wait to be accepted, at most.
 * @throws {ConfigError} If there is no such user or group.
 * @throws {Error} If another process serves there, or the file is another
 * user's.
 */
export function listenFor(
  path: string,
  access: FileAccess,
  defaultMode: number,
  backlog?: number,
): ListenSocket {
  const { owner, group, mode = defaultMode } = access;
  return ListenSocket.open(path, {
    mode,
    backlog,
    uid: resolveId(owner, findUserId, "user", path),
    gid: resolveId(group, findGroupId, "group", path),
  });
}

function resolveId(
  text: string | undefined,
  find: (name: string) => number | undefined,
  what: string,
  path: string,
): number | undefined {
  if (text === undefined) return undefined;
  const id = /^\d+$/.test(text) ? Number(text) : find(text);
  if (id === undefined || id >= UNCHANGED) {
    throw new ConfigError(`there is no ${what} "${text}"`, { path });
  }
  return id;
}
