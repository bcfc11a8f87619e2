/**
 * Compares a recording with an expected one.
 *
 * @module
 */
import {
  type EdgeList,
  type Recording,
  signalText,
  type SignalValue,
} from "./recording.ts";

/** A difference between two recordings. */
export interface Difference {
  /** Time in the expected recording. **Units**: nanoseconds. */
  readonly timeNs: number;
  /** In words: the signal, what was expected, what came. */
  readonly text: string;
}

interface Change {
  readonly timeNs: number;
  readonly value: SignalValue;
}

/**
 * Returns the first difference; undefined if all signals of `expected` are in
 * `actual` with the same edges, each at most `toleranceNs` away. While a value is
 * expected to be unknown, anything may happen.
 */
export function firstDifference(
  expected: Recording,
  actual: Recording,
  toleranceNs: number,
): Difference | undefined {
  const wanted = changesBySignal(expected);
  const came = changesBySignal(actual);
  const indices = new Map(
    actual.signals.map((signal, i) => [signalText(signal), i]),
  );
  let first: Difference | undefined;
  for (const [i, signal] of expected.signals.entries()) {
    const name = signalText(signal);
    const index = indices.get(name);
    const difference = index === undefined
      ? { timeNs: 0, text: `${name} was not recorded` }
      : findDifference(name, wanted[i]!, came[index]!, {
        toleranceNs,
        endNs: expected.endNs,
      });
    if (difference === undefined) continue;
    if (first === undefined || difference.timeNs < first.timeNs) {
      first = difference;
    }
  }
  return first;
}

function changesBySignal(
  { signals, edges }: { signals: readonly unknown[]; edges: EdgeList },
): Change[][] {
  const changes: Change[][] = signals.map(() => []);
  for (let i = 0; i < edges.length; i++) {
    changes[edges.signal(i)]!.push({
      timeNs: edges.timeNs(i),
      value: edges.value(i),
    });
  }
  return changes;
}

function findDifference(
  name: string,
  wanted: readonly Change[],
  came: readonly Change[],
  { toleranceNs, endNs }: { toleranceNs: number; endNs: number },
): Difference | undefined {
  let next = 0;
  let present: SignalValue;
  let isFree = true;
  const unexpected = ({ timeNs, value }: Change): Difference => ({
    timeNs,
    text: `${name} became ${formatValue(value)} at ${msText(timeNs)}, ` +
      "which was not expected",
  });
  const missing = (change: Change): Difference => {
    const other = came[next];
    const late = other?.value === change.value
      ? `; it came at ${msText(other!.timeNs)}`
      : "";
    return {
      timeNs: change.timeNs,
      text: `${name} was expected to become ${formatValue(change.value)} at ` +
        `${msText(change.timeNs)}${late}`,
    };
  };
  for (const change of wanted) {
    const { timeNs, value } = change;
    const wasFree = isFree;
    isFree = value === undefined;
    if (wasFree) {
      while (next < came.length && came[next]!.timeNs <= timeNs) {
        present = came[next++]!.value;
      }
      if (isFree || present === value) continue;
    } else if (next < came.length) {
      const other = came[next]!;
      if (other.timeNs < timeNs - toleranceNs) return unexpected(other);
      if (isFree) continue;
    }
    const other = came[next];
    if (
      other === undefined || other.value !== value ||
      other.timeNs > timeNs + toleranceNs
    ) {
      return missing(change);
    }
    present = value;
    next++;
  }
  const last = came[next];
  return isFree || last === undefined || last.timeNs > endNs - toleranceNs
    ? undefined
    : unexpected(last);
}

function formatValue(value: SignalValue): string {
  return value === undefined ? "unknown" : String(value);
}

function msText(ns: number): string {
  return `${(ns / 1e6).toFixed(3)} ms`;
}
