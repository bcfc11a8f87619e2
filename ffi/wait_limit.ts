/**
 * A limit for system calls that wait although they must not: a timer of the
 * kernel interrupts this thread periodically, so that such a call fails with
 * EINTR.
 *
 * A descriptor that another process shares can be made blocking at any time,
 * also between a look at its flags and the call. No flag of `write` prevents it
 * for eventfds (their write ignores RWF_NOWAIT).
 *
 * The timer runs only while such calls are made, and stops itself: at rest there
 * are no wake-ups. It sends SIGURG, which is ignored by default, to this thread
 * only; the handler is one instruction. Other waits of this thread may fail with
 * EINTR while it runs, which every wrapper in this folder allows for.
 *
 * @module
 */
import { bytes, I32, I64, layout, LITTLE_ENDIAN, U64 } from "./layout.ts";
import { check, libc } from "./libc.ts";
import { machineCode } from "./machine_code.ts";
import { SIGACTION } from "./sigaction.ts";

/**
 * The longest that a call waits, but for the kernel's own delays. **Units**: ms.
 *
 * **Safety**: a constant.
 */
const WAIT_LIMIT_MS = 20;

const SIGURG = 23;
const SA_ONSTACK = 0x0800_0000;
const CLOCK_MONOTONIC = 1;
const SIGEV_THREAD_ID = 4;
const NS_PER_MS = 1_000_000n;

const [NR_TIMER_CREATE, NR_TIMER_SETTIME, NR_GETTID] =
  Deno.build.arch === "aarch64" ? [107, 110, 178] : [222, 223, 186];

const SIGEVENT = layout("sigevent", 64, [
  ["sigev_value", U64],
  ["sigev_signo", I32],
  ["sigev_notify", I32],
  ["_tid", I32],
  ["_rest", bytes(44)],
]);
const TIMESPEC = layout("timespec", 16, [["tv_sec", I64], ["tv_nsec", I64]]);
const ITIMERSPEC = layout("itimerspec", 32, [
  ["it_interval", TIMESPEC],
  ["it_value", TIMESPEC],
]);

let timer: number | undefined;
let isRunning = false;
/** Calls since the isolate began, and how many there were at the last rest. */
let calls = 0;
let callsAtRest = 0;

/**
 * Limits the calls that this thread makes from now on, until {@linkcode
 * relaxWaits} finds that there are none any more. Cheap while the timer runs:
 * to be called before each call that may wait.
 *
 * @throws {OsError} If the kernel has no timer for us.
 *
 * **Safety**: a call that is interrupted fails with EINTR and has done nothing.
 */
export function limitWaits(): void {
  calls = (calls + 1) | 0;
  if (!isRunning) start();
}

/**
 * Stops the timer if no limited call was made since the last time: to be called
 * when a wait that has a reason (for events) was interrupted.
 *
 * **Safety**: never while a limited call is under way.
 */
export function relaxWaits(): void {
  if (!isRunning) return;
  if (calls !== callsAtRest) callsAtRest = calls;
  else stop();
}

/**
 * Returns true while the timer runs, for tests.
 *
 * **Safety**: looks only.
 */
export function areWaitsLimited(): boolean {
  return isRunning;
}

function start(): void {
  timer ??= makeTimer();
  setTimer(timer, WAIT_LIMIT_MS);
  isRunning = true;
}

function stop(): void {
  setTimer(timer!, 0);
  isRunning = false;
}

function setTimer(id: number, ms: number): void {
  const period = new Uint8Array(ITIMERSPEC.size);
  const view = new DataView(period.buffer);
  const ns = BigInt(ms) * NS_PER_MS;
  for (const part of [ITIMERSPEC.at.it_interval, ITIMERSPEC.at.it_value]) {
    view.setBigInt64(part + TIMESPEC.at.tv_nsec, ns, LITTLE_ENDIAN);
  }
  check(
    libc().timerSettime(NR_TIMER_SETTIME!, id, 0, period, null),
    "timer_settime",
    "the limit of waits",
  );
}

/** Makes a timer that signals the calling thread. */
function makeTimer(): number {
  const action = new Uint8Array(SIGACTION.size);
  const actionView = new DataView(action.buffer);
  actionView.setBigUint64(
    SIGACTION.at.sa_handler,
    Deno.UnsafePointer.value(machineCode().routine("interrupt")),
    LITTLE_ENDIAN,
  );
  // Without SA_RESTART: to fail is what the calls are meant to.
  actionView.setInt32(SIGACTION.at.sa_flags, SA_ONSTACK, LITTLE_ENDIAN);
  check(
    libc().sigaction(SIGURG, action, new Uint8Array(SIGACTION.size)),
    "sigaction",
    "SIGURG",
  );
  const event = new Uint8Array(SIGEVENT.size);
  const view = new DataView(event.buffer);
  view.setInt32(SIGEVENT.at.sigev_signo, SIGURG, LITTLE_ENDIAN);
  view.setInt32(SIGEVENT.at.sigev_notify, SIGEV_THREAD_ID, LITTLE_ENDIAN);
  view.setInt32(SIGEVENT.at._tid, libc().gettid(NR_GETTID!), LITTLE_ENDIAN);
  const id = new Int32Array(1);
  check(
    libc().timerCreate(
      NR_TIMER_CREATE!,
      CLOCK_MONOTONIC,
      event,
      new Uint8Array(id.buffer),
    ),
    "timer_create",
    "the limit of waits",
  );
  return id[0]!;
}
