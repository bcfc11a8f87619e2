/**
 * Fds inside of specifications, on their way to whoever serves them: closed, if
 * they do not get there.
 *
 * @module
 */
import { fdStatus } from "../../ffi/files.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import type { AggregatorSpecification } from "../config/specification.ts";

/** The fds of some aggregators. **Ownership**: of those that are not released. */
export class GivenFds implements Disposable {
  readonly #fds: OwnedFd[];

  /**
   * Takes over the fds of `aggregators`.
   *
   * @throws {OsError} EBADF if one is not open, which is the user's to mend.
   */
  constructor(aggregators: readonly AggregatorSpecification[]) {
    const fds = aggregators.flatMap(({ vhostUser }) =>
      vhostUser !== undefined && "fd" in vhostUser ? [vhostUser.fd] : []
    );
    for (const fd of fds) fdStatus(fd);
    this.#fds = fds.map((fd) => new OwnedFd(fd, `fd ${fd}`));
  }

  /** Hands them on: whoever has the specifications owns them now. */
  release(): void {
    for (const fd of this.#fds.splice(0)) fd.release();
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds.splice(0)) fd.close();
  }
}
