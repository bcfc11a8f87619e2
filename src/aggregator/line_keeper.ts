/**
 * What keeps line requests open across a restart of this process.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";

/** Keeps copies of request fds outside this process, by chip and offset. */
export interface LineKeeper {
  /**
   * The request that an earlier process had, if it was kept; once only.
   *
   * **Ownership**: the caller's.
   */
  take(chipName: string, offset: number): OwnedFd | undefined;
  /** Keeps a copy of a request from now on. **Ownership**: stays the caller's. */
  keep(chipName: string, offset: number, fd: number): void;
  /** Keeps it no longer: the line is let go. */
  drop(chipName: string, offset: number): void;
}
