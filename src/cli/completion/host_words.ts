/**
 * Chips and lines of this host as words of a command line.
 *
 * @module
 */
import { Chip } from "../../gpio/chip.ts";
import { LineError } from "../../gpio/errors.ts";
import { listChips } from "../../gpio/lookup.ts";
import { isOsError } from "../../../ffi/os_error.ts";

/** Names of chips. */
export function chipWords(): string[] {
  try {
    return listChips().map((path) => path.replace(/^\/dev\//, ""));
  } catch (error) {
    if (!isOsError(error)) throw error;
    return [];
  }
}

/**
 * Names of lines, and chips with a slash; after a chip its offsets and names.
 * Chips that this user may not open are left out.
 */
export function lineWords(text: string): string[] {
  const slash = text.lastIndexOf("/");
  if (slash >= 0) {
    const head = text.slice(0, slash);
    const chip = head.startsWith("/") ? head : `/dev/${head}`;
    return namesOf(chip, true).map((name) => `${head}/${name}`);
  }
  const chips = chipWords();
  return [
    ...chips.map((chip) => `${chip}/`),
    ...new Set(chips.flatMap((chip) => namesOf(`/dev/${chip}`, false))),
  ];
}

function namesOf(path: string, withOffsets: boolean): string[] {
  try {
    using chip = Chip.open(path);
    const offsets = Array.from({ length: chip.lineCount }, (_, i) => i);
    const names = offsets.map((offset) => chip.lineInfo(offset).name)
      // Names with a separator must be escaped: they are rather typed.
      .filter((name) => /^[^\s,\\/=]+$/.test(name));
    return [...withOffsets ? offsets.map(String) : [], ...names];
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    return [];
  }
}
