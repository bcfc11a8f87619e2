/**
 * Doubts about a record: what the kernel, other records and running processes
 * show that contradicts it.
 *
 * A record is a file in a directory that a container may share, and names the
 * device that is taken down with this process's rights. It is acted on only if
 * nothing contradicts it.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { guardedRecord } from "./guardian.ts";
import { fitsRecord } from "./own_device.ts";
import { deviceMark } from "./driver.ts";
import type { ChipRecord, FoundRecord } from "./records.ts";

/** Error about a record that is contradicted; the chip is left alone. */
export class DoubtfulRecordError extends Error {
  override readonly name = "DoubtfulRecordError";
}

/** Evidence beside a record. */
export interface Evidence {
  /** All records of the directory. */
  readonly records: readonly FoundRecord[];
  /** Returns true if a device has, or waits for, the lines of a record. */
  readonly fits?: (device: string, record: ChipRecord) => boolean;
  /** The command lines of running processes, words ended by NUL. */
  readonly commandLines?: () => Iterable<string>;
}

/**
 * Returns why the chip of a record must not be taken down; undefined if nothing
 * speaks against it.
 *
 * @param isForgotten True if its maker counts as dead: then no guardian of
 * it may be running.
 */
export function findContradiction(
  record: ChipRecord,
  isForgotten: boolean,
  { records, fits = fitsRecord, commandLines = runningCommands }: Evidence,
): string | undefined {
  const { device, id, inode } = record;
  if (device !== undefined) {
    const mark = deviceMark(device, inode);
    // Only one of both can tell the truth.
    const other = records.find((other) =>
      other.id !== id && other.state !== "orphaned" &&
      deviceMark(other.device, other.inode) === mark
    );
    if (other !== undefined) {
      return `${device} is the chip ${other.name} as well, which is ${other.state}`;
    }
    if (!fits(device, record)) {
      return `${device} does not have the lines that the record names`;
    }
  }
  if (!isForgotten) return undefined;
  // A guardian ends with the chip, and does not leave it before. The file cannot
  // make the process vanish.
  for (const words of commandLines()) {
    // In a container, the same directory may have another path.
    if (guardedRecord(words)?.endsWith(`/${id}`) === true) {
      return "its guardian is running, so its maker is, too";
    }
  }
  return undefined;
}

/** Processes and mounts that exist, as far as `/proc` shows it: containers included for the host. */
function* runningCommands(): Generator<string> {
  for (const name of listDirectory("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const words = readSmallFile(`/proc/${name}/cmdline`);
    if (words !== undefined && words !== "") yield words;
  }
}
