/**
 * Absolute paths for other processes, which may have another working directory.
 * (Paths in a configuration file are absolute anyway.)
 *
 * @module
 */
import { MAX_SOCKET_PATH } from "../../../ffi/unix_socket.ts";
import {
  type AggregatorSpecification,
  defaultControlPath,
} from "../../config/specification.ts";

type Exposure = Pick<
  AggregatorSpecification,
  "vhostUser" | "qemuPins" | "vfioUser" | "usbredir"
>;

/** Returns the absolute path of `path` in this directory. */
export function absolutePath(path: string): string {
  if (path.startsWith("/")) return path;
  // The meaning of ".." depends on links: it stays as it is.
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return [Deno.cwd().replace(/\/$/, ""), ...parts].join("/") || "/";
}

/**
 * Returns the absolute path of a socket, whose length is limited: if this
 * directory has a long name, the path stays relative.
 */
export function absoluteSocketPath(path: string): string {
  const absolute = absolutePath(path);
  // There may be a control socket beside it.
  const longest = new TextEncoder().encode(defaultControlPath(absolute));
  return longest.length <= MAX_SOCKET_PATH ? absolute : path;
}

/** Returns an exposure whose sockets have the same paths in every directory. */
export function absoluteExposure<T extends Exposure>(exposure: T): T {
  const { vhostUser, qemuPins, vfioUser, usbredir } = exposure;
  return {
    ...exposure,
    ...(vhostUser === undefined || "fd" in vhostUser ? {} : {
      vhostUser: {
        ...vhostUser,
        socketPath: absoluteSocketPath(vhostUser.socketPath),
      },
    }),
    ...(vfioUser === undefined ? {} : {
      vfioUser: {
        ...vfioUser,
        socketPath: absoluteSocketPath(vfioUser.socketPath),
      },
    }),
    ...(usbredir === undefined ? {} : {
      usbredir: {
        ...usbredir,
        socketPath: absoluteSocketPath(usbredir.socketPath),
      },
    }),
    ...(qemuPins === undefined ? {} : {
      qemuPins: {
        ...qemuPins,
        qtest: absoluteSocketPath(qemuPins.qtest),
        qmp: absoluteSocketPath(qemuPins.qmp),
      },
    }),
  };
}
