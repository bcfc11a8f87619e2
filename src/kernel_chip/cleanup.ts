/**
 * Removes chips by their records: those of dead makers, and those that the user
 * removes.
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
import { DoubtfulRecordError, findContradiction } from "./claims.ts";
import { GuardianProcess } from "./guardian_process.ts";
import { findOrphanedDevice, listOtherMarks } from "./own_device.ts";
import { isAlive } from "./process_identity.ts";
import {
  type ChipRecord,
  type FoundRecord,
  groupPath,
  type Records,
} from "./records.ts";
import { detachAdapters } from "./usb_adapter.ts";
import { waitUntil } from "../async/wait.ts";

/** Time that another process may need to remove the same chip. */
const OTHERS_LIMIT_MS = 2000;

/** Result for the chips of dead makers. */
export interface Collection {
  /** The records of removed chips. */
  readonly removed: readonly ChipRecord[];
  /** Chips that could not be removed, and the reasons. */
  readonly failed: readonly { record: ChipRecord; error: Error }[];
}

/**
 * Removes chips of dead makers. Those of living makers and detached ones stay.
 * The records must be locked: they are read once, and guardians of all of them
 * are waited for once, however many there are.
 */
export async function collectGarbage(records: Records): Promise<Collection> {
  const removed: ChipRecord[] = [];
  const failed: { record: ChipRecord; error: Error }[] = [];
  let left = await records.list();
  const deadline = performance.now() + OTHERS_LIMIT_MS;
  for (const record of left) {
    if (record.state !== "orphaned") continue;
    try {
      await waitForGuardianEnd(
        records,
        record,
        left,
        deadline - performance.now(),
      );
      await takeDown(records, record, left);
      left = left.filter((other) => other !== record);
      removed.push(record);
    } catch (error) {
      // One failure must not keep the others from being removed.
      failed.push({ record, error: error as Error });
    }
  }
  await records.sweep();
  return { removed, failed };
}

/**
 * Waits for the guardian of a dead maker, which may be about to do the same, or
 * may have been stopped.
 *
 * @throws {DoubtfulRecordError} If it goes on running, or something else shows
 * that the maker is not dead.
 */
async function waitForGuardianEnd(
  records: Records,
  record: ChipRecord,
  known: readonly FoundRecord[],
  limitMs: number,
): Promise<void> {
  const evidence = { records: known };
  let reason = findContradiction(record, true, evidence);
  if (reason !== undefined) {
    using guardian = GuardianProcess.find(record, records.recordPath(record));
    guardian?.continue();
  }
  await waitUntil(() => {
    if (reason !== undefined) {
      reason = findContradiction(record, true, evidence);
    }
    return reason === undefined;
  }, Math.max(0, limitMs));
  if (reason !== undefined) throw doubtful(record, reason);
}

function doubtful({ name }: ChipRecord, reason: string): Error {
  return new DoubtfulRecordError(
    `The record of the chip ${name} is not believed: ${reason}. The chip is ` +
      `left as it is`,
  );
}

/**
 * Removes a chip, with its record and its guardian. The records must be locked.
 *
 * @param known All records; absent: they are read.
 * @throws {OsError} EACCES, EPERM.
 * @throws {DoubtfulRecordError} If the kernel or another record contradicts
 * the record.
 */
export async function takeDown(
  records: Records,
  record: ChipRecord,
  known?: readonly FoundRecord[],
): Promise<void> {
  const all = known ?? await records.list();
  const reason = findContradiction(record, false, { records: all });
  if (reason !== undefined) throw doubtful(record, reason);
  using guardian = GuardianProcess.find(record, records.recordPath(record));
  if (guardian !== undefined) {
    const isOver = () => !guardian.isRunning;
    // A guardian whose maker is dead is about to do the same.
    if (!isAlive(record.maker)) await waitUntil(isOver, OTHERS_LIMIT_MS);
    // While the maker lives it holds the pipe, and must not act later.
    guardian.kill();
    await waitUntil(isOver, OTHERS_LIMIT_MS);
  }
  await endChip(records, record, all);
}

/**
 * Removes the chip of a record, and the record; does nothing if they are gone.
 *
 * @param known All records; absent: they are read.
 * @throws {OsError} EACCES, EPERM. Then the record stays.
 */
export async function endChip(
  records: Records,
  record: ChipRecord,
  known?: readonly FoundRecord[],
): Promise<void> {
  const taken = listOtherMarks(known ?? await records.list(), record);
  let error: unknown;
  // Busy: another process, such as a guardian in a container, does the same.
  const isOver = await waitUntil(() => {
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
  if (record.interface === "usb") return detachAdapters(record);
  const { configfs, device, inode } = record;
  if (configfs !== undefined) return endThroughConfigfs(configfs);
  if (record.interface === "configfs") return endEmptyGroup(groupPath(record));
  if (device !== undefined && inode !== undefined) {
    return endThroughSysfs(device, inode);
  }
  // The maker died before it learned which device the kernel had made for it.
  const found = findOrphanedDevice(record, taken);
  if (found !== undefined) endThroughSysfs(found.device, found.inode);
}

/** Returns true if an error means that the caller lacks permission. */
export function isForbidden(error: unknown): boolean {
  return isOsError(error, "EACCES", "EPERM") ||
    error instanceof LineError &&
      isOsError(error.cause, "EACCES", "EPERM") ||
    error instanceof Deno.errors.PermissionDenied;
}
