/**
 * What the ways to present an aggregator demand of it, and of each other.
 *
 * @module
 */
import type { Problems } from "./problems.ts";
import { RULE_KEYS } from "./rules.ts";
import {
  MAX_KERNEL_CHIP_LINES,
  type QemuPinsSpecification,
} from "./specification.ts";
import {
  keyPlace,
  where,
  type WrittenAggregator,
  type WrittenConfig,
  type WrittenLine,
} from "./written.ts";

/** Pins of a PL061. */
const PL061_PINS = 8;

/** Checks every exposure, and that no two are at one place. */
export function checkExposures(
  { aggregators }: WrittenConfig,
  problems: Problems,
): void {
  const endpoints = new Map<string, WrittenAggregator>();
  for (const aggregator of aggregators) {
    const endpoint = endpointOf(aggregator);
    if (endpoint !== undefined) {
      const other = endpoints.get(endpoint);
      if (other !== undefined) {
        problems.add(
          aggregator.exposurePlace,
          `${endpoint} is ${other.name}'s already`,
          `${other.name} stands ${where(other.place)}`,
        );
      }
      endpoints.set(endpoint, aggregator);
    }
    if (aggregator.exposure.qemuPins !== undefined) {
      checkPins(aggregator, problems);
    }
    if (aggregator.exposure.kernelChip !== undefined) {
      checkKernelChip(aggregator, problems);
    }
  }
}

function endpointOf({ exposure }: WrittenAggregator): string | undefined {
  const { vhostUser, qemuPins } = exposure;
  if (vhostUser !== undefined) {
    return "fd" in vhostUser ? `fd ${vhostUser.fd}` : vhostUser.socketPath;
  }
  if (qemuPins === undefined) return undefined;
  const { qtest, device, index = 0 } = qemuPins;
  return `device ${index} of type ${device} behind ${qtest}`;
}

function checkPins(aggregator: WrittenAggregator, problems: Problems): void {
  const { exposure, lines, exposurePlace } = aggregator;
  const found = pinsProblem(exposure.qemuPins!, lines.length);
  if (found === undefined) return;
  problems.add(exposurePlace, found.problem, found.hint);
}

/** What is wrong with the pins of an exposure of so many lines, if anything. */
export function pinsProblem(
  { device, pins }: QemuPinsSpecification,
  lineCount: number,
): { problem: string; hint: string } | undefined {
  if (device !== "pl061") return undefined;
  const highest = pins === undefined
    ? lineCount - 1
    : Math.max(...pins.map(({ pin }) => pin));
  return highest < PL061_PINS ? undefined : {
    problem: `a PL061 has pins 0 to ${
      PL061_PINS - 1
    }, but there is pin ${highest}`,
    hint: "Say with pins: which lines are at its pins",
  };
}

/** The kernel's own aggregator moves lines, and can do nothing else. */
function checkKernelChip(
  aggregator: WrittenAggregator,
  problems: Problems,
): void {
  const { lines, exposurePlace } = aggregator;
  if (lines.length > MAX_KERNEL_CHIP_LINES) {
    problems.add(
      exposurePlace,
      `has ${lines.length} lines, but the kernel takes at most ` +
        `${MAX_KERNEL_CHIP_LINES}`,
    );
  }
  for (const written of lines) checkKernelLine(written, problems);
}

function checkKernelLine(written: WrittenLine, problems: Problems): void {
  const { kind } = written.line.source;
  if (kind !== "chip" && kind !== "line-name") {
    problems.add(
      keyPlace(written, kind),
      "a kernel chip is made of host lines only",
      "Present this aggregator by vhost-user instead",
    );
  }
  for (const key of RULE_KEYS) {
    if (key === "as" || !written.keys.has(key)) continue;
    problems.add(
      keyPlace(written, key),
      `the kernel's aggregator knows no rules, so no "${key}"`,
      "Present this aggregator by vhost-user instead, or leave the rule out",
    );
  }
}
