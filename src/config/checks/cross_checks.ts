/**
 * The checks that look at several lines at once: names, references, cycles,
 * interlocks, and that every output has one master.
 *
 * @module
 */
import { MAX_FOLLOWED_LINES } from "../references/follow_index.ts";
import type { ConfigPosition } from "../document/config_error.ts";
import { nearest } from "../../text/nearest.ts";
import { knownNames } from "../references/known_names.ts";
import type { Problems } from "../document/problems.ts";
import { checkHostLines } from "./host_lines.ts";
import { checkExposures } from "./exposure_checks.ts";
import { checkIsolation } from "./isolation_checks.ts";
import { presentedTwice } from "./second_exposure.ts";
import {
  describeAmbiguity,
  findReference,
  listReadings,
  withReference,
} from "../references/references.ts";
import type {
  InterlockSpecification,
  LineReference,
  LineSpecification,
  Specification,
} from "../specification.ts";
import {
  type DraftAggregator,
  type DraftConfig,
  type DraftInterlock,
  type DraftLine,
  keyPosition,
  valuePosition,
  where,
} from "./draft.ts";
import { needsUsb } from "./kernel_lines.ts";

/**
 * Makes all checks that look at several lines at once, and puts the
 * specification together with its references looked up. It is to be used only
 * if there are no problems.
 */
export function crossCheck(
  config: DraftConfig,
  problems: Problems,
): Specification {
  const names = new Names(config, problems);
  for (const aggregator of config.aggregators) {
    for (const written of aggregator.lines) {
      written.line = names.resolveSource(written, aggregator);
    }
  }
  checkCycles(config, names, problems);
  checkChains(config, names, problems);
  checkExposures(config, problems);
  checkHostLines(config, problems);
  const interlocks = config.interlocks.map((interlock) =>
    readInterlock(interlock, names, problems)
  );
  checkInterlockedValues(interlocks, names, problems);
  checkIsolation(config, interlocks, problems);
  return {
    aggregators: config.aggregators.flatMap((
      { name, position, exposure, lines },
    ) =>
      presentedTwice({
        name,
        position,
        ...exposure,
        lines: lines.map(({ line }) => line),
      })
    ),
    interlocks,
    ...(config.api === undefined ? {} : { api: config.api.specification }),
    ...(config.record === undefined ? {} : { record: config.record }),
  };
}

/** All aggregators and lines by the names that the user gave them. */
class Names {
  readonly #config: DraftConfig;
  readonly #problems: Problems;
  readonly #aggregators = new Map<string, DraftAggregator>();
  readonly #lines = new Map<DraftAggregator, Map<string, DraftLine>>();

  /** Gathers the names and reports those that are given twice. */
  constructor(config: DraftConfig, problems: Problems) {
    this.#config = config;
    this.#problems = problems;
    for (const aggregator of config.aggregators) {
      this.#aggregators.set(aggregator.name, aggregator);
      this.#lines.set(aggregator, this.#gather(aggregator));
    }
  }

  find({ aggregator, line }: LineReference): DraftLine | undefined {
    const found = this.#aggregators.get(aggregator);
    return found && this.#lines.get(found)!.get(line);
  }

