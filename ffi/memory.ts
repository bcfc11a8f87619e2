/**
 * The process's own memory, seen from outside: what it keeps resident.
 *
 * @module
 */
import { readSmallFile } from "./files.ts";
import { libc } from "./libc.ts";

const MADV_DONTNEED = 4;
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
 * **Blocking**: some milliseconds. **Safety**: only mappings of files are
 * touched that nobody can write to and that hold no page of their own (none
 * was ever written to, as relocations are), so nothing can be lost.
 */
export function dropStartUpPages(): void {
  const maps = readSmallFile("/proc/self/smaps", SMAPS_BYTES) ?? "";
  for (const [, from, to] of maps.matchAll(CLEAN_FILE)) {
    const start = BigInt(`0x${from}`);
    const length = BigInt(`0x${to}`) - start;
    // Advice that is not taken changes nothing.
    libc().madvise(Deno.UnsafePointer.create(start), length, MADV_DONTNEED);
  }
}

/**
 * `559f8a000000-559f8b000000 r-xp 00e2a000 fd:00 1234   /usr/bin/deno` and the
 * lines below it, where none of its pages is the process's own.
 */
const CLEAN_FILE =
  /^([0-9a-f]+)-([0-9a-f]+) r-[-x][ps] \S+ \S+ [1-9]\d* +\/.*\n(?:[A-Z].*\n)*?Anonymous: +0 kB$/gm;
