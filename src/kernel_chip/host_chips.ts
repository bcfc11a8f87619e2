/**
 * The chips of this host and their lines.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { Chip } from "../gpio/chip.ts";
import { listedPath } from "../gpio/chip_nodes.ts";
import { LineError } from "../gpio/errors.ts";
import { listChips } from "../gpio/lookup.ts";

/** A line of the host: the properties that are used here. */
interface HostLine {
  readonly name: string;
  readonly used: boolean;
  readonly consumer: string;
}

/** A chip of the host: the properties that are used here. */
export interface HostChip {
  /** `gpiochip0`. */
  readonly name: string;
  readonly path: string;
  readonly label: string;
  readonly lines: readonly HostLine[];
}

/**
 * Reads all chips of this host, with all their lines.
 *
 * @throws {LineError} EACCES: all chips must be readable, or a duplicate name
 * or label would be missed.
 */
export function readHostChips(): HostChip[] {
  return listChips().map(readHostChip).filter((chip) => chip !== undefined);
}

/**
 * Reads one chip, by name or path; undefined if it does not exist.
 *
 * @throws {LineError} EACCES.
 */
function readHostChip(nameOrPath: string): HostChip | undefined {
  try {
    using chip = Chip.open(nameOrPath);
    const { name, path, label } = chip;
    return { name, path: listedPath(path), label, lines: chip.lines() };
  } catch (error) {
    // Without a cause: the file does not exist.
    if (
      error instanceof LineError &&
      (error.cause === undefined ||
        isOsError(error.cause, "ENOENT", "ENODEV", "ENXIO"))
    ) return undefined;
    throw error;
  }
}
