/**
 * Chips and lines of this host as words of a command line.
 *
 * @module
 */
import { Chip } from "../../gpio/chip.ts";
import { LineError } from "../../gpio/errors.ts";
import { listChips } from "../../gpio/lookup.ts";
import { isPrintable } from "../../text/words_file.ts";
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

/** A line of a chip that this user may open. */
export interface HostLine {
  /** Name of the chip's device file. */
  readonly chip: string;
  readonly offset: number;
  /** Empty if it has none that can be typed as it is. */
  readonly name: string;
}

/** All lines of this host. */
export function hostLines(): HostLine[] {
  return chipWords().flatMap((chip) => readLines(`/dev/${chip}`, chip));
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
    const lines = readLines(chip, head);
    return [
      ...lines.map(({ offset }) => `${head}/${offset}`),
      ...listNames(lines).map((name) => `${head}/${name}`),
    ];
  }
  return [
    ...chipWords().map((chip) => `${chip}/`),
    ...new Set(listNames(hostLines())),
  ];
}

function listNames(lines: readonly HostLine[]): string[] {
  return lines.map(({ name }) => name).filter((name) => name !== "");
}

function readLines(path: string, chip: string): HostLine[] {
  try {
    using opened = Chip.open(path);
    return Array.from({ length: opened.lineCount }, (_, offset) => {
      const { name } = opened.lineInfo(offset);
      return { chip, offset, name: isTypeable(name) ? name : "" };
    });
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    return [];
  }
}

/** Names with a separator must be escaped: they are rather typed. */
function isTypeable(name: string): boolean {
  return /^[^\s,\\/=]+$/.test(name) && isPrintable(name);
}
