/**
 * Abilities of the kernel's gpio-aggregator for a line, and their limits.
 *
 * @module
 */
import type { ConfigPlace } from "../document/config_error.ts";
import type { Problems } from "../document/problems.ts";
import {
  kernelNameProblem,
  type LineSpecification,
  lineTitle,
  MAX_KERNEL_CHIP_LINES,
} from "../specification.ts";

/**
 * Returns the place of a line's key in the user's text. The key of a line's
 * source is the kind of the source; without a key it is the place of what says
 * that the lines are a kernel chip's.
 */
export type PlaceOfLine = (
  line: LineSpecification,
  lineNumber: number,
  key?: string,
) => Partial<ConfigPlace>;

/** Returns the place of a line as errors take it. */
export const placeOfLine: PlaceOfLine = (line) =>
  line.place ?? { path: lineTitle(line) };

/**
 * Reports lines that the kernel's aggregator cannot present as the user asks:
 * it forwards the requests of its users to the lines, and has no rules.
 */
export function checkKernelLines(
  lines: readonly LineSpecification[],
  problems: Problems,
  place: PlaceOfLine = placeOfLine,
): void {
  const excess = lines[MAX_KERNEL_CHIP_LINES];
  if (excess !== undefined) {
    problems.add(
      place(excess, MAX_KERNEL_CHIP_LINES),
      `has ${lines.length} lines, but the kernel supports at most ` +
        `${MAX_KERNEL_CHIP_LINES}`,
    );
  }
  for (const [lineNumber, line] of lines.entries()) {
    for (const [key, reason] of refusalsOf(line)) {
      problems.add(
        place(line, lineNumber, key),
        `a kernel chip cannot ${reason}`,
        "Omit the rule and leave it to the chip's user, or present the lines " +
          "by vhost-user or QEMU pins, where rules hold",
      );
    }
    const found = line.name === undefined
      ? undefined
      : kernelNameProblem(line.name);
    if (found !== undefined) {
      problems.add(
        place(line, lineNumber, "as"),
        `${found.problem} (as=${line.name})`,
        found.hint,
      );
    }
  }
}

/** Reports names that two lines have. (A file has its own check.) */
export function checkKernelNames(
  lines: readonly LineSpecification[],
  problems: Problems,
  place: PlaceOfLine = placeOfLine,
): void {
  const names = new Map<string, LineSpecification>();
  for (const [lineNumber, line] of lines.entries()) {
    if (line.name === undefined) continue;
    const other = names.get(line.name);
    if (other !== undefined) {
      problems.add(
        place(line, lineNumber),
        `the name "${line.name}" is taken by ${other.origin}`,
        "Names must be unique in a chip: choose another",
      );
    }
    names.set(line.name, line);
  }
}

/**
 * Returns what `line` needs and the kernel's aggregator does not have, with the
 * key that asks for it.
 */
function refusalsOf(line: LineSpecification): [key: string, reason: string][] {
  const { source: { kind }, bias, drive, direction, initial, safe } = line;
  const { onDisconnect, safeAfterUs, minIntervalUs, combine } = line;
  const isHostLine = kind === "chip" || kind === "line-name";
  const needs: [boolean, key: string, reason: string][] = [
    [
      !isHostLine,
      kind,
      "have such a line: its lines are lines of this host's chips",
    ],
    [line.activeLow, "active-low", "invert a line (active-low)"],
    [bias !== undefined, "bias", `set a bias (bias=${bias})`],
    [drive !== undefined, "drive", `set a drive (drive=${drive})`],
    [line.debounceUs > 0, "debounce", "debounce a line (debounce)"],
    [
      isHostLine && direction !== "any",
      "direction",
      `keep a line to one direction (direction=${direction})`,
    ],
    [
      initial !== undefined,
      "initial",
      `drive a line by itself (initial=${initial})`,
    ],
    [
      safe !== undefined,
      "safe",
      `put a line into a safe state (safe=${safe})`,
    ],
    [
      safe === undefined && onDisconnect !== "keep",
      "on-disconnect",
      `put a line into a safe state (on-disconnect=${onDisconnect})`,
    ],
    [
      safeAfterUs !== undefined,
      "safe-after",
      "put a line into a safe state (safe-after)",
    ],
    [
      minIntervalUs !== undefined,
      "min-interval",
      "keep an output from changing too often (min-interval)",
    ],
    [line.shared !== undefined, "shared", "share an input (shared)"],
    [
      combine !== undefined,
      "combine",
      `share an output (combine=${combine})`,
    ],
    [
      line.optional !== undefined,
      "optional",
      "omit an absent line (optional)",
    ],
    [
      line.lane,
      "lane",
      "use a lane for a line (lane): the kernel serves it",
    ],
  ];
  return needs.filter(([isNeeded]) => isNeeded)
    .map(([, key, reason]) => [key, reason]);
}
