/**
 * Finds the kernel's device that a maker made through sysfs, which does not
 * report it.
 *
 * @module
 */
import {
  configuredLines,
  deviceMark,
  deviceMarks,
  isBound,
  isMadeThroughSysfs,
  readInode,
} from "./driver.ts";
import { readHostChips } from "./host_chips.ts";
import type { ChipRecord, RecordedLine } from "./records.ts";

/**
 * A device of the driver, and its mark that later ones of the same name do not
 * have.
 */
interface OwnDevice {
  readonly device: string;
  readonly inode: string;
}

/** Marks by which a maker distinguishes its own device from others. */
type Intent = Pick<ChipRecord, "lines" | "devicesBefore">;

/**
 * Returns the device that the kernel has just made: the new one, and of several
 * the one with the requested lines.
 *
 * @param taken Marks of devices that are known to belong to other makers.
 * @throws {Error} If it cannot be determined.
 */
export function findNewDevice(
  intent: Intent,
  taken: ReadonlySet<string>,
): OwnDevice {
  const candidates = listNewDevices(intent, taken);
  const [first, ...others] = candidates;
  if (first === undefined) {
    throw new Error(
      "the kernel's aggregator made a device, but it was removed",
    );
  }
  return others.length === 0
    ? first
    : selectOnlyMatch(intent, candidates) ?? fail();

  function fail(): never {
    throw new Error(
      `another process made a chip at this very moment, and which of ` +
        `${candidates.map(({ device }) => device).join(", ")} is whose ` +
        `cannot be told; what is left over has to be written to ` +
        `/sys/bus/platform/drivers/gpio-aggregator/delete_device`,
    );
  }
}

/**
 * Returns the device of a maker that died before it knew it: made since,
 * through sysfs, by no known maker, with just these lines. Undefined if there
 * is none, or several. A device that waits for its lines is not found if the
 * kernel does not show what it waits for (before 6.16).
 *
 * @param taken Marks of devices that are known to belong to other makers.
 */
export function findOrphanedDevice(
  intent: Intent,
  taken: ReadonlySet<string>,
): OwnDevice | undefined {
  return selectOnlyMatch(intent, listNewDevices(intent, taken));
}

/**
 * Returns true if a device has exactly these lines: a line in use bears its
 * holder's name, on every kernel.
 */
export function holdsExactly(
  device: string,
  lines: readonly Pick<RecordedLine, "chip" | "chipOffset">[],
): boolean {
  const held = readHostChips().flatMap(({ name, lines }) =>
    lines.flatMap(({ consumer }, offset) =>
      consumer === device ? [`${name}/${offset}`] : []
    )
  );
  const wanted = lines.map(({ chip, chipOffset }) => `${chip}/${chipOffset}`);
  return held.length === wanted.length &&
    wanted.every((line) => held.includes(line));
}

/** None for a maker that died before its request. */
function listNewDevices(
  { devicesBefore }: Intent,
  taken: ReadonlySet<string>,
): OwnDevice[] {
  if (devicesBefore === undefined) return [];
  return deviceMarks()
    .filter((mark) => !devicesBefore.includes(mark) && !taken.has(mark))
    .map((mark) => {
      const [device, inode] = mark.split(" ") as [string, string];
      return { device, inode };
    })
    .filter(({ device }) => isMadeThroughSysfs(device));
}

function selectOnlyMatch(
  { lines }: Intent,
  candidates: readonly OwnDevice[],
): OwnDevice | undefined {
  const fitting = candidates.filter(({ device }) => fits(device, lines));
  return fitting.length === 1 ? fitting[0] : undefined;
}

/**
 * Returns true if nothing shows that a device that was made, or one of its name,
 * is not that of a record. A device that is gone cannot be mistaken.
 */
export function fitsRecord(
  device: string,
  { lines, inode }: Pick<ChipRecord, "lines" | "inode">,
): boolean {
  if (readInode(device) !== inode) return true;
  // Without its lines it shows none of them, where the kernel does not tell what
  // it was asked for with.
  if (configuredLines(device) === undefined && !isBound(device)) return true;
  return fits(device, lines);
}

/** Returns true if the device was requested with these lines, in this order. */
function fits(device: string, lines: readonly RecordedLine[]): boolean {
  const configured = configuredLines(device);
  // Before 6.16 the kernel does not show the lines that a device was requested
  // with.
  if (configured === undefined) return holdsExactly(device, lines);
  return configured.length === lines.length &&
    configured.every(({ key, offset }, lineNumber) =>
      key === lines[lineNumber]!.key && offset === lines[lineNumber]!.offset
    ) &&
    // A device without them waits for them.
    (!isBound(device) || holdsExactly(device, lines));
}

/** Returns the marks of the devices of records, without those of one record. */
export function listOtherMarks(
  records: readonly ChipRecord[],
  { id }: Pick<ChipRecord, "id">,
): Set<string> {
  return new Set(
    records.filter((other) => other.id !== id)
      .map(({ device, inode }) => deviceMark(device, inode)),
  );
}

/** Returns true if a record's device exists, and is still the same one. */
export function isDeviceThere({ device, inode }: ChipRecord): boolean {
  return device !== undefined && readInode(device) === inode;
}
