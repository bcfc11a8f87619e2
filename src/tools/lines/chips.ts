/**
 * Finds and opens chips by the users' names for them, with libgpiod's error
 * texts.
 *
 * @module
 */
import { parseChipIdentity } from "../../config/chip_identity.ts";
import { unescapeWord } from "../../config/spec/line_word.ts";
import { Chip } from "../../gpio/chip.ts";
import { LineError } from "../../gpio/errors.ts";
import { findChipByProperties } from "../../gpio/identity.ts";
import { findChip, listChips } from "../../gpio/lookup.ts";
import { similarName } from "../../gpio/similar_names.ts";
import {
  explainError,
  findErrnoCode,
  ToolError,
} from "../program/tool_error.ts";

/**
 * Returns the path of the chip that is given by number, name, path or label, or
 * by a stable identity (`usb-serial:FT123+lines:8`); undefined if there is
 * none.
 *
 * @throws {ToolError} If several chips match, or one cannot be read.
 */
export function findNamedChip(key: string): string | undefined {
  // libgpiod searches for it and finds none.
  if (key === "") return undefined;
  const parsed = parseChipIdentity(unescapeWord(key));
  if (parsed !== undefined && "problem" in parsed) {
    throw new ToolError([parsed.problem, parsed.hint].filter(Boolean));
  }
  try {
    return parsed === undefined
      ? findChip(key) ?? findChip(unescapeWord(key))
      : findChipByProperties(parsed.identity);
  } catch (error) {
    throw openError(key, error);
  }
}

/**
 * Opens the chip that {@linkcode findNamedChip} finds.
 *
 * @throws {ToolError} If there is none, or it cannot be opened.
 *
 * **Ownership**: the caller's.
 */
export function openNamedChip(key: string): Chip {
  const path = findNamedChip(key);
  if (path === undefined) {
    throw new ToolError(absentText(key), {
      suggest: () => {
        const similar = similarName({ chip: key });
        return similar === undefined ? [] : [similar];
      },
    });
  }
  try {
    return Chip.open(path);
  } catch (error) {
    throw openError(key, error);
  }
}

/**
 * All chips of this machine, and the errors of those that could not be opened.
 */
interface AllChips {
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
  if (findErrnoCode(error) !== undefined) {
    return new ToolError(
      `unable to open chip '${error.chip}': ${explainError(error)}`,
      { cause: error },
    );
  }
  return new ToolError(
    error.operation === "find" ? error.message : absentText(key),
    { cause: error },
  );
}

function absentText(key: string): string {
  return `cannot find GPIO chip character device '${key}'`;
}
