/**
 * Taking chips down from their records: those of dead makers, and those that
 * the user is done with.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { LineError } from "../gpio/errors.ts";
import {
  endThroughConfigfs,
  endThroughSysfs,
  inodeOf,
  listDevices,
} from "./driver.ts";
import { isAlive } from "./process_identity.ts";
import { type ChipRecord, type Records, stateOf } from "./records.ts";
import { type HostChip, readHostChip } from "./host_chips.ts";
import { until } from "./until.ts";

/** How long a guardian that is at work may take. */
const GUARDIAN_LIMIT_MS = 2000;

/**
 * Takes down what dead makers left. Chips of living makers and detached ones
 * stay. The records must be locked.
 *
 * @returns The records of what was taken down.
 * @throws {OsError} EACCES, EPERM.
 */
export async function collectGarbage(records: Records): Promise<ChipRecord[]> {
  const orphans = (await records.list())
    .filter((record) => stateOf(record) === "orphaned");
  for (const record of orphans) await takeDown(records, record);
  return orphans;
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
      await until(() => !isAlive(guardian), GUARDIAN_LIMIT_MS);
    }
    // With the maker alive it holds on to the pipe, and must not act later.
    if (isAlive(guardian)) Deno.kill(guardian.pid, "SIGKILL");
    await until(() => !isAlive(guardian), GUARDIAN_LIMIT_MS);
  }
  endChip(record);
  await records.remove(record);
}

/**
 * Ends the chip of a record; nothing happens if it is gone.
 *
 * @throws {OsError} EACCES, EPERM.
 */
export function endChip(record: ChipRecord): void {
  const { configfs, device, inode } = record;
  if (configfs !== undefined) return endThroughConfigfs(configfs);
  if (device !== undefined && inode !== undefined) {
    return endThroughSysfs(device, inode);
  }
  // The maker died before it learned which device the kernel had made for it:
  // the device that holds the lines tells.
  const found = holderOf(record);
  if (found !== undefined) endThroughSysfs(found, inodeOf(found) ?? "");
}

/**
 * The aggregator device that holds all lines of a record: a line in use bears
 * its holder's name, on every kernel. Undefined if there is none.
 */
export function holderOf(
  record: Pick<ChipRecord, "lines">,
): string | undefined {
  const chips = new Map<string, HostChip | undefined>();
  let holder: string | undefined;
  for (const { chip, chipOffset } of record.lines) {
    if (!chips.has(chip)) chips.set(chip, readHostChip(chip));
    const consumer = chips.get(chip)?.lines[chipOffset]?.consumer;
    if (consumer === undefined || consumer !== (holder ??= consumer)) {
      return undefined;
    }
  }
  return holder !== undefined && listDevices().includes(holder)
    ? holder
    : undefined;
}

/** Whether an error says that this takes more rights than the caller has. */
export function isForbidden(error: unknown): boolean {
  return isOsError(error, "EACCES", "EPERM") ||
    error instanceof LineError &&
      isOsError(error.cause, "EACCES", "EPERM") ||
    error instanceof Deno.errors.PermissionDenied;
}
