/**
 * Which aggregated chips this host has: those of gpioagg and those of others.
 *
 * @module
 */
import {
  configuredLines,
  inodeOf,
  listDevices,
  markOf,
  nodeOf,
} from "./driver.ts";
import { isDeviceThere } from "./own_device.ts";
import { isOfThisNamespace } from "./process_identity.ts";
import type { ChipRecord, ChipState, FoundRecord } from "./records.ts";

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
  /** The process that holds it; absent where its number means another here. */
  readonly pid?: number;
  /** Device node; absent while there is none. */
  readonly path?: string;
  /** `gpio-aggregator.0`; absent while it is being made. */
  readonly label?: string;
  readonly lines: readonly InventoryLine[];
}

/** What a record tells of its chip, which stands like that. */
export function describeRecord(
  record: ChipRecord,
  state: ChipState,
): InventoryChip {
  const { name, device, maker, lines } = record;
  const isThere = isDeviceThere(record);
  const path = isThere ? nodeOf(device!) : undefined;
  return {
    name,
    state: state !== "orphaned" && device !== undefined && !isThere
      ? "missing"
      : state,
    ...(state === "held" && isOfThisNamespace(maker) ? { pid: maker.pid } : {}),
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
  records: readonly FoundRecord[],
): InventoryChip[] {
  const own = new Set(
    records.map(({ device, inode }) => markOf(device, inode)),
  );
  return [
    ...records.map((record) => describeRecord(record, record.state)),
    ...listDevices()
      .filter((device) => !own.has(markOf(device, inodeOf(device))))
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
