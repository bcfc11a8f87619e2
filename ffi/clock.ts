/**
 * The kernel's clocks, for timestamps that must compare with those of GPIO
 * events.
 *
 * @module
 */
import { I32, I64, layout, LITTLE_ENDIAN, U64 } from "./layout.ts";
import { check } from "./libc.ts";

const SYMBOLS = {
  /** int clock_gettime(clockid_t clock, struct timespec *time) */
  clockGettime: {
    name: "clock_gettime",
    parameters: ["i32", "buffer"],
    result: "i32",
  },
  /** void tzset(void) */
  tzset: { parameters: [], result: "void" },
  /** struct tm *localtime_r(const time_t *time, struct tm *result) */
  localtime: {
    name: "localtime_r",
    parameters: ["buffer", "buffer"],
    result: "pointer",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const TIMESPEC = layout("timespec", 16, [["tv_sec", I64], ["tv_nsec", I64]]);
const TM = layout("tm", 56, [
  ["tm_sec", I32],
  ["tm_min", I32],
  ["tm_hour", I32],
  ["tm_mday", I32],
  ["tm_mon", I32],
  ["tm_year", I32],
  ["tm_wday", I32],
  ["tm_yday", I32],
  ["tm_isdst", I32],
  ["_pad", I32],
  ["tm_gmtoff", I64],
  ["tm_zone", U64],
]);
const CLOCKS = { realtime: 0, monotonic: 1, thread: 3, boot: 7 } as const;
const NS_PER_S = 1_000_000_000n;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/**
 * The time on one of the kernel's clocks: since the boot without sleep
 * (`"monotonic"`) and with it (`"boot"`), since 1970 (`"realtime"`), or the
 * processor time of this thread (`"thread"`).
 *
 * @throws {OsError} Never on Linux, which has all.
 *
 * **Units**: nanoseconds. **Safety**: a call that only fills a buffer of ours.
 */
export function clockNs(clock: keyof typeof CLOCKS): bigint {
  const time = new Uint8Array(TIMESPEC.size);
  check(
    symbols().clockGettime(CLOCKS[clock], time),
    "clock_gettime",
    `the ${clock} clock`,
  );
  const view = new DataView(time.buffer);
  return view.getBigInt64(TIMESPEC.at.tv_sec, LITTLE_ENDIAN) * NS_PER_S +
    view.getBigInt64(TIMESPEC.at.tv_nsec, LITTLE_ENDIAN);
}

/** A slower reading of both clocks is repeated. **Units**: nanoseconds. */
const SLOW_READ_NS = 50_000n;
const MAX_READS = 8;

/**
 * Time since 1970 minus monotonic time, or minus the time since the boot, as the
 * wall clock is set now. A sleep of the machine changes the first only.
 *
 * **Units**: nanoseconds. **Safety**: as of {@linkcode clockNs}.
 */
export function wallOffsetNs(
  since: "monotonic" | "boot" = "monotonic",
): bigint {
  let best: { took: bigint; offset: bigint } | undefined;
  // A process that waits for a CPU between two clocks would see a step.
  for (let i = 0; i < MAX_READS; i++) {
    const before = clockNs(since);
    const wall = clockNs("realtime");
    const after = clockNs(since);
    const took = after - before;
    if (best === undefined || took < best.took) {
      best = { took, offset: wall - (before + after) / 2n };
    }
    if (took <= SLOW_READ_NS) break;
  }
  return best!.offset;
}

const NS_PER_US = 1000;
const US_PER_S = 1_000_000;
const ticks = new Uint8Array(TIMESPEC.size);
const tickWords = new Int32Array(ticks.buffer);
const SECONDS_LOW = TIMESPEC.at.tv_sec / 4;
const NANOSECONDS_LOW = TIMESPEC.at.tv_nsec / 4;

/**
 * Monotonic microseconds modulo 2^32, as an `i32`: for measuring short spans on
 * hot paths, where `(later - earlier) | 0` is the time between. A third of the
 * cost of `performance.now()`, and never a heap number.
 *
 * **Units**: microseconds. **Safety**: a call that only fills a buffer of ours.
 */
export function monotonicUs(): number {
  return readUs(CLOCKS.monotonic);
}

/**
 * Processor time of this thread, as {@linkcode monotonicUs}: unlike that, it
 * stands still while another thread has the processor.
 *
 * **Units**: microseconds. **Safety**: a call that only fills a buffer of ours.
 */
export function threadUs(): number {
  return readUs(CLOCKS.thread);
}

function readUs(clock: number): number {
  symbols().clockGettime(clock, ticks);
  return (Math.imul(tickWords[SECONDS_LOW]!, US_PER_S) +
    (tickWords[NANOSECONDS_LOW]! / NS_PER_US | 0)) | 0;
}

/**
 * Reads the monotonic clock into the first element of `into`: for timestamps on
 * hot paths, which must compare with those of GPIO events. Exact to 1 ns for 104
 * days after the boot, and to 2 ns for as long again.
 *
 * **Units**: nanoseconds. **Safety**: a call that only fills a buffer of ours.
 */
export function readMonotonicNs(into: Float64Array): void {
  symbols().clockGettime(CLOCKS.monotonic, ticks);
  into[0] = tickWords[SECONDS_LOW]! * 1e9 + tickWords[NANOSECONDS_LOW]!;
}

/**
 * A date and time in the local zone.
 *
 * **Safety**: plain data.
 */
interface LocalTime {
  /** Year, such as 2026. */
  readonly year: number;
  /** Month, from 1. */
  readonly month: number;
  /** Day of the month, from 1. */
  readonly day: number;
  /** Hour, from 0. */
  readonly hour: number;
  /** Minute. */
  readonly minute: number;
  /** Second. */
  readonly second: number;
}

/**
 * Returns the date and time in the local zone, as the C library knows it: `TZ` may
 * be a zone's name, a path, or a POSIX rule (`CET-1CEST,M3.5.0,M10.5.0/3`), of
 * which Deno's `Date` knows the first only.
 *
 * @param seconds Seconds since 1970.
 * @throws {RangeError} If the year does not fit the C library's type.
 *
 * **Safety**: calls that only fill buffers of ours; `TZ` is read anew each time.
 */
export function localTime(seconds: bigint): LocalTime {
  const { tzset, localtime } = symbols();
  const buffer = new Uint8Array(TM.size);
  tzset();
  if (localtime(new BigInt64Array([seconds]), buffer) === null) {
    throw new RangeError(`There is no local time ${seconds} s after 1970`);
  }
  const view = new DataView(buffer.buffer);
  const at = (offset: number) => view.getInt32(offset, LITTLE_ENDIAN);
  return {
    year: at(TM.at.tm_year) + 1900,
    month: at(TM.at.tm_mon) + 1,
    day: at(TM.at.tm_mday),
    hour: at(TM.at.tm_hour),
    minute: at(TM.at.tm_min),
    second: at(TM.at.tm_sec),
  };
}
