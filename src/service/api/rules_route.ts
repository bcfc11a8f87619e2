/**
 * Changes of rules of clients' aggregators, under their guests: what a reload of
 * a configuration file may change, by the same comparison.
 *
 * @module
 */
import type { AggregatorState, Line } from "../../client/protocol.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import { changeOf } from "../reload.ts";
import { readCreation, type readRules, type RuleChanges } from "./create.ts";
import type { CreationRules } from "./exposure.ts";
import type { KeptCreation } from "./kept_creations.ts";
import { HttpError } from "./messages.ts";

/**
 * Returns changes by lineNumber.
 *
 * @throws {HttpError} If there is no such line, or it is named twice.
 */
export function changesOf(
  { name, lines }: AggregatorState,
  wanted: ReturnType<typeof readRules>,
): RuleChanges {
  const changes: Record<string, RuleChanges[string]> = {};
  for (const [text, change] of wanted) {
    const line = lineOf(lines, text);
    if (line === undefined) {
      throw new HttpError(409, `${name} has no line "${text}"`);
    }
    const { lineNumber } = line;
    if (changes[lineNumber] !== undefined) {
      throw new HttpError(409, `Line ${lineNumber} of ${name} is named twice`);
    }
    changes[lineNumber] = change;
  }
  return changes;
}

function lineOf(lines: readonly Line[], text: string): Line | undefined {
  return lines.find(({ name }) => name !== "" && name === text) ??
    (/^\d+$/.test(text) ? lines[Number(text)] : undefined);
}

/**
 * Returns the specification of a changed aggregator; undefined if nothing
 * changes. Thousands of lines take some time: others are served where it yields.
 *
 * @throws {ConfigError} If rules contradict each other.
 * @throws {HttpError} If something cannot change under a guest.
 */
export function* plannedChange(
  before: KeptCreation,
  next: KeptCreation,
  rules: CreationRules,
): Generator<void, AggregatorSpecification | undefined> {
  const { specification } = readCreation(next.body, rules, next.rules);
  yield;
  const old = readCreation(before.body, rules, before.rules).specification;
  yield;
  const change = changeOf(old, specification);
  if (typeof change !== "string") {
    throw new HttpError(
      409,
      change.join("; "),
      "Remove the aggregator and create it again",
    );
  }
  return change === "same" ? undefined : specification;
}
