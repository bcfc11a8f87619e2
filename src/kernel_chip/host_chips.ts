/**
 * The chips of this host and what is known of their lines.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { Chip } from "../gpio/chip.ts";
import { LineError } from "../gpio/errors.ts";
import { listChips } from "../gpio/lookup.ts";

/** A line of the host: what matters of it here. */
export interface HostLine {
  readonly name: string;
  readonly used: boolean;
  readonly consumer: string;
}

/** A chip of the host: what matters of it here. */
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
 * @throws {LineError} EACCES: all chips must be readable, or a name or label that
 * is there twice would go unseen.
 */
export function readHostChips(): HostChip[] {
  return listChips().map(readHostChip).filter((chip) => chip !== undefined);
}

/**
 * Reads one chip, by name or path; undefined if it is not there.
 *
 * @throws {LineError} EACCES.
 */
export function readHostChip(nameOrPath: string): HostChip | undefined {
  try {
    using chip = Chip.open(nameOrPath);
    const { name, path, label } = chip;
    return { name, path, label, lines: chip.lines() };
  } catch (error) {
    // Without a cause: there is no such file.
    if (
      error instanceof LineError &&
      (error.cause === undefined ||
        isOsError(error.cause, "ENOENT", "ENODEV", "ENXIO"))
    ) return undefined;
    throw error;
  }
}
