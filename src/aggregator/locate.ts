/**
 * From what the user wrote to the chip line that is meant.
 *
 * @module
 */
import { realPath } from "../../ffi/files.ts";
import { ConfigError } from "../config/config_error.ts";
import type { LineSpecification } from "../config/specification.ts";
import { type Chip, findLines, openChip } from "../gpio/mod.ts";

/** A line of a chip, found. */
export interface LocatedLine {
  /** The chip's device path. */
  chipPath: string;
  offset: number;
}

/**
 * Finds the chip line that a specification means; undefined if it means no
 * chip's.
 *
 * @throws {ConfigError} If several lines could be meant.
 * @throws {Error} If there is none; the message quotes the SPEC.
 */
export function locateLine(
  { source, origin }: LineSpecification,
): LocatedLine | undefined {
  const path = `--line ${origin}`;
  switch (source.kind) {
    case "chip":
      return locateOffset(source.chip, source.offset, path);
    case "line-name":
      return locateName(source.lineName, path);
    case "sim":
    case "lane":
      return undefined;
  }
}

function locateOffset(
  key: string,
  offset: number,
  path: string,
): LocatedLine {
  using chip = prefixed(path, () => openChip(key));
  if (offset >= chip.lineCount) {
    throw new Error(
      `${path}: ${chip.name} has no line ${offset}, ` +
        `its lines are 0 to ${chip.lineCount - 1}`,
    );
  }
  return { chipPath: chip.path, offset };
}

function locateName(lineName: string, path: string): LocatedLine {
  const found = prefixed(path, () => findLines(lineName));
  const [line, ...others] = found;
  if (line === undefined) {
    throw new Error(`${path}: no chip has a line of the name "${lineName}"`);
  }
  if (others.length > 0) {
    const candidates = found.map(({ chipPath, offset }) =>
      `${chipPath}/${offset}`
    );
    throw new ConfigError(`several lines have the name "${lineName}"`, {
      path,
      hint: `Say which: ${candidates.join(" or ")}`,
    });
  }
  return line;
}

/** Buses whose chips sleep for milliseconds in every ioctl. */
const SLOW_BUS = /\/(i2c-\d+|spi\d+|usb\d+)\//;

/** Whether a chip hangs on a bus that is too slow for the reactor's thread. */
export function isSlowChip(chipPath: string): boolean {
  const name = chipPath.slice(chipPath.lastIndexOf("/") + 1);
  const device = realPath(`/sys/bus/gpio/devices/${name}`);
  return device !== undefined && SLOW_BUS.test(`${device}/`);
}

/** Lets every error of `action` quote the SPEC it is about. */
export function prefixed<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${path}: ${message}`, { cause: error });
  }
}
