/**
 * Lines of a service's aggregators, as a command line names them:
 * `NAME.LINE`, where LINE is a name or a number.
 *
 * @module
 */
import type { AggregatorState, Line } from "../../client/protocol.ts";
import { nearest } from "../../text/nearest.ts";
import { noAggregator, NotThereError } from "../not_there.ts";

/** A line of an aggregator. */
export interface NamedLine {
  readonly aggregator: string;
  readonly line: Line;
}

/** Returns a line's name; its number if it has none. */
export function displayName({ name, lineNumber }: Line): string {
  return name === "" ? String(lineNumber) : name;
}

/**
 * Returns what `NAME.LINE` may be: both may have dots.
 *
 * @returns Names of an aggregator and of a line.
 */
export function listSplits(text: string): [string, string][] {
  const splits: [string, string][] = [];
  for (
    let dot = text.indexOf(".");
    dot >= 0;
    dot = text.indexOf(".", dot + 1)
  ) {
    const name = text.slice(0, dot);
    const line = text.slice(dot + 1);
    if (!/^(\.|$)/.test(name) && line !== "") splits.push([name, line]);
  }
  return splits;
}

/**
 * Returns the line that is meant; undefined if there is no such aggregator.
 *
 * @throws {NotThereError} If there is, but it has no such line.
 */
export function findLine(
  text: string,
  aggregators: readonly AggregatorState[],
): NamedLine | undefined {
  let owner: AggregatorState | undefined;
  let missing = "";
  for (const [name, wanted] of listSplits(text)) {
    const one = aggregators.find((aggregator) => aggregator.name === name);
    if (one === undefined) continue;
    const line = one.lines.find(({ name }) => name === wanted) ??
      one.lines.find(({ lineNumber }) => String(lineNumber) === wanted);
    if (line !== undefined) return { aggregator: one.name, line };
    owner = one;
    missing = wanted;
  }
  if (owner === undefined) return undefined;
  const near = nearest(missing, owner.lines.map(({ name }) => name));
  throw new NotThereError(
    `${owner.name} has no line "${missing}"`,
    `gpioagg show ${owner.name} lists its lines`,
    near === undefined ? undefined : `${owner.name}.${near}`,
  );
}

/** Returns the error for a word that is a line of no aggregator. */
export function noSuchLine(
  text: string,
  aggregators: readonly AggregatorState[],
): NotThereError {
  const names = aggregators.map(({ name }) => name);
  if (names.includes(text)) {
    return new NotThereError(
      `"${text}" is an aggregator, not a line of one`,
      `Write ${text}.LINE; gpioagg show ${text} lists its lines`,
    );
  }
  const [[first] = [text]] = listSplits(text);
  const error = noAggregator(first!, names);
  const line = nearest(
    text,
    aggregators.flatMap(({ name, lines }) =>
      lines.map((line) => `${name}.${displayName(line)}`)
    ),
  );
  if (line !== undefined) return new NotThereError(error.message, "", line);
  return first === text && nearest(text, names) === undefined
    ? new NotThereError(
      error.message,
      "Write NAME.LINE, such as press.START; gpioagg list shows the aggregators",
    )
    : error;
}
