/**
 * Samples of a metric for each line, some lines at a time.
 *
 * @module
 */
import type {
  ExposureCounts,
  GuestCounts,
  LineCounts,
} from "../../messages/messages.ts";
import type { Labels, MetricsPage } from "./metrics_page.ts";

/** Lines that are written at a time: less than 1 ms with all their series. */
const LINES_AT_ONCE = 64;

/** An aggregator that guests are served by. */
export type Served = { name: string } & GuestCounts;

/** A part of a page, in pieces. */
export type Writing = Generator<void, void>;

/** One line with its counters. */
interface CountedLine {
  readonly line: number;
  readonly counts: LineCounts;
  readonly exposure: ExposureCounts;
  readonly labels: () => Labels;
}

/** Returns a count of a line; undefined where it does not exist. */
export type CountOf = (line: CountedLine) => number | undefined;

/** Writes each line of all aggregators, some at a time. */
export function* eachLine(
  page: MetricsPage,
  served: readonly Served[],
  write: (line: CountedLine) => void,
): Writing {
  let written = 0;
  for (const { name: aggregator, lines, exposure } of served) {
    for (const [line, counts] of lines.entries()) {
      const labels = () => ({ aggregator, line, name: counts.name });
      write({ line, counts, exposure, labels });
      if (++written % LINES_AT_ONCE !== 0) continue;
      page.encode();
      yield;
    }
  }
}

/** One sample per line, of those that are not 0. */
export function* addByLine(
  page: MetricsPage,
  served: readonly Served[],
  readCount: CountOf,
  more: Labels = {},
): Writing {
  yield* eachLine(page, served, (line) => {
    const count = readCount(line) ?? 0;
    if (count !== 0) page.sample({ ...line.labels(), ...more }, count);
  });
}
