/**
 * Taking chips down from their records: those of dead makers, and those that
 * the user is done with.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { LineError } from "../gpio/errors.ts";
import {
  endEmptyGroup,
  endThroughConfigfs,
  endThroughSysfs,
} from "./driver.ts";
import { deviceOfTheDead, marksOfOthers } from "./own_device.ts";
import { isAlive } from "./process_identity.ts";
import { type ChipRecord, groupOf, type Records } from "./records.ts";
import { until } from "./until.ts";

/** How long somebody else who takes the same chip down may take. */
const OTHERS_LIMIT_MS = 2000;

/** What became of the chips of dead makers. */
export interface Collection {
  /** The records of what was taken down. */
  readonly removed: readonly ChipRecord[];
  /** What would not go, and why. */
  readonly failed: readonly { record: ChipRecord; error: Error }[];
}

/**
 * Takes down what dead makers left. Chips of living makers and detached ones
 * stay. The records must be locked.
 */
export async function collectGarbage(records: Records): Promise<Collection> {
  const removed: ChipRecord[] = [];
  const failed: { record: ChipRecord; error: Error }[] = [];
  for (const record of await records.list()) {
    if (record.state !== "orphaned") continue;
    try {
      await takeDown(records, record);
      removed.push(record);
    } catch (error) {
      // The others are not to suffer by it.
      failed.push({ record, error: error as Error });
    }
  }
  await records.sweep();
  return { removed, failed };
}

/**
 * Takes a chip down, with its record and whoever guards it. The records must
 * be locked.
 *
 * @throws {OsError} EACCES, EPERM.
 */
export async function takeDown(
  records: Records,
  record: ChipRecord,
): Promise<void> {
  const { guardian, maker } = record;
  if (guardian !== undefined && isAlive(guardian)) {
    // A guardian whose maker is dead is about to do just this.
    if (!isAlive(maker)) {
      await until(() => !isAlive(guardian), OTHERS_LIMIT_MS);
    }
    // With the maker alive it holds on to the pipe, and must not act later.
    if (isAlive(guardian)) Deno.kill(guardian.pid, "SIGKILL");
    await until(() => !isAlive(guardian), OTHERS_LIMIT_MS);
  }
  await endChip(records, record);
}

/**
 * Ends the chip of a record, and removes the record; nothing happens if they
 * are gone.
 *
 * @throws {OsError} EACCES, EPERM. The record stays, then.
 */
export async function endChip(
  records: Records,
  record: ChipRecord,
): Promise<void> {
  const taken = marksOfOthers(await records.list(), record);
  let error: unknown;
  // Busy: somebody else, such as a guardian in a container, is at the same.
  const isOver = await until(() => {
    try {
      endDevice(record, taken);
      return true;
    } catch (problem) {
      if (!isOsError(problem, "EBUSY")) throw problem;
      error = problem;
      return false;
    }
  }, OTHERS_LIMIT_MS);
  if (!isOver) throw error;
  await records.remove(record);
}

function endDevice(record: ChipRecord, taken: ReadonlySet<string>): void {
  const { configfs, device, inode } = record;
  if (configfs !== undefined) return endThroughConfigfs(configfs);
  if (record.interface === "configfs") return endEmptyGroup(groupOf(record));
  if (device !== undefined && inode !== undefined) {
    return endThroughSysfs(device, inode);
  }
  // The maker died before it learned which device the kernel had made for it.
  const found = deviceOfTheDead(record, taken);
  if (found !== undefined) endThroughSysfs(found.device, found.inode);
}

/** Whether an error says that this takes more rights than the caller has. */
export function isForbidden(error: unknown): boolean {
  return isOsError(error, "EACCES", "EPERM") ||
    error instanceof LineError &&
      isOsError(error.cause, "EACCES", "EPERM") ||
    error instanceof Deno.errors.PermissionDenied;
}
