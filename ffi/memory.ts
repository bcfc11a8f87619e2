/**
 * The process's own memory, seen from outside: what it keeps resident.
 *
 * @module
 */
import { readSmallFile } from "./files.ts";
import { libc } from "./libc.ts";

const MADV_DONTNEED = 4;
/** Parameters of mallopt(3). */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
/** The C library's value at its start. **Units**: bytes. */
const LARGE_BYTES = 128 * 1024;
/** Free memory at the end of a heap that is kept. **Units**: bytes. */
const KEPT_BYTES = 1024 * 1024;
/** Room for the most mappings that a process may have: 700 bytes each. */
const SMAPS_BYTES = 64 << 20;

/**
 * Gives back the pages of files that were needed just to start: program code
 * and constants. They are clean copies, and come back from the page cache one
 * by one when they are used again.
 *
 * A runtime runs through 30 MB of its own file to load a program, and through
 * a few of them ever after.
 *
 * **Blocking**: some milliseconds. **Safety**: see `cleanMappings()`.
 */
export function dropStartUpPages(): void {
  const maps = readSmallFile("/proc/self/smaps", SMAPS_BYTES) ?? "";
  for (const { start, end } of cleanMappings(maps)) {
    const length = end - start;
    // Advice that is not taken changes nothing.
    libc().madvise(Deno.UnsafePointer.create(start), length, MADV_DONTNEED);
  }
}

/**
 * Has the C library give large pieces of memory back to the kernel as soon as
 * they are free.
 *
 * By default it raises the size from which pieces get a mapping of their own
 * to that of the largest piece that was freed, up to 32 MB: answers, messages
 * and buffers of megabytes then lie among small pieces of its heap, which never
 * shrinks below the last of these.
 *
 * **Safety**: changes no memory. **Source**: mallopt(3).
 */
export function returnLargeMemory(): void {
  // Advice that is not taken changes nothing.
  libc().mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
  libc().mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

/** Addresses of a mapping; `end` is the first one behind it. */
interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Returns the mappings of which every resident page can be read again from its
 * file: private, of a file, not writable, with resident pages that are all
 * clean and none of which is the process's own (as relocated pages are).
 *
 * A mapping without resident pages has nothing to give back, and is left out
 * for another reason too: emulators such as qemu-user report zeros for all
 * mappings, those with relocated pages included.
 *
 * @param smaps Text of /proc/PID/smaps.
 *
 * **Source**: proc_pid_smaps(5).
 */
export function cleanMappings(smaps: string): AddressRange[] {
  const ranges: AddressRange[] = [];
  for (const [, from, to, counters = ""] of smaps.matchAll(READ_ONLY_FILE)) {
    const kilobytes = new Map<string, number>();
    for (const [, name = "", count] of counters.matchAll(COUNTER)) {
      kilobytes.set(name, Number(count));
    }
    const resident = kilobytes.get("Rss") ?? 0;
    const clean = (kilobytes.get("Private_Clean") ?? 0) +
      (kilobytes.get("Shared_Clean") ?? 0);
    if (resident === 0 || clean !== resident) continue;
    if (kilobytes.get("Anonymous") !== 0) continue;
    ranges.push({ start: BigInt(`0x${from}`), end: BigInt(`0x${to}`) });
  }
  return ranges;
}

/**
 * `559f8a000000-559f8b000000 r-xp 00e2a000 fd:00 1234   /usr/bin/deno` and the
 * counters below it.
 */
const READ_ONLY_FILE =
  /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ [1-9]\d* +\/.*\n((?:[A-Z].*\n)*)/gm;
const COUNTER = /^(\w+): +(\d+) kB$/gm;
