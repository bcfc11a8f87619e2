/**
 * Paths of a command line that others are told of, who may be in another
 * directory. (Those of a configuration file begin at the root anyway.)
 *
 * @module
 */
import { MAX_SOCKET_PATH } from "../../ffi/unix_socket.ts";
import {
  type AggregatorSpecification,
  controlPathOf,
} from "../config/specification.ts";

type Exposure = Pick<AggregatorSpecification, "vhostUser" | "qemuPins">;

/** The path from the root on of what is called `path` in this directory. */
export function absolutePath(path: string): string {
  if (path.startsWith("/")) return path;
  // What follows ".." depends on links: it stays as it is.
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return [Deno.cwd().replace(/\/$/, ""), ...parts].join("/") || "/";
}

/**
 * The same for a socket, which can only be had by a short path: where this
 * directory has a long name, the socket stays what it is called here.
 */
export function absoluteSocketPath(path: string): string {
  const absolute = absolutePath(path);
  // There may be a control socket beside it.
  const longest = new TextEncoder().encode(controlPathOf(absolute));
  return longest.length <= MAX_SOCKET_PATH ? absolute : path;
}

/** An exposure whose sockets are called the same in every directory. */
export function absoluteExposure<T extends Exposure>(exposure: T): T {
  const { vhostUser, qemuPins } = exposure;
  return {
    ...exposure,
    ...(vhostUser === undefined || "fd" in vhostUser ? {} : {
      vhostUser: {
        ...vhostUser,
        socketPath: absoluteSocketPath(vhostUser.socketPath),
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
