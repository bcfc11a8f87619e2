/**
 * Abilities of the kernel's gpio-aggregator for a line, and their limits.
 *
 * @module
 */
import type { ConfigPosition } from "../document/config_error.ts";
import type { Problems } from "../document/problems.ts";
import {
  type KernelChipSpecification,
  kernelNameProblem,
  linePosition,
  type LineSpecification,
  MAX_KERNEL_CHIP_LINES,
} from "../specification.ts";
import type { LineRules } from "../values/rules.ts";

/**
 * Returns the position of a line's key in the user's text. The key of a line's
 * source is the kind of the source; without a key it is the position of what says
 * that the lines are a kernel chip's.
 */
type KeyPosition = (
  line: LineSpecification,
  key?: string,
) => Partial<ConfigPosition>;

const RULE_HINT =
  "Omit the rule and leave it to the chip's user, or use interface usb (modprobe " +
  "vhci-hcd), where rules hold";

/**
 * Reports lines that the kernel's aggregator cannot present as the user asks:
 * it forwards the requests of its users to the lines, and has no rules.
 */
export function checkKernelLines(
  lines: readonly LineSpecification[],
  problems: Problems,
  position: KeyPosition = linePosition,
): void {
  const excess = lines[MAX_KERNEL_CHIP_LINES];
  if (excess !== undefined) {
    problems.add(
      position(excess),
      `has ${lines.length} lines, but the kernel supports at most ` +
        `${MAX_KERNEL_CHIP_LINES}`,
    );
  }
  for (const line of lines) {
    const { kind } = line.source;
    if (!isOfChip(line)) {
      problems.add(
        position(line, kind),
        "a kernel chip cannot have such a line: its lines are lines of this " +
          "host's chips",
        "Name a line of a chip, as CHIP/OFFSET or LINE_NAME, or use interface " +
          "usb (modprobe vhci-hcd)",
      );
    }
    for (const [key, reason] of listRefusals(line)) {
      problems.add(
        position(line, key),
        `a kernel chip cannot ${reason}`,
        RULE_HINT,
      );
    }
    const found = line.name === undefined
      ? undefined
      : kernelNameProblem(line.name);
    if (found !== undefined) {
      problems.add(
        position(line, "as"),
        `${found.problem} (as=${line.name})`,
        found.hint,
      );
    }
  }
}

/**
 * Reports keys of a kernel chip's line that only repeat a default, such as
 * `direction=any`: no process would keep such a rule.
 *
 * @param keys Keys that the user wrote for the line.
 */
export function checkKernelKeys(
  line: LineRules,
  keys: Iterable<string>,
  report: (key: string, problem: string, hint: string) => void,
): void {
  for (const key of keys) {
    if (!Object.hasOwn(WITHOUT_EFFECT, key)) continue;
    const { isWithoutEffect, value } = WITHOUT_EFFECT[key]!;
    if (!isWithoutEffect(line)) continue;
    report(
      key,
      `a kernel chip has no rules, so ${key}=${value} has no effect`,
      "Omit the rule",
    );
  }
}

/** Values of rules that are the same as no rule. */
const WITHOUT_EFFECT: Readonly<
  Record<string, { value: string; isWithoutEffect(line: LineRules): boolean }>
> = {
  "direction": {
    value: "any",
    isWithoutEffect: ({ direction }) => direction === "any",
  },
  "active-low": {
    value: "false",
    isWithoutEffect: ({ activeLow }) => !activeLow,
  },
  "debounce": {
    value: "0",
    isWithoutEffect: ({ debounceUs }) => debounceUs === 0,
  },
  "on-disconnect": {
    value: "keep",
    isWithoutEffect: ({ onDisconnect }) => onDisconnect === "keep",
  },
  "shared": {
    value: "false",
    isWithoutEffect: ({ shared }) => shared === undefined,
  },
  "optional": {
    value: "false",
    isWithoutEffect: ({ optional }) => optional === undefined,
  },
  "lane": { value: "false", isWithoutEffect: ({ lane }) => !lane },
};

/**
 * Returns true if a kernel chip cannot do without the kernel's USB drivers: if
 * they are asked for, or the kernel's aggregator does not have what its lines
 * need.
 */
export function needsUsb(
  { interface: wanted, device }: KernelChipSpecification,
  lines: readonly LineSpecification[],
): boolean {
  if (wanted !== undefined) return wanted === "usb";
  return device !== undefined ||
    lines.some((line) => !isOfChip(line) || listRefusals(line).length > 0);
}

/** Reports a model of USB adapters for an interface without any. */
export function checkKernelDevice(
  { interface: wanted, device }: KernelChipSpecification,
  problems: Problems,
  position: Partial<ConfigPosition> & { path: string },
): void {
  if (device === undefined || wanted === undefined || wanted === "usb") return;
  problems.add(
    position,
    `makes no sense with interface ${wanted}`,
    "It is a model of USB adapters: leave it out, or use interface usb",
  );
}

function isOfChip({ source: { kind } }: LineSpecification): boolean {
  return kind === "chip" || kind === "line-name";
}

/** Reports names that two lines have. (A file has its own check.) */
export function checkKernelNames(
  lines: readonly LineSpecification[],
  problems: Problems,
): void {
  const names = new Map<string, LineSpecification>();
  for (const line of lines) {
    if (line.name === undefined) continue;
    const other = names.get(line.name);
    if (other !== undefined) {
      problems.add(
        linePosition(line),
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
function listRefusals(
  line: LineSpecification,
): [key: string, reason: string][] {
  const { bias, drive, direction, initial, safe } = line;
  const { onDisconnect, safeAfterUs, minIntervalUs, combine } = line;
  const needs: [boolean, key: string, reason: string][] = [
    [line.activeLow, "active-low", "invert a line (active-low)"],
    [bias !== undefined, "bias", `set a bias (bias=${bias})`],
    [drive !== undefined, "drive", `set a drive (drive=${drive})`],
    [line.debounceUs > 0, "debounce", "debounce a line (debounce)"],
    [
      isOfChip(line) && direction !== "any",
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
