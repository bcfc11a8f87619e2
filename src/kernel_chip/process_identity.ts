/**
 * Who made something: a process, told from a later one of the same number.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";

/** A process that was running at some time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** **Units**: clock ticks since boot; the kernel's own mark of a process. */
  readonly startTime: string;
  /** Which run of the machine that was. */
  readonly bootId: string;
  /** Whose numbers `pid` is one of: containers count processes anew. */
  readonly pidNamespace: string;
}

/** The identity of a running process; undefined if there is none. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(readSmallFile(`/proc/${pid}/stat`) ?? "");
  return startTime === undefined
    ? undefined
    : { pid, startTime, bootId: bootId(), pidNamespace: pidNamespace() };
}

/**
 * Whether that very process is seen to run. One of another PID namespace never
 * is: its number means somebody else here.
 */
export function isAlive(process: ProcessIdentity): boolean {
  return isOfThisNamespace(process) &&
    identityOf(process.pid)?.startTime === process.startTime;
}

/** Whether a process's number means the same here as where it was written. */
export function isOfThisNamespace(process: ProcessIdentity): boolean {
  return process.bootId === bootId() &&
    process.pidNamespace === pidNamespace();
}

/** Tells this run of the machine from others. */
export function bootId(): string {
  return readSmallFile("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** Tells this process's PID namespace from others: `pid:[4026531836]`. */
function pidNamespace(): string {
  return readLink("/proc/self/ns/pid") ?? "";
}

/**
 * The start time in the text of `/proc/PID/stat`; undefined for a process that
 * is there no more, or has ended and waits to be reaped.
 *
 * **Source**: proc(5): field 22; field 2, the name, may have anything in it.
 */
export function startTimeOf(stat: string): string | undefined {
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" || state === "X" ? undefined : fields[18];
}
