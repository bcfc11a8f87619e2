/**
 * One aggregator for two guests: one has its lines by vhost-user, the other as
 * pins inside a QEMU. An output has one master, so there are only inputs.
 *
 * @module
 */
import type { Problems } from "./problems.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "./specification.ts";
import { placeIn, valuePlace, type WrittenAggregator } from "./written.ts";

/** What the second exposure of an aggregator is called. */
function secondName(name: string): string {
  // No aggregator of a file has a dot in its name.
  return `${name}.pins`;
}

/** Refuses exposures that cannot be had together. */
export function checkTogether(
  aggregator: WrittenAggregator,
  problems: Problems,
): void {
  const { name, exposure, lines } = aggregator;
  const { vhostUser, qemuPins, kernelChip } = exposure;
  if (kernelChip !== undefined) {
    for (
      const [other, isThere] of [
        ["vhost-user", vhostUser !== undefined],
        ["qemu-pins", qemuPins !== undefined],
      ] as const
    ) {
      if (!isThere) continue;
      problems.add(
        placeIn(aggregator, other),
        `${name} is a kernel chip, whose lines the kernel has for itself`,
        "Make two aggregators, of different lines",
      );
    }
    return;
  }
  if (vhostUser === undefined || qemuPins === undefined) return;
  const refused = new Set<unknown>();
  for (const written of lines) {
    const { line, place, isSound } = written;
    if (!isSound || refused.has(place)) continue;
    const title = line.name ?? line.origin;
    if (line.direction !== "input") {
      refused.add(place);
      problems.add(
        valuePlace(written, "direction"),
        `"${title}" may be driven, by the guest behind vhost-user and by the ` +
          "one behind qemu-pins: an output has one master",
        `Give it direction: input, or make a second aggregator with ` +
          `copy: ${name}.${line.name ?? "LINE"}`,
      );
    } else if (line.onDisconnect === "release") {
      refused.add(place);
      problems.add(
        valuePlace(written, "on-disconnect"),
        `"${title}" would be taken from the other guest when one is gone`,
        "Leave on-disconnect out: an input drives nothing",
      );
    }
  }
}

/**
 * An aggregator as what is served: one for each exposure, the second one with
 * copies of the first one's lines, so that each guest has interrupts of its
 * own.
 */
export function presentedTwice(
  aggregator: AggregatorSpecification,
): AggregatorSpecification[] {
  const { vhostUser, qemuPins, control: _, ...common } = aggregator;
  if (vhostUser === undefined || qemuPins === undefined) return [aggregator];
  const { qemuPins: _pins, ...first } = aggregator;
  return [first, {
    ...common,
    name: secondName(aggregator.name),
    secondOf: aggregator.name,
    qemuPins,
    lines: aggregator.lines.map((line, lineNumber) =>
      copyOf(line, aggregator.name, lineNumber)
    ),
  }];
}

function copyOf(
  { origin, place, name }: LineSpecification,
  aggregator: string,
  lineNumber: number,
): LineSpecification {
  return {
    origin,
    ...(place === undefined ? {} : { place }),
    ...(name === undefined ? {} : { name }),
    source: {
      kind: "copy",
      of: { aggregator, line: name ?? String(lineNumber), lineNumber },
    },
    direction: "input",
    activeLow: false,
    debounceUs: 0,
    onDisconnect: "keep",
    lane: false,
  };
}
