/**
 * When lines of the past were there, in the order of time.
 *
 * @module
 */
import type { HistoryLine } from "../../client/edges.ts";
import type { SignalValue } from "../../recording/recording.ts";
import { lineKey } from "./selection.ts";

/** A line that appears or disappears. */
export interface PresenceChange {
  /** As {@linkcode lineKey} has it. */
  readonly key: string;
  /** Value from then on; undefined if it is not known, or the line is absent. */
  readonly value: SignalValue;
  /** **Units**: nanoseconds since 1970. */
  readonly timeNs: bigint;
}

/** Lines of the past, and their times. */
interface LinePresence {
  /** Values at the begin by {@linkcode lineKey}. */
  readonly values: ReadonlyMap<string, SignalValue>;
  /** By time; an end before a begin of the same time. */
  readonly changes: readonly PresenceChange[];
}

/** Returns what the lines of an answer tell. */
export function readPresence(lines: readonly HistoryLine[]): LinePresence {
  const values = new Map<string, SignalValue>();
  const changes: (PresenceChange & { readonly isEnd: boolean })[] = [];
  for (const line of lines) {
    const { aggregator, lineNumber, present, begins, ends } = line;
    const key = lineKey(aggregator, lineNumber);
    const value = present ? line.value : undefined;
    if (begins === undefined) values.set(key, value);
    else changes.push({ key, value, timeNs: BigInt(begins), isEnd: false });
    if (ends !== undefined) {
      changes.push({
        key,
        value: undefined,
        timeNs: BigInt(ends),
        isEnd: true,
      });
    }
  }
  changes.sort((a, b) =>
    a.timeNs < b.timeNs
      ? -1
      : a.timeNs > b.timeNs
      ? 1
      : Number(b.isEnd) - Number(a.isEnd)
  );
  return { values, changes };
}
