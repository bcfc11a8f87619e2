/**
 * Chips as users name them, opened with libgpiod's words for what goes wrong.
 *
 * @module
 */
import { Chip } from "../gpio/chip.ts";
import { LineError } from "../gpio/errors.ts";
import { listChips, openChip } from "../gpio/lookup.ts";
import { errnoCodeOf, reasonOf, ToolError } from "./tool_error.ts";

/**
 * Opens the chip that is given by number, name, path or label.
 *
 * @throws {ToolError} If there is none, or it may not be opened.
 *
 * **Ownership**: the caller's.
 */
export function openNamedChip(key: string): Chip {
  try {
    return openChip(key);
  } catch (error) {
    throw openError(key, error);
  }
}

/** All chips of this machine, and why some could not be opened. */
export interface AllChips {
  readonly chips: readonly Chip[];
  /** One message for each chip that could not be opened. */
  readonly problems: readonly string[];
}

/**
 * Opens all chips.
 *
 * **Ownership**: `stack` closes them.
 */
export function openAllChips(stack: DisposableStack): AllChips {
  const chips: Chip[] = [];
  const problems: string[] = [];
  for (const path of listChips()) {
    try {
      chips.push(stack.use(Chip.open(path)));
    } catch (error) {
      problems.push(...openError(path, error).lines);
    }
  }
  return { chips, problems };
}

function openError(key: string, error: unknown): ToolError {
  if (!(error instanceof LineError)) throw error;
  if (errnoCodeOf(error) !== undefined) {
    return new ToolError(
      `unable to open chip '${error.chip}': ${reasonOf(error)}`,
      { cause: error },
    );
  }
  return new ToolError(
    error.operation === "find"
      ? error.message
      : `cannot find GPIO chip character device '${key}'`,
    { cause: error },
  );
}

/** Where the device file of a chip is. */
export function devicePath(chipName: string): string {
  return `/dev/${chipName}`;
}
