/**
 * What the kernel's gpio-aggregator can do with a line, and what it cannot:
 * told before anything is made.
 *
 * @module
 */
import { ConfigError, type ConfigPlace } from "../config/config_error.ts";
import {
  kernelNameProblem,
  type LineSpecification,
  MAX_KERNEL_CHIP_LINES,
} from "../config/specification.ts";

/** Says where a line stands in what the user wrote. */
export type PlaceOfLine = (
  line: LineSpecification,
  lineNumber: number,
) => Partial<ConfigPlace>;

/** Where a line is written, as errors take it. */
export const placeOf: PlaceOfLine = (line) =>
  line.place ?? { path: `--line ${line.origin}` };

/**
 * Refuses lines that the kernel's aggregator cannot present as they are asked
 * for: it forwards what its user says to the line, and knows no rules.
 *
 * @throws {ConfigError} At the first line that wants more, or is one too many.
 */
export function checkKernelLines(
  lines: readonly LineSpecification[],
  place: PlaceOfLine = placeOf,
): void {
  const excess = lines[MAX_KERNEL_CHIP_LINES];
  if (excess !== undefined) {
    throw new ConfigError(
      `${lines.length} lines are too many: the kernel takes at most ` +
        `${MAX_KERNEL_CHIP_LINES}`,
      place(excess, MAX_KERNEL_CHIP_LINES),
    );
  }
  const names = new Map<string, LineSpecification>();
  for (const [lineNumber, line] of lines.entries()) {
    const reason = refusalOf(line);
    if (reason !== undefined) {
      throw new ConfigError(`a kernel chip cannot ${reason}`, {
        ...place(line, lineNumber),
        hint: "Leave the rule out and let the chip's user see to it, or " +
          "present the lines by vhost-user or QEMU pins, where rules hold",
      });
    }
    if (line.name === undefined) continue;
    const found = kernelNameProblem(line.name);
    if (found !== undefined) {
      throw new ConfigError(`${found.problem} (as=${line.name})`, {
        ...place(line, lineNumber),
        hint: found.hint,
      });
    }
    const other = names.get(line.name);
    if (other !== undefined) {
      throw new ConfigError(
        `the name "${line.name}" is taken by ${other.origin}`,
        {
          ...place(line, lineNumber),
          hint: "Names are unique in a chip; choose another",
        },
      );
    }
    names.set(line.name, line);
  }
}

/** What `line` wants and the kernel's aggregator has not; undefined for nothing. */
function refusalOf(line: LineSpecification): string | undefined {
  if (line.source.kind !== "chip" && line.source.kind !== "line-name") {
    return "hold such a line: its lines are lines of this host's chips";
  }
  if (line.activeLow) return "invert a line (active-low)";
  if (line.bias !== undefined) return `set a bias (bias=${line.bias})`;
  if (line.drive !== undefined) return `set a drive (drive=${line.drive})`;
  if (line.debounceUs > 0) return "debounce a line (debounce)";
  if (line.direction !== "any") {
    return `keep a line to one direction (direction=${line.direction})`;
  }
  if (line.initial !== undefined) {
    return `drive a line by itself (initial=${line.initial})`;
  }
  if (line.safe !== undefined || line.onDisconnect !== "keep") {
    const rule = line.safe === undefined
      ? `on-disconnect=${line.onDisconnect}`
      : `safe=${line.safe}`;
    return `put a line into a safe state (${rule})`;
  }
  if (line.safeAfterUs !== undefined) {
    return "put a line into a safe state (safe-after)";
  }
  if (line.minIntervalUs !== undefined) {
    return "keep an output from changing too often (min-interval)";
  }
  if (line.shared !== undefined) return "share an input (shared)";
  if (line.combine !== undefined) {
    return `share an output (combine=${line.combine})`;
  }
  if (line.optional !== undefined) {
    return "do without a line that is absent (optional)";
  }
  if (line.lane) return "serve a line from a lane (lane): the kernel serves it";
  return undefined;
}
