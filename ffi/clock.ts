/**
 * The kernel's clocks, for timestamps that must compare with those of GPIO
 * events.
 *
 * @module
 */
import { I64, layout, LITTLE_ENDIAN } from "./layout.ts";
import { check } from "./libc.ts";

const SYMBOLS = {
  /** int clock_gettime(clockid_t clock, struct timespec *time) */
  clockGettime: {
    name: "clock_gettime",
    parameters: ["i32", "buffer"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const TIMESPEC = layout("timespec", 16, [["tv_sec", I64], ["tv_nsec", I64]]);
const CLOCKS = { realtime: 0, monotonic: 1 } as const;
const NS_PER_S = 1_000_000_000n;

let opened: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] | undefined;

function symbols(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  return opened ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/**
 * The time on one of the kernel's clocks: since the boot (`"monotonic"`), or
 * since 1970 (`"realtime"`).
 *
 * @throws {OsError} Never on Linux, which has both.
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
