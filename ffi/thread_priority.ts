/**
 * Priority of the calling thread.
 *
 * **Source**: setpriority(2): Linux has a nice value for each thread.
 *
 * @module
 */
import { libc } from "./libc.ts";

const PRIO_PROCESS = 0;
const CALLING_THREAD = 0;
const MIN_NICE = -20;

/**
 * The priority of the thread that made this object, and the only one to use it.
 * Threads and processes that it starts inherit what it has then.
 */
export class ThreadPriority {
  readonly #nice: number;

  /** Takes note of the nice value that the thread has. */
  constructor() {
    // An error would be -1, which is a nice value too; there is none here.
    this.#nice = libc().getpriority(PRIO_PROCESS, CALLING_THREAD);
  }

  /**
   * Sets the nice value.
   *
   * @param steps Steps below the one that the thread had; each is about a quarter
   * more of the processor's time.
   * @returns False if the kernel does not allow it: without CAP_SYS_NICE it takes
   * a limit (`LimitNICE=`, RLIMIT_NICE).
   */
  set(steps: number): boolean {
    const nice = Math.max(MIN_NICE, this.#nice - steps);
    return libc().setpriority(PRIO_PROCESS, CALLING_THREAD, nice) === 0;
  }
}
