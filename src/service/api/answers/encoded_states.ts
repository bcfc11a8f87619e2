/**
 * Large states as the bytes that clients get, encoded in parts between which
 * other clients are served.
 *
 * @module
 */
import type { AggregatorState } from "../../../client/protocol.ts";
import { printableJson } from "../../../text/printable.ts";
import { EncodedParts } from "./encoded_parts.ts";

/** Lines that are encoded at a time: some 0.3 ms. */
const LINES_AT_ONCE = 256;

/** Encodes aggregators as a JSON list between two texts; yields often. */
export function* encodeStates(
  before: string,
  states: readonly AggregatorState[],
  after: string,
): Generator<void, Uint8Array> {
  const parts = new EncodedParts();
  const { add } = parts;
  add(before);
  for (const [i, { lines, ...state }] of states.entries()) {
    add(`${i === 0 ? "" : ","}${printableJson(state).slice(0, -1)},"lines":`);
    yield* addLines(lines, add);
    add("}");
  }
  add(after);
  return yield* parts.joined();
}

/** Encodes the lines of an aggregator between two texts; yields often. */
export function* encodeLines(
  before: string,
  lines: AggregatorState["lines"],
  after: string,
): Generator<void, Uint8Array> {
  const parts = new EncodedParts();
  const { add } = parts;
  add(before);
  yield* addLines(lines, add);
  add(after);
  return yield* parts.joined();
}

/** Encodes the lines of aggregators, each with the aggregator's name. */
export function* encodeAllLines(
  aggregators: readonly Pick<AggregatorState, "name" | "lines">[],
): Generator<void, Uint8Array> {
  const parts = new EncodedParts();
  const { add } = parts;
  add('{"lines":[');
  let isFirst = true;
  for (const { name: aggregator, lines } of aggregators) {
    for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
      const some = lines.slice(at, at + LINES_AT_ONCE)
        .map((line) => ({ aggregator, ...line }));
      add((isFirst ? "" : ",") + printableJson(some).slice(1, -1));
      isFirst = false;
      yield;
    }
  }
  add("]}");
  return yield* parts.joined();
}

function* addLines(
  lines: AggregatorState["lines"],
  add: (text: string) => void,
): Generator<void, void> {
  add("[");
  for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
    const some = printableJson(lines.slice(at, at + LINES_AT_ONCE));
    add((at === 0 ? "" : ",") + some.slice(1, -1));
    yield;
  }
  add("]");
}

/** The last answer to each question: an equal one is not kept twice. */
export class LastAnswers {
  readonly #last = new Map<string, Uint8Array>();

  /** Returns the last answer to a question if it equals `bytes`, else these. */
  shared(question: string, bytes: Uint8Array): Uint8Array {
    const last = this.#last.get(question);
    if (last !== undefined && isEqual(last, bytes)) return last;
    this.#last.set(question, bytes);
    return bytes;
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