  /**
   * Looks up a reference. Returns undefined, and reports it, if there is no such
   * line or more than one.
   *
   * @param own Aggregator that the reference stands in; empty for none.
   * @param follower Line that the reference stands in, if any.
   */
  resolve(
    text: string,
    own: string,
    position: ConfigPosition,
    follower?: DraftLine,
  ): { reference: LineReference; written: DraftLine } | undefined {
    const readings = listReadings(text, own);
    if (readings.length === 0) {
      this.#problems.add(
        position,
        `"${text}" names no aggregator`,
        "Write AGGREGATOR.LINE",
      );
      return undefined;
    }
    const found = readings.flatMap((reference) => {
      const written = this.find(reference);
      return written === undefined ? [] : [{ reference, written }];
    });
    // A line that has the name of the line it follows does not mean itself.
    const others = found.filter(({ written }) => written !== follower);
    const [match, another] = others.length > 0 ? others : found;
    if (match === undefined) {
      this.#reportUnknown(text, readings, own, position);
      return undefined;
    }
    if (another !== undefined) {
      const { problem, hint } = describeAmbiguity(
        text,
        others.map(({ reference }) => reference),
      );
      this.#problems.add(position, problem, hint);
      return undefined;
    }
    const { aggregator } = match.reference;
    const { exposure: { kernelChip }, lines } = this.#aggregators.get(
      aggregator,
    )!;
    if (
      kernelChip !== undefined &&
      !needsUsb(kernelChip, lines.map(({ line }) => line))
    ) {
      this.#problems.add(
        position,
        `"${text}" is a line of a kernel chip, which cannot be followed`,
        "Present its aggregator by vhost-user instead, or use interface: usb",
      );
      return undefined;
    }
    return match;
  }

  resolveSource(
    written: DraftLine,
    { name }: DraftAggregator,
  ): LineSpecification {
    const { source } = written.line;
    const own = findReference(source);
    if (own === undefined) return written.line;
    const position = valuePosition(written, source.kind);
    const found = this.resolve(own.line, name, position, written);
    if (found === undefined) return written.line;
    return { ...written.line, source: withReference(source, found.reference) };
  }

  #gather(aggregator: DraftAggregator): Map<string, DraftLine> {
    const { lines } = aggregator;
    const found = new Map<string, DraftLine>();
    for (const [name, at] of knownNames(lines.map(({ line }) => line))) {
      found.set(name, lines[at]!);
    }
    for (const written of lines) {
      const { name } = written.line;
      const other = name === undefined ? undefined : found.get(name);
      if (other === undefined || other === written) continue;
      this.#problems.add(
        valuePosition(written, "as"),
        `the name "${name}" is taken already, ${where(other.position)}`,
        "Names are unique in an aggregator; choose another with as",
      );
    }
    return found;
  }

  #reportUnknown(
    text: string,
    readings: readonly LineReference[],
    own: string,
    position: ConfigPosition,
  ): void {
    const others = readings.filter(({ aggregator }) => aggregator !== own);
    const known = others.filter(({ aggregator }) =>
      this.#aggregators.has(aggregator)
    );
    const isBroken = others.some(({ aggregator }) =>
      this.#config.brokenAggregators.has(aggregator)
    );
    // One of the lines that were not understood may be it.
    const candidates = known.length > 0 ? known : readings;
    const isIncomplete = candidates.some(({ aggregator }) =>
      this.#aggregators.get(aggregator)?.isComplete === false
    );
    if (isBroken || isIncomplete) return;
    const near = candidates.map((each) => this.#nearLine(each, own))
      .find((each) => each !== undefined);
    if (known.length === 0 && others.length > 0) {
      const { aggregator } = others[0]!;
      this.#problems.add(
        position,
        `"${text}": there is no aggregator "${aggregator}"` +
          (own === "" ? "" : `, and ${own} has no line "${text}"`),
        near === undefined
          ? `There is ${listed([...this.#aggregators.keys()])}`
          : `Did you mean ${near.suggestion}?`,
      );
      return;
    }
    const { aggregator, line } = near?.reading ?? candidates[0]!;
    this.#problems.add(
      position,
      `"${text}": ${aggregator} has no line "${line}"`,
      near === undefined
        ? "A line is referred to by the name that as: gives it, or by what its " +
          "SPEC begins with"
        : `Did you mean ${near.suggestion}?`,
    );
  }

  /** Returns the reference that one was probably a slip of. */
  #nearLine(
    reading: LineReference,
    own: string,
  ): { reading: LineReference; suggestion: string } | undefined {
    if (!this.#problems.isSuggesting) return undefined;
    const { aggregator, line } = reading;
    const known = this.#aggregators.get(aggregator);
    if (known === undefined) {
      const near = nearest(aggregator, this.#aggregators.keys());
      return near === undefined
        ? undefined
        : { reading, suggestion: `${near}.${line}` };
    }
    const near = nearest(line, this.#lines.get(known)!.keys());
    if (near === undefined) return undefined;
    const suggestion = aggregator === own ? near : `${aggregator}.${near}`;
    return { reading, suggestion };
  }
}

/** Names that a hint lists. */
const MAX_LISTED = 10;

function listed(names: readonly string[]): string {
  return names.length <= MAX_LISTED
    ? names.join(", ")
    : `${names.slice(0, MAX_LISTED).join(", ")} and others`;
}

/** Refuses wires and copies that lead back to themselves, and loose wires. */
function checkCycles(
  config: DraftConfig,
  names: Names,
  problems: Problems,
): void {
  const done = new Set<DraftLine>();
  for (const { lines } of config.aggregators) {
    for (const written of lines) {
      const path = new Set<DraftLine>();
      let at: DraftLine | undefined = written;
      while (at !== undefined && !done.has(at) && !path.has(at)) {
        path.add(at);
        const reference = findReference(at.line.source);
        at = reference && names.find(reference);
      }
      if (at !== undefined && path.has(at)) {
        const order = [...path];
        const cycle = order.slice(order.indexOf(at));
        reportCycle(cycle, problems);
        for (const line of cycle) done.add(line);
      }
      for (const line of path) {
        if (!done.has(line)) checkWire(line, names, problems);
        done.add(line);
      }
    }
  }
}

/** Reports the first line of each aggregator that follows too long a chain. */
function checkChains(
  config: DraftConfig,
  names: Names,
  problems: Problems,
): void {
  for (const { lines } of config.aggregators) {
    for (const written of lines) {
      let at: DraftLine | undefined = written;
      let length = -1;
      const path = new Set<DraftLine>();
      while (
        at !== undefined && length <= MAX_FOLLOWED_LINES && !path.has(at)
      ) {
        path.add(at);
        length++;
        const reference = findReference(at.line.source);
        at = reference && names.find(reference);
      }
      if (length <= MAX_FOLLOWED_LINES) continue;
      problems.add(
        valuePosition(written, written.line.source.kind),
        `is at the end of more than ${MAX_FOLLOWED_LINES} lines that follow ` +
          "each other",
        "Let it follow the first line of the chain",
      );
      break;
    }
  }
}

function reportCycle(
  cycle: readonly DraftLine[],
  problems: Problems,
): void {
  const [first] = cycle as [DraftLine];
  const titles = [...cycle, first].map(({ line, position }) =>
    line.name ?? position.path
  );
  problems.add(
    valuePosition(first, first.line.source.kind),
    cycle.length === 1
      ? "refers to itself"
      : `is part of a cycle: ${titles.join(" -> ")}`,
    "Some line of it must be driven by a guest or a chip",
  );
}

/** A wire needs an aggregator at its other end that can drive it. */
function checkWire(
  written: DraftLine,
  names: Names,
  problems: Problems,
): void {
  const { source } = written.line;
  if (source.kind !== "wire") return;
  const target = names.find(source.to);
  if (target === undefined || !target.isSound) return;
  if (target.line.direction !== "input") return;
  problems.add(
    valuePosition(written, "wire"),
    `${source.to.aggregator}.${source.to.line} is an input, ` +
      `so nothing drives this wire`,
    `Use copy: to see the value of an input`,
  );
}

function readInterlock(
  { aggregator, exclusive, position }: DraftInterlock,
  names: Names,
  problems: Problems,
): InterlockSpecification {
  const members = new Map<DraftLine, LineReference>();
  for (const { value, position } of exclusive) {
    const found = names.resolve(value, aggregator, position);
    if (found === undefined) continue;
    const { reference, written } = found;
    if (members.has(written)) {
      problems.add(position, `"${value}" is listed twice`);
    } else if (written.isSound && written.line.direction === "input") {
      problems.add(
        position,
        `"${value}" is an input, but only outputs can exclude each other`,
      );
    } else if (written.line.combine !== undefined) {
      problems.add(
        position,
        `"${value}" is combined with other aggregators' outputs`,
        "An interlock needs outputs that one guest alone decides",
      );
    }
    members.set(written, reference);
  }
  return { exclusive: [...members.values()], position };
}

/** Lines that exclude each other must not begin, or end, both active. */
function checkInterlockedValues(
  interlocks: readonly InterlockSpecification[],
  names: Names,
  problems: Problems,
): void {
  for (const { exclusive } of interlocks) {
    for (const key of ["initial", "safe"] as const) {
      const active = exclusive.flatMap((reference) => {
        const written = names.find(reference);
        return written?.isSound && written.line[key] === 1 ? [written] : [];
      });
      const [first, ...others] = active;
      for (const other of others) {
        problems.add(
          keyPosition(other, key),
          `${key}=1 makes this line active together with ` +
            `${first!.line.name}, but the two exclude each other`,
          `${first!.line.name} is ${where(keyPosition(first!, key))}`,
        );
      }
    }
  }
}
