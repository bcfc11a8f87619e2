/**
 * Who made something: a process, told from a later one of the same number.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";

/** A process that was running at some time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** **Units**: clock ticks since boot; the kernel's own mark of a process. */
  readonly startTime: string;
  /** Which run of the machine that was. */
  readonly bootId: string;
}

/** The identity of a running process; undefined if there is none. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(readSmallFile(`/proc/${pid}/stat`) ?? "");
  return startTime === undefined
    ? undefined
    : { pid, startTime, bootId: bootId() };
}

/** Whether that very process still runs. */
export function isAlive(process: ProcessIdentity): boolean {
  return process.bootId === bootId() &&
    identityOf(process.pid)?.startTime === process.startTime;
}

/** Tells this run of the machine from others. */
export function bootId(): string {
  return readSmallFile("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
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
