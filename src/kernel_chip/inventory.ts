/**
 * Which aggregated chips this host has: those of gpioagg and those of others.
 *
 * @module
 */
import { configuredLines, inodeOf, listDevices, nodeOf } from "./driver.ts";
import { type ChipRecord, type ChipState, stateOf } from "./records.ts";

/** One line of an aggregated chip. */
export interface InventoryLine {
  readonly lineNumber: number;
  /** Its name on the aggregated chip; empty for none. */
  readonly name: string;
  /** The chip it comes from: `gpiochip0`, or the label where no more is known. */
  readonly chip: string;
  /** Its number there; -1 where `chip` is the line's own name. */
  readonly offset: number;
}

/** One aggregated chip of this host. */
export interface InventoryChip {
  /** The name gpioagg gave it; empty for chips that others made. */
  readonly name: string;
  /** `missing`: there is a maker, but the chip was taken down by others. */
  readonly state: ChipState | "missing" | "foreign";
  /** The process that holds it. */
  readonly pid?: number;
  /** Device node; absent while there is none. */
  readonly path?: string;
  /** `gpio-aggregator.0`; absent while it is being made. */
  readonly label?: string;
  readonly lines: readonly InventoryLine[];
}

/** How a record's chip stands. */
export function describeRecord(record: ChipRecord): InventoryChip {
  const { name, device, inode, maker, lines } = record;
  const state = stateOf(record);
  const isThere = device !== undefined && inodeOf(device) === inode;
  const path = isThere ? nodeOf(device) : undefined;
  return {
    name,
    state: state !== "orphaned" && device !== undefined && !isThere
      ? "missing"
      : state,
    ...(state === "held" ? { pid: maker.pid } : {}),
    ...(path === undefined ? {} : { path }),
    ...(device === undefined ? {} : { label: device }),
    lines: lines.map(({ name, chip, chipOffset }, lineNumber) => ({
      lineNumber,
      name,
      chip,
      offset: chipOffset,
    })),
  };
}

/** All aggregated chips: gpioagg's own by name, then those of others. */
export function listInventory(
  records: readonly ChipRecord[],
): InventoryChip[] {
  const own = new Set(
    records.map(({ device, inode }) => `${device} ${inode}`),
  );
  return [
    ...records.map(describeRecord),
    ...listDevices()
      .filter((device) => !own.has(`${device} ${inodeOf(device)}`))
      .map(describeForeign),
  ];
}

function describeForeign(device: string): InventoryChip {
  const path = nodeOf(device);
  return {
    name: "",
    state: "foreign",
    ...(path === undefined ? {} : { path }),
    label: device,
    lines: (configuredLines(device) ?? []).map(
      ({ key, offset, name }, lineNumber) => ({
        lineNumber,
        name,
        chip: key,
        offset,
      }),
    ),
  };
}
