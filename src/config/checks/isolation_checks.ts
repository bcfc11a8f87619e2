/**
 * The checks of aggregators that are served by processes of their own: nothing
 * that needs two aggregators in one process can involve one of them.
 *
 * @module
 */
import type { Problems } from "../document/problems.ts";
import { findReference } from "../references/references.ts";
import type { InterlockSpecification } from "../specification.ts";
import {
  type DraftAggregator,
  type DraftConfig,
  type DraftLine,
  keyPosition,
  valuePosition,
} from "./draft.ts";

const HINT = "Leave isolate out of all aggregators that have it in common";

/** Refuses what would have to work across processes. */
export function checkIsolation(
  { aggregators }: Pick<DraftConfig, "aggregators">,
  interlocks: readonly InterlockSpecification[],
  problems: Problems,
): void {
  const isolated = new Set(
    aggregators.filter(({ exposure }) => exposure.isolate === "process")
      .map(({ name }) => name),
  );
  if (isolated.size === 0) return;
  for (const aggregator of aggregators) {
    if (isolated.has(aggregator.name)) checkIsolated(aggregator, problems);
    for (const written of aggregator.lines) {
      checkReference(aggregator.name, written, isolated, problems);
    }
  }
  for (const { exclusive, position } of interlocks) {
    const names = new Set(exclusive.map(({ aggregator }) => aggregator));
    const [name] = names.intersection(isolated);
    if (names.size < 2 || name === undefined || position === undefined) {
      continue;
    }
    problems.add(
      position,
      `an interlock cannot reach into the process of ${name} (isolate: process)`,
      HINT,
    );
  }
}

function checkIsolated(
  { name, position, positions, exposure, lines }: DraftAggregator,
  problems: Problems,
): void {
  if (exposure.kernelChip !== undefined) {
    problems.add(
      positions.get("isolate") ?? position,
      "the kernel serves a kernel chip: no process of its own can",
      "Leave isolate out",
    );
  }
  if (exposure.vhostUser !== undefined && "fd" in exposure.vhostUser) {
    problems.add(
      positions.get("isolate") ?? position,
      "a socket that is given as fd is the service's own",
      "Write socket: and a path",
    );
  }
  for (const written of lines) {
    const { shared, combine } = written.line;
    const key = shared === true
      ? "shared"
      : combine !== undefined
      ? "combine"
      : undefined;
    if (key === undefined) continue;
    problems.add(
      keyPosition(written, key),
      `${key} works within one process, but ${name} has a process of its own`,
      HINT,
    );
  }
}

function checkReference(
  own: string,
  written: DraftLine,
  isolated: ReadonlySet<string>,
  problems: Problems,
): void {
  const { source } = written.line;
  const target = findReference(source)?.aggregator ?? own;
  if (target === "" || target === own) return;
  const name = isolated.has(own) ? own : target;
  if (!isolated.has(name)) return;
  problems.add(
    valuePosition(written, source.kind),
    `a ${source.kind} line cannot reach ${
      name === own ? "out of" : "into"
    } the process of ${name} (isolate: process)`,
    HINT,
  );
}
