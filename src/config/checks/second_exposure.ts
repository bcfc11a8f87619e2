/**
 * One aggregator for two guests: one has its lines by vhost-user, the other as
 * pins inside a QEMU. An output has one master, so there are only inputs.
 *
 * @module
 */
import type { Problems } from "../document/problems.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../specification.ts";
import { presentExposures } from "./exposures.ts";
import { type DraftAggregator, positionIn, valuePosition } from "./draft.ts";

/** Returns the name of the second exposure of an aggregator. */
function secondName(name: string): string {
  return `${name}.pins`;
}

/** Reports aggregators with the name of another one's second exposure. */
export function checkSecondNames(
  aggregators: readonly DraftAggregator[],
  problems: Problems,
): void {
  const names = new Map(aggregators.map((each) => [each.name, each]));
  for (const { name, exposure } of aggregators) {
    const { vhostUser, qemuPins } = exposure;
    if (vhostUser === undefined || qemuPins === undefined) continue;
    const other = names.get(secondName(name));
    if (other === undefined) continue;
    problems.add(
      other.position,
      `is the name of the second exposure of "${name}"`,
      "Choose another name",
    );
  }
}

/** Reports exposures that an aggregator cannot have together. */
export function checkTogether(
  aggregator: DraftAggregator,
  problems: Problems,
): void {
  const { name, exposure, lines } = aggregator;
  const present = presentExposures(exposure);
  if (exposure.kernelChip !== undefined) {
    for (const { name: other } of present) {
      if (other === "kernel-chip") continue;
      problems.add(
        positionIn(aggregator, other),
        `${name} is a kernel chip, whose lines the kernel has for itself`,
        "Make two aggregators, of different lines",
      );
    }
    return;
  }
  const alone = present.find(({ isAlone }) => isAlone);
  const other = present.find((each) => each !== alone);
  if (alone !== undefined && other !== undefined) {
    problems.add(
      positionIn(aggregator, alone.name),
      `${name} is presented by ${other.name} already, and a line has one master`,
      "Make a second aggregator, for inputs with copy:",
    );
    return;
  }
  if (exposure.vhostUser === undefined || exposure.qemuPins === undefined) {
    return;
  }
  const refused = new Set<unknown>();
  for (const written of lines) {
    const { line, position, isSound } = written;
    if (!isSound || refused.has(position)) continue;
    const title = line.name ?? line.origin;
    if (line.direction !== "input") {
      refused.add(position);
      problems.add(
        valuePosition(written, "direction"),
        `"${title}" may be driven, by the guest behind vhost-user and by the ` +
          "one behind qemu-pins: an output has one master",
        `Give it direction: input, or make a second aggregator with ` +
          `copy: ${name}.${line.name ?? "LINE"}`,
      );
    } else if (line.onDisconnect === "release") {
      refused.add(position);
      problems.add(
        valuePosition(written, "on-disconnect"),
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
  const {
    vhostUser,
    qemuPins,
    control: _,
    pausedForUs: _paused,
    pollUs: _poll,
    pollShare: _share,
    ...common
  } = aggregator;
  if (vhostUser === undefined || qemuPins === undefined) return [aggregator];
  const { qemuPins: _pins, ...first } = aggregator;
  return [first, {
    ...common,
    name: secondName(aggregator.name),
    secondOf: aggregator.name,
    qemuPins,
    lines: aggregator.lines.map((line, lineNumber) =>
      copyLine(line, aggregator.name, lineNumber)
    ),
  }];
}

function copyLine(
  { origin, position, name }: LineSpecification,
  aggregator: string,
  lineNumber: number,
): LineSpecification {
  return {
    origin,
    ...(position === undefined ? {} : { position }),
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
