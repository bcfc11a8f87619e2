/**
 * Which of the kernel's devices a maker made through sysfs, which does not say.
 *
 * @module
 */
import {
  configuredLines,
  deviceMarks,
  inodeOf,
  isBound,
  isMadeThroughSysfs,
  markOf,
} from "./driver.ts";
import { readHostChips } from "./host_chips.ts";
import type { ChipRecord, RecordedLine } from "./records.ts";

/** A device of the driver's, told from a later one of the same name. */
export interface OwnDevice {
  readonly device: string;
  readonly inode: string;
}

/** What tells a maker's device from others. */
type Intent = Pick<ChipRecord, "lines" | "devicesBefore">;

/**
 * The device that the kernel made when it was asked a moment ago: the one that
 * is new, and of several the one with the lines that were asked for.
 *
 * @param taken Marks of devices that are known to be of other makers.
 * @throws {Error} If it cannot be told.
 */
export function deviceJustMade(
  intent: Intent,
  taken: ReadonlySet<string>,
): OwnDevice {
  const candidates = newDevices(intent, taken);
  const [first, ...others] = candidates;
  if (first === undefined) {
    throw new Error("the kernel's aggregator made a device, but it is gone");
  }
  return others.length === 0 ? first : theOne(intent, candidates) ?? fail();

  function fail(): never {
    throw new Error(
      `somebody else made a chip at this very moment, and which of ` +
        `${candidates.map(({ device }) => device).join(", ")} is whose ` +
        `cannot be told; what is left over has to be written to ` +
        `/sys/bus/platform/drivers/gpio-aggregator/delete_device`,
    );
  }
}

/**
 * The device of a maker that died before it learned which one it was: made
 * since, through sysfs, by nobody that is known, with just these lines.
 * Undefined if there is none, or several. A device that waits for its lines is
 * not found where the kernel does not show what it waits for (before 6.16).
 *
 * @param taken Marks of devices that are known to be of other makers.
 */
export function deviceOfTheDead(
  intent: Intent,
  taken: ReadonlySet<string>,
): OwnDevice | undefined {
  return theOne(intent, newDevices(intent, taken));
}

/**
 * Whether a device has exactly these lines: a line in use bears its holder's
 * name, on every kernel.
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

/** None for a maker that died before it asked. */
function newDevices(
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

function theOne(
  { lines }: Intent,
  candidates: readonly OwnDevice[],
): OwnDevice | undefined {
  const fitting = candidates.filter(({ device }) => fits(device, lines));
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** Whether the device was asked for with these lines, in this order. */
function fits(device: string, lines: readonly RecordedLine[]): boolean {
  const configured = configuredLines(device);
  // Before 6.16 the kernel does not tell what a device was asked for with.
  if (configured === undefined) return holdsExactly(device, lines);
  return configured.length === lines.length &&
    configured.every(({ key, offset }, lineNumber) =>
      key === lines[lineNumber]!.key && offset === lines[lineNumber]!.offset
    ) &&
    // One that is without them waits for them.
    (!isBound(device) || holdsExactly(device, lines));
}

/** Marks of the devices that records speak of, but for those of one record. */
export function marksOfOthers(
  records: readonly ChipRecord[],
  { id }: Pick<ChipRecord, "id">,
): Set<string> {
  return new Set(
    records.filter((other) => other.id !== id)
      .map(({ device, inode }) => markOf(device, inode)),
  );
}

/** Whether a record's device is there, and is still the same one. */
export function isDeviceThere({ device, inode }: ChipRecord): boolean {
  return device !== undefined && inodeOf(device) === inode;
}
