/**
 * Fds in specifications, on the way to their aggregator: closed if they do not
 * get there.
 *
 * @module
 */
import { isOsError } from "../../../ffi/os_error.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { streamSocketProblem } from "../../../ffi/unix_socket.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";

/**
 * The fds of some aggregators. **Ownership**: of those that are not released.
 */
export class GivenFds implements Disposable {
  readonly #fds: OwnedFd[];

  /**
   * Takes over the fds of `aggregators`.
   *
   * @throws {ConfigError} If one is not an open unix stream socket that listens
   * or is connected.
   */
  constructor(aggregators: readonly AggregatorSpecification[]) {
    const fds = aggregators.flatMap(({ vhostUser }) =>
      vhostUser !== undefined && "fd" in vhostUser ? [vhostUser.fd] : []
    );
    for (const fd of fds) {
      const problem = findProblem(fd);
      if (problem !== undefined) {
        throw new ConfigError(`Cannot serve fd ${fd}: ${problem}`);
      }
    }
    this.#fds = fds.map((fd) => new OwnedFd(fd, `fd ${fd}`));
  }

  /** Passes the ownership on to the holder of the specifications. */
  release(): void {
    for (const fd of this.#fds.splice(0)) fd.release();
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.splice(0)) fd.close();
  }
}

function findProblem(fd: number): string | undefined {
  try {
    return streamSocketProblem(fd);
  } catch (error) {
    if (isOsError(error, "EBADF")) return "this process has no such fd (EBADF)";
    if (isOsError(error, "ENOTSOCK")) return "it is not a socket (ENOTSOCK)";
    throw error;
  }
}
