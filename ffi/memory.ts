/**
 * The process's own memory, seen from outside: what it keeps resident.
 *
 * @module
 */
import { readSmallFile } from "./files.ts";
import { libc } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Gives back the pages of program code that were needed just to start: they
 * are clean copies of files, and come back from the page cache one by one when
 * they are used again.
 *
 * A runtime runs through 26 MB of its code to load a program, and through a
 * few of them ever after.
 *
 * **Blocking**: about a millisecond. **Safety**: only mappings of files that
 * are executable and not writable are touched; such pages are never modified
 * (relocations live in other mappings), so nothing can be lost.
 */
export function dropStartUpCode(): void {
  const maps = readSmallFile("/proc/self/maps") ?? "";
  for (const [, from, to] of maps.matchAll(FILE_CODE)) {
    const start = BigInt(`0x${from}`);
    const length = BigInt(`0x${to}`) - start;
    // Advice that is not taken changes nothing.
    libc().madvise(Deno.UnsafePointer.create(start), length, MADV_DONTNEED);
  }
}

/** `559f8a000000-559f8b000000 r-xp 00e2a000 fd:00 1234   /usr/bin/deno` */
const FILE_CODE = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]\d* +\//gm;
