/**
 * Finds the guardian of a chip by the chip's record. A record is only a file:
 * it is not sufficient evidence to end a process.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  continueProcess,
  hasEnded,
  killProcess,
  openProcess,
} from "../../ffi/process.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { isGuardian } from "./guardian.ts";
import {
  isAlive,
  isOfThisNamespace,
  parseStartTime,
} from "./process_identity.ts";
import type { ChipRecord } from "./records.ts";

/** A running process that is the guardian of a record's chip. */
export class GuardianProcess implements Disposable {
  readonly #process: OwnedFd;

  private constructor(process: OwnedFd) {
    this.#process = process;
  }

  /**
   * Finds the guardian of a chip; undefined if the process that the record
   * names is gone, or is not a guardian of that record, started by that maker,
   * with this user's rights, in this PID namespace.
   *
   * @param path The record's path.
   *
   * **Ownership**: the caller's.
   */
  static find(
    { guardian, maker }: Pick<ChipRecord, "guardian" | "maker">,
    path: string,
  ): GuardianProcess | undefined {
    if (guardian === undefined || guardian.pid <= 0) return undefined;
    if (!isOfThisNamespace(guardian)) return undefined;
    // First: from here on the number cannot be reused.
    const process = openProcess(guardian.pid);
    if (process === undefined) return undefined;
    using unless = new DisposableStack();
    unless.use(process);
    const proc = `/proc/${guardian.pid}`;
    const status = readSmallFile(`${proc}/status`) ?? "";
    const parent = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]);
    const user = effectiveUserId();
    const isIt = parseStartTime(readSmallFile(`${proc}/stat`) ?? "") ===
        guardian.startTime &&
      new RegExp(`^Uid:\\s${`${user}\\s`.repeat(4)}`, "m").test(status) &&
      readLink(`${proc}/ns/pid`) === readLink("/proc/self/ns/pid") &&
      isGuardian(readSmallFile(`${proc}/cmdline`) ?? "", path) &&
      // Once its maker is gone it is a child of init, or of another process
      // that adopts orphans.
      (parent === maker.pid || !isAlive(maker)) &&
      !hasEnded(process);
    if (!isIt) return undefined;
    unless.move();
    return new GuardianProcess(process);
  }

  /** True until it has ended. */
  get isRunning(): boolean {
    return !hasEnded(this.#process);
  }

  /** Continues it, if it was stopped. */
  continue(): void {
    continueProcess(this.#process);
  }

  /** Ends it. */
  kill(): void {
    killProcess(this.#process);
  }

  [Symbol.dispose](): void {
    this.#process.close();
  }
}
