/**
 * Directories in which other users decide what a service's clients find.
 *
 * @module
 */
import { isOsError } from "../../../ffi/os_error.ts";
import {
  untrustedDirectories,
  UntrustedPathError,
} from "../../../ffi/trusted_path.ts";
import {
  type AggregatorSpecification,
  type ApiSpecification,
  defaultControlPath,
  usbredirSockets,
} from "../../config/specification.ts";

/** A directory on the path of a socket or file, reported once. */
interface SharedDirectory {
  /** The directory. */
  readonly path: string;
  /** Its problem, as a sentence without a full stop. */
  readonly warning: string;
}

/** Reports each directory once. */
export class SharedDirectories {
  readonly #told = new Set<string>();

  /** Returns those on the paths of these files that were not reported yet. */
  look(files: Iterable<string>): SharedDirectory[] {
    return [...files].flatMap((file) =>
      sharedOnTheWayTo(file).filter(({ path }) => {
        const isNew = !this.#told.has(path);
        this.#told.add(path);
        return isNew;
      })
    );
  }
}

function sharedOnTheWayTo(file: string): SharedDirectory[] {
  try {
    return untrustedDirectories(file).map(({ path, reason }) => ({
      path,
      warning:
        `others can write to the directory ${path} (${reason}), and so ` +
        `decide what clients find at ${file}`,
    }));
  } catch (error) {
    if (error instanceof UntrustedPathError) {
      return [{ path: error.message, warning: error.message }];
    }
    // It does not exist yet, or is not readable: creating a file there will
    // fail by itself.
    if (!isOsError(error)) throw error;
    return [];
  }
}

/** Returns the sockets that an aggregator has in the file system. */
export function socketFiles(
  { vhostUser, qemuPins, vfioUser, usbredir, control, lines }:
    AggregatorSpecification,
): string[] {
  const own = vhostUser !== undefined && "socketPath" in vhostUser
    ? vhostUser.socketPath
    : vfioUser?.socketPath;
  return [
    ...(own === undefined ? [] : [own, defaultControlPath(own)]),
    ...(qemuPins === undefined ? [] : [qemuPins.qtest, qemuPins.qmp]),
    ...(usbredir === undefined ? [] : usbredirSockets(usbredir, lines.length)),
    ...(control?.path === undefined ? [] : [control.path]),
  ];
}

/** Returns the files of a control API, one for each directory of sockets. */
export function apiFiles(
  { socket, look, sockets, qemuSockets = [], auditLog }: Pick<
    ApiSpecification,
    "socket" | "look" | "sockets" | "qemuSockets" | "auditLog"
  >,
): string[] {
  return [
    ...[socket, look].flatMap((place) =>
      place === undefined ? [] : [place.path]
    ),
    ...(sockets === undefined ? [] : [`${sockets.path}/NAME.sock`]),
    ...qemuSockets.map((directory) => `${directory}/NAME.sock`),
    ...(auditLog === undefined ? [] : [auditLog]),
  ];
}
