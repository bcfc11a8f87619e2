/**
 * Suggestions for names of lines and chips that were not found.
 *
 * @module
 */
import { nearest } from "../text/nearest.ts";
import { nameText } from "../text/names.ts";
import { Chip } from "./chip.ts";
import { AbsentError, type AbsentName, LineError } from "./errors.ts";
import { findChip, listChips } from "./lookup.ts";

/**
 * Returns the name, on this host, that was most likely meant: of a line, or of
 * a chip (its kernel name or label). It opens every chip, so it is for errors
 * at a start and not for what is retried.
 *
 * @returns Its textual form; undefined if none is similar.
 */
export function similarName(
  { lineName, chip }: AbsentName,
): string | undefined {
  const chips = chip !== undefined && lineName !== undefined
    ? [findChip(chip)].filter((path) => path !== undefined)
    : listChips();
  const names = new Set<string>();
  for (const path of chips) {
    for (const name of listNames(path, lineName !== undefined)) {
      if (name !== "") names.add(nameText(name));
    }
  }
  return nearest(nameText(lineName ?? chip ?? ""), names);
}

/**
 * Returns the text to add to the message of an error about an unknown name;
 * empty if it is about something else, or no name is similar.
 */
export function suggestionFor(error: unknown): string {
  if (!(error instanceof AbsentError) || error.absent === undefined) return "";
  const similar = similarName(error.absent);
  return similar === undefined ? "" : `; did you mean "${similar}"?`;
}

function listNames(path: string, ofLines: boolean): string[] {
  try {
    using chip = Chip.open(path);
    return ofLines
      ? chip.lines().map(({ name }) => name)
      : [chip.name, chip.label];
  } catch (error) {
    // Not for this user, or just unplugged.
    if (error instanceof LineError) return [];
    throw error;
  }
}
