/**
 * Processes by a handle that means one process, whatever becomes of its number.
 *
 * @module
 */
import { ESRCH } from "./errno.ts";
import { readSmallFile } from "./files.ts";
import { lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import { pollFd, POLLIN } from "./poll.ts";

const SYMBOLS = {
  /** long syscall(long number, ...); variadic */
  syscall: {
    parameters: ["isize", "isize", "isize", "isize", "isize", "isize"],
    result: "isize",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The same on both targets. */
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;
const SYS_PRCTL = Deno.build.arch === "aarch64" ? 167n : 157n;
const PR_SET_PDEATHSIG = 1n;
const SYS_KCMP = Deno.build.arch === "aarch64" ? 272n : 312n;
const KCMP_FILE = 0n;
const SIGKILL = 9n;
const SIGCONT = 18n;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  // libc() first: it makes errno known before any call can fail.
  libc();
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/**
 * Opens the process of this number, whichever it is; undefined if there is none.
 * What is read of it in `/proc` afterwards is of this process, or of none, if
 * {@linkcode hasEnded} is false after that.
 *
 * @throws {OsError} EINVAL for what is not a process's number, EMFILE.
 *
 * **Ownership**: the caller's. **Safety**: a plain fd, close-on-exec. **Source**:
 * pidfd_open(2), Linux 5.3.
 */
export function openProcess(pid: number): OwnedFd | undefined {
  const fd = Number(
    symbols().syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n, 0n),
  );
  if (fd >= 0) return new OwnedFd(fd, `process ${pid}`);
  const errno = lastErrno();
  if (errno === ESRCH) return undefined;
  throw new OsError("pidfd_open", errno, `process ${pid}`);
}

/**
 * Returns true if a process has ended, reaped or not.
 *
 * **Safety**: never waits.
 */
export function hasEnded(process: OwnedFd): boolean {
  return (pollFd(process.fd, POLLIN, 0) & POLLIN) !== 0;
}

/**
 * Kills a process with SIGKILL; nothing happens if it has ended.
 *
 * @throws {OsError} EPERM.
 *
 * **Safety**: no other process is meant by the handle. **Source**:
 * pidfd_send_signal(2), Linux 5.1.
 */
export function killProcess(process: OwnedFd): void {
  sendSignal(process, SIGKILL);
}

/**
 * Continues a process that was stopped; nothing happens if it has ended.
 *
 * @throws {OsError} EPERM.
 *
 * **Safety**: no other process is meant by the handle. **Source**:
 * pidfd_send_signal(2), Linux 5.1.
 */
export function continueProcess(process: OwnedFd): void {
  sendSignal(process, SIGCONT);
}

function sendSignal(process: OwnedFd, signal: bigint): void {
  const result = symbols().syscall(
    SYS_PIDFD_SEND_SIGNAL,
    BigInt(process.fd),
    signal,
    0n,
    0n,
    0n,
  );
  if (result === 0n) return;
  const errno = lastErrno();
  if (errno !== ESRCH) {
    throw new OsError("pidfd_send_signal", errno, process.what);
  }
}

/**
 * Has the kernel kill this process, with SIGKILL, when the process that started
 * it ends in any way. One that has ended already is not noticed: the caller
 * looks at its parent's number afterwards.
 *
 * @throws {OsError} EPERM, where a sandbox forbids it.
 *
 * **Safety**: for this process only, and not for those that it starts.
 * **Source**: PR_SET_PDEATHSIG(2const).
 */
export function endWithParent(): void {
  signalAtParentEnd(SIGKILL);
}

/**
 * Has the kernel continue this process, if it is stopped, when the process that
 * started it ends in any way.
 *
 * @throws {OsError} EPERM, where a sandbox forbids it.
 *
 * **Safety**: for this process only, and not for those that it starts.
 * **Source**: PR_SET_PDEATHSIG(2const).
 */
export function continueAtParentEnd(): void {
  signalAtParentEnd(SIGCONT);
}

function signalAtParentEnd(signal: bigint): void {
  const result = symbols().syscall(
    SYS_PRCTL,
    PR_SET_PDEATHSIG,
    signal,
    0n,
    0n,
    0n,
  );
  if (result !== 0n) throw new OsError("prctl", lastErrno(), "PDEATHSIG");
}

/**
 * Returns true if two fds of this process are known to be copies of one open
 * file; false also where the kernel does not tell.
 *
 * **Safety**: looks only. **Source**: kcmp(2), CONFIG_KCMP.
 */
export function isSameOpenFile(one: number, other: number): boolean {
  const pid = BigInt(Deno.pid);
  const result = symbols().syscall(
    SYS_KCMP,
    pid,
    pid,
    KCMP_FILE,
    BigInt(one),
    BigInt(other),
  );
  return result === 0n;
}

/**
 * Returns the id of this boot of the machine; empty if the kernel reports none.
 *
 * **Safety**: looks only. **Source**: random(4), `boot_id`.
 */
export function bootId(): string {
  return readSmallFile("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}
