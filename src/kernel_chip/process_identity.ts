/**
 * Identity of a process, which a later one of the same number does not share.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { bootId } from "../../ffi/process.ts";

/** A process that was running at some time. */
export interface ProcessIdentity {
  readonly pid: number;
  /**
   * Start time, which identifies the process. **Units**: clock ticks since
   * boot.
   */
  readonly startTime: string;
  /** Boot id of that run of the machine. */
  readonly bootId: string;
  /** PID namespace of `pid`: each namespace counts processes for itself. */
  readonly pidNamespace: string;
}

/** Returns the identity of a running process; undefined if there is none. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startTime = parseStartTime(readSmallFile(`/proc/${pid}/stat`) ?? "");
  return startTime === undefined
    ? undefined
    : { pid, startTime, bootId: bootId(), pidNamespace: pidNamespace() };
}

/**
 * Returns true if that same process is seen running. A process of another PID
 * namespace never is: its number means another process here.
 */
export function isAlive(process: ProcessIdentity): boolean {
  return isOfThisNamespace(process) &&
    identifyProcess(process.pid)?.startTime === process.startTime;
}

/** Returns true if a process's number is of this PID namespace and boot. */
export function isOfThisNamespace(process: ProcessIdentity): boolean {
  return process.bootId === bootId() &&
    process.pidNamespace === pidNamespace();
}

/** Returns the id of this PID namespace: `pid:[4026531836]`. */
function pidNamespace(): string {
  return readLink("/proc/self/ns/pid") ?? "";
}

/**
 * Returns the start time from the text of `/proc/PID/stat`; undefined for a
 * process that is gone, or has ended and waits to be reaped.
 *
 * **Source**: proc(5): field 22; field 2, the name, may have anything in it.
 */
export function parseStartTime(stat: string): string | undefined {
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" || state === "X" ? undefined : fields[18];
}
