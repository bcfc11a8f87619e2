/**
 * Lines of a service that a command line selects: all, those of aggregators
 * (`press`), or single ones (`press.START`).
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { Signal } from "../../recording/recording.ts";
import { nearest } from "../../text/nearest.ts";
import { findLine, type NamedLine, nameOf, splitsOf } from "./line_names.ts";

/**
 * Returns the selected lines in the order of the words, each once; all lines
 * without a word.
 *
 * @throws {ConfigError} If there is no such aggregator or line.
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
    else throw notThere(word, aggregators);
  }
  return [...selected.values()];
}

/** Returns what identifies a line among all of a service. */
export function lineKey(aggregator: string, lineNumber: number): string {
  // No name of an aggregator has a slash.
  return `${aggregator}/${lineNumber}`;
}

/** Returns a line as the signal of a recording. */
export function signalOf({ aggregator, line }: NamedLine): Signal {
  return { scope: aggregator, name: nameOf(line) };
}

function notThere(
  word: string,
  aggregators: readonly AggregatorState[],
): ConfigError {
  const names = aggregators.map(({ name }) => name);
  const [[first] = [word]] = splitsOf(word);
  const near = nearest(first!, names);
  return new ConfigError(`there is no aggregator "${first}"`, {
    hint: near === undefined
      ? "gpioagg list shows the aggregators"
      : `Did you mean ${near}?`,
  });
}
