/**
 * The terminal that a process runs on: the receiver of its keys, and its
 * settings, which a program that was killed leaves as they were.
 *
 * @module
 */
import { readSmallFile } from "./files.ts";
import { libc } from "./libc.ts";

// asm-generic/ioctls.h: the same numbers on the two targets.
const TCGETS = 0x5401;
const TCSETS = 0x5402;
/** More than the kernel's `struct termios` (36 bytes) on either target. */
const SETTINGS_BYTES = 64;

/** Places in `/proc/PID/stat`, counted from behind the program's name. */
const PROCESS_GROUP = 2;
const TERMINAL_FOREGROUND = 5;

/**
 * Returns true if this process is in the foreground of its terminal: then the
 * terminal itself signals Ctrl-C to it and its children. False without a
 * terminal.
 *
 * **Safety**: looks only.
 */
export function isInForeground(): boolean {
  const stat = readSmallFile("/proc/self/stat") ?? "";
  // The program's name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[PROCESS_GROUP] === fields[TERMINAL_FOREGROUND];
}

/**
 * The settings of the terminal at `fd`, for {@linkcode setTerminalSettings};
 * undefined if there is no terminal.
 *
 * **Safety**: looks only.
 */
export function terminalSettings(
  fd: number,
): Uint8Array<ArrayBuffer> | undefined {
  const settings = new Uint8Array(SETTINGS_BYTES);
  return libc().ioctl(fd, TCGETS, settings) < 0 ? undefined : settings;
}

/**
 * Gives the terminal at `fd` settings that it had before; what it cannot take,
 * since it has gone, it has no use for.
 *
 * **Blocking**: a process that is not in the foreground is stopped for trying:
 * ask {@linkcode isInForeground} first. **Safety**: `settings` come from
 * {@linkcode terminalSettings}.
 */
export function setTerminalSettings(
  fd: number,
  settings: Uint8Array<ArrayBuffer>,
): void {
  libc().ioctl(fd, TCSETS, settings);
}
