/**
 * Finding the services that run on this machine, by their sockets.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import {
  MACHINE_RUNTIME_DIRECTORY,
  ownRuntimeDirectory,
} from "../../ffi/runtime_directory.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { requireStrings } from "../text/arguments.ts";
import { API_SOCKET_NAME, LOOK_SOCKET_NAME } from "./protocol.ts";
import { listEntries } from "./similar_socket.ts";

/**
 * `gpioagg` of `gpioagg.service` and of services without a unit, `gpioagg-NAME`
 * of `gpioagg@NAME.service`.
 */
const SERVICE_DIRECTORY = /^gpioagg(?:-(.+))?$/;

/** State of one of the two sockets of a service. */
export type SocketState =
  /** A service accepts connections of this user. */
  | "served"
  /** The file's owner, group and mode keep this user out. */
  | "denied"
  /** There is no such socket, or its service has ended. */
  | "absent";

/** A service that was found. */
export interface FoundService {
  /** NAME of `gpioagg@NAME.service`, otherwise `gpioagg`. */
  readonly name: string;
  /** Path of the control API's socket for changes. */
  readonly api: string;
  /** Access of this user to make changes. */
  readonly apiState: SocketState;
  /** Path of the control API's look-only socket. */
  readonly look: string;
  /** Access of this user to look. */
  readonly lookState: SocketState;
}

/**
 * Returns the directories in which services have their sockets: `gpioagg` and
 * `gpioagg-*` below the user's runtime directory and below /run, the user's
 * first. Those of other users are included as far as they can be listed.
 *
 * @param runtimeDirectories Default: `$XDG_RUNTIME_DIR`, unless another user
 * owns it or may write to it, and /run.
 */
export function serviceDirectories(
  runtimeDirectories: readonly string[] = defaultRuntimeDirectories(),
): string[] {
  requireStrings("runtimeDirectories", runtimeDirectories);
  const found = new Set<string>();
  for (const runtime of runtimeDirectories) {
    const entries = listEntries(runtime).filter((entry) =>
      SERVICE_DIRECTORY.test(entry)
    );
    for (const entry of entries.sort()) found.add(`${runtime}/${entry}`);
  }
  return [...found];
}

/**
 * Returns the services that run on this machine and whose sockets are in the
 * usual directories, those that this user may not use included. It connects to
 * each socket once to see that a service is there.
 *
 * @param directories Default: those of {@linkcode serviceDirectories}.
 *
 * **Blocking**: no longer than the file system takes.
 */
export function findServices(
  directories: readonly string[] = serviceDirectories(),
): FoundService[] {
  requireStrings("directories", directories);
  return directories.map((directory) => {
    const entry = directory.slice(directory.lastIndexOf("/") + 1);
    const api = `${directory}/${API_SOCKET_NAME}`;
    const look = `${directory}/${LOOK_SOCKET_NAME}`;
    return {
      name: SERVICE_DIRECTORY.exec(entry)?.[1] ?? "gpioagg",
      api,
      apiState: probeSocket(api),
      look,
      lookState: probeSocket(look),
    };
  }).filter(({ apiState, lookState }) =>
    apiState !== "absent" || lookState !== "absent"
  );
}

function defaultRuntimeDirectories(): string[] {
  const { path } = ownRuntimeDirectory();
  return path === undefined
    ? [MACHINE_RUNTIME_DIRECTORY]
    : [path, MACHINE_RUNTIME_DIRECTORY];
}

function probeSocket(path: string): SocketState {
  try {
    connectUnix(path, { wait: false, descriptors: false }).close();
    return "served";
  } catch (error) {
    if (!isOsError(error)) throw error;
    // So many clients wait there that the kernel takes no more.
    if (isOsError(error, "EAGAIN")) return "served";
    return isOsError(error, "EACCES", "EPERM") ? "denied" : "absent";
  }
}
