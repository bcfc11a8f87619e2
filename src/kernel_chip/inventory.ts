/**
 * The aggregated chips of this host: those of gpioagg and others.
 *
 * @module
 */
import {
  configuredLines,
  deviceMark,
  findNode,
  listDevices,
  readInode,
} from "./driver.ts";
import { lostChips } from "./lost_chips.ts";
import { isDeviceThere } from "./own_device.ts";
import { isOfThisNamespace } from "./process_identity.ts";
import type { ChipRecord, ChipState, FoundRecord } from "./records.ts";
import { adapterChips } from "./usb_adapter.ts";

/** One line of an aggregated chip. */
interface InventoryLine {
  readonly lineNumber: number;
  /** Its name on the aggregated chip; empty for none. */
  readonly name: string;
  /** Its source chip: `gpiochip0`, or the label if only that is known. */
  readonly chip: string;
  /** Its number there; -1 where `chip` is the line's own name. */
  readonly offset: number;
}

/** One aggregated chip of this host. */
export interface InventoryChip {
  /** Its name in gpioagg; empty for chips of other makers. */
  readonly name: string;
  /** `missing`: the maker lives, but another process removed the chip. */
  readonly state: ChipState | "missing" | "foreign";
  /**
   * The process that holds it; absent if the number is of another PID
   * namespace.
   */
  readonly pid?: number;
  /** Device node; absent if there is none. */
  readonly path?: string;
  /** `gpio-aggregator.0`; absent while it is being made. */
  readonly label?: string;
  /**
   * Chips that it has lost, by name: their lines fail until it is made again.
   */
  readonly lostChips?: readonly string[];
  readonly lines: readonly InventoryLine[];
}

/** Describes the chip of a record, in the given state. */
export function describeRecord(
  record: ChipRecord,
  state: ChipState,
): InventoryChip {
  const { name, device, maker, lines, ports } = record;
  const isUsb = record.interface === "usb";
  const isThere = isUsb
    ? adapterChips(record) !== undefined
    : isDeviceThere(record);
  const path = !isThere ? undefined : isUsb ? record.path : findNode(device!);
  const lost = isThere ? lostChips(record) : [];
  const wasMade = device !== undefined || ports !== undefined;
  return {
    name,
    state: state !== "orphaned" && wasMade && !isThere ? "missing" : state,
    ...(state === "held" && isOfThisNamespace(maker) ? { pid: maker.pid } : {}),
    ...(path === undefined ? {} : { path }),
    ...(device === undefined ? {} : { label: device }),
    ...(isUsb ? { label: "usb" } : {}),
    ...(lost.length === 0 ? {} : { lostChips: lost }),
    lines: lines.map(({ name, chip, chipOffset }, lineNumber) => ({
      lineNumber,
      name,
      chip,
      offset: chipOffset,
    })),
  };
}

/** Returns all aggregated chips: gpioagg's own by name, then others. */
export function listInventory(
  records: readonly FoundRecord[],
): InventoryChip[] {
  const own = new Set(
    records.map(({ device, inode }) => deviceMark(device, inode)),
  );
  return [
    ...records.map((record) => describeRecord(record, record.state)),
    ...listDevices()
      .filter((device) => !own.has(deviceMark(device, readInode(device))))
      .map(describeForeign),
  ];
}

function describeForeign(device: string): InventoryChip {
  const path = findNode(device);
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
