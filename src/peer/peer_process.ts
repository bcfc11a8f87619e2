/**
 * The process at the other end of a connection, as far as `/proc` shows it.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { peerCredentials } from "../../ffi/unix_socket.ts";

/** Threads whose times are read one by one; of more, only the sum is read. */
const MAX_THREADS = 64;

/** Fields of `/proc/PID/stat`, counted from behind the name; proc(5) has one more. */
const Field = {
  UserTime: 11,
  SystemTime: 12,
  ThreadCount: 17,
  StartTime: 19,
  GuestTime: 40,
} as const;

/** Length of a clock tick in `/proc`. **Units**: milliseconds. */
const TICK_MS = 10;
const NS_PER_MS = 1e6;

/** Times of a process or a thread. */
export interface ProcessTimes {
  /** Its name, with anything but printable ASCII replaced. */
  readonly name: string;
  /**
   * Time on a CPU; of a thread also the time that it waited for one, so that a
   * host that is busy changes nothing. **Units**: milliseconds.
   */
  readonly busyMs: number;
  /** Time that a virtual CPU ran a guest, under KVM. **Units**: milliseconds. */
  readonly guestMs: number;
  /** Time of its start, since boot, in ticks: distinguishes reused numbers. */
  readonly startTime: number;
  /** Threads of the process. */
  readonly threadCount: number;
}

/** Times of a VMM and of its threads. */
export interface PeerTimes {
  /** The process's number, which is also its main thread's. */
  readonly pid: number;
  /** The whole process. */
  readonly process: ProcessTimes;
  /** Its threads by number; empty if there are too many. */
  readonly threads: ReadonlyMap<number, ProcessTimes>;
}

/**
 * Reads the text of `/proc/PID/stat` or `/proc/PID/task/TID/stat`.
 *
 * **Source**: proc_pid_stat(5); field 2, the name, may have anything in it.
 */
export function parseProcessTimes(stat: string): ProcessTimes | undefined {
  const nameStart = stat.indexOf("(");
  const nameEnd = stat.lastIndexOf(")");
  if (nameStart < 0 || nameEnd < nameStart) return undefined;
  const fields = stat.slice(nameEnd + 2).split(" ").map(Number);
  const ticks = fields[Field.UserTime]! + fields[Field.SystemTime]!;
  const startTime = fields[Field.StartTime];
  const threadCount = fields[Field.ThreadCount];
  if (
    Number.isNaN(ticks) || startTime === undefined || threadCount === undefined
  ) {
    return undefined;
  }
  return {
    name: stat.slice(nameStart + 1, nameEnd).replace(/[^\x20-\x7e]/g, "?"),
    busyMs: ticks * TICK_MS,
    guestMs: (fields[Field.GuestTime] ?? 0) * TICK_MS,
    startTime,
    threadCount,
  };
}

function readTimes(path: string): ProcessTimes | undefined {
  return parseProcessTimes(readSmallFile(path) ?? "");
}

/** Reads the times of a thread, with the time that it waited for a CPU. */
function readThread(directory: string): ProcessTimes | undefined {
  const times = readTimes(`${directory}/stat`);
  // Time on a CPU, time waiting for one, both in ns; not on every kernel.
  const [run, wait] = (readSmallFile(`${directory}/schedstat`) ?? "")
    .split(" ").map(Number);
  return times === undefined || wait === undefined || Number.isNaN(run! + wait)
    ? times
    : { ...times, busyMs: (run! + wait) / NS_PER_MS };
}

/** The process that connected, by its number and the time of its start. */
export class PeerProcess {
  readonly #pid: number;
  readonly #startTime: number | undefined;
  readonly #name: string;

  private constructor(pid: number, times: ProcessTimes | undefined) {
    this.#pid = pid;
    this.#startTime = times?.startTime;
    this.#name = times?.name ?? "";
  }

  /**
   * Finds the peer of `socket`. The kernel reports 0 for a process that this
   * one's PID namespace does not have; so does this for any other socket.
   */
  static of(socket: number): PeerProcess {
    let pid = 0;
    try {
      ({ pid } = peerCredentials(socket));
    } catch (error) {
      if (!isOsError(error)) throw error;
    }
    return new PeerProcess(
      pid,
      isOwnProc() && pid > 0 ? readTimes(`/proc/${pid}/stat`) : undefined,
    );
  }

  /** Its name and number, for people. */
  get title(): string {
    if (this.#pid === 0) return "a process of another PID namespace";
    return this.#name === ""
      ? `process ${this.#pid}`
      : `${this.#name} (pid ${this.#pid})`;
  }

  /**
   * Reads its times; `undefined` if they cannot be known: it has ended, its
   * number is another's by now, `/proc` does not show it, or it is this process.
   */
  times(): PeerTimes | undefined {
    const pid = this.#pid;
    if (this.#startTime === undefined || pid === Deno.pid) return undefined;
    const process = readTimes(`/proc/${pid}/stat`);
    if (process?.startTime !== this.#startTime) return undefined;
    const threads = new Map<number, ProcessTimes>();
    // Under KVM the process's own times say enough.
    if (process.guestMs === 0 && process.threadCount <= MAX_THREADS) {
      for (const tid of listThreads(pid)) {
        const times = readThread(`/proc/${pid}/task/${tid}`);
        if (times !== undefined) threads.set(tid, times);
      }
    }
    return { pid, process, threads };
  }
}

function listThreads(pid: number): number[] {
  try {
    return listDirectory(`/proc/${pid}/task`).map(Number);
  } catch {
    // It has just ended.
    return [];
  }
}

/** Returns true if `/proc` has the numbers of this process's own namespace. */
function isOwnProc(): boolean {
  return readLink("/proc/self") === String(Deno.pid);
}
