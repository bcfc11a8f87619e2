/**
 * Lines of a service that a command line selects: all, those of aggregators
 * (`press`), or single ones (`press.START`).
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";
import type { Signal } from "../../recording/recording.ts";
import { noAggregator, type NotThereError } from "../not_there.ts";
import {
  displayName,
  findLine,
  listSplits,
  type NamedLine,
  noSuchLine,
} from "./line_names.ts";

/**
 * Returns the selected lines in the order of the words, each once; all lines
 * without a word.
 *
 * @throws {NotThereError} If there is no such aggregator or line.
 */
export function selectLines(
  words: readonly string[],
  aggregators: readonly AggregatorState[],
): NamedLine[] {
  const selected = new Map<string, NamedLine>();
  const add = (one: NamedLine) => {
    const key = lineKey(one.aggregator, one.line.lineNumber);
    if (!selected.has(key)) selected.set(key, one);
  };
  const addAll = ({ name, lines }: AggregatorState) => {
    for (const line of lines) add({ aggregator: name, line });
  };
  if (words.length === 0) { for (const one of aggregators) addAll(one); }
  for (const word of words) {
    const whole = aggregators.find(({ name }) => name === word);
    const line = whole === undefined ? findLine(word, aggregators) : undefined;
    if (whole !== undefined) addAll(whole);
    else if (line !== undefined) add(line);
    else throw noSuchSelection(word, aggregators);
  }
  return [...selected.values()];
}

/** Returns what identifies a line among all of a service. */
export function lineKey(aggregator: string, lineNumber: number): string {
  // No name of an aggregator has a slash.
  return `${aggregator}/${lineNumber}`;
}

/** Returns a line as the signal of a recording. */
export function toSignal({ aggregator, line }: NamedLine): Signal {
  return { scope: aggregator, name: displayName(line) };
}

/** Returns the error for a word that is neither an aggregator nor a line. */
export function noSuchSelection(
  word: string,
  aggregators: readonly AggregatorState[],
): NotThereError {
  if (listSplits(word).length > 0) return noSuchLine(word, aggregators);
  return noAggregator(word, aggregators.map(({ name }) => name));
}
