/**
 * Changes of rules of clients' aggregators, under their guests: what a reload of
 * a configuration file may change, by the same comparison.
 *
 * @module
 */
import type { AggregatorState, Line } from "../../../client/protocol.ts";
import { ConfigError } from "../../../config/document/config_error.ts";
import type { AggregatorSpecification } from "../../../config/specification.ts";
import { nearestForPeer } from "../../../text/nearest.ts";
import { printable } from "../../../text/printable.ts";
import { compareAggregators } from "../../reload.ts";
import {
  readCreation,
  type readRules,
  type RuleChanges,
} from "../creations/create.ts";
import type { CreationRules } from "../creations/exposure.ts";
import type { KeptCreation } from "../creations/kept_creations.ts";
import { HttpError } from "../requests/messages.ts";

/** Changes of one request. */
interface NumberedChanges {
  /** By lineNumber. */
  readonly changes: RuleChanges;
  /** Names of lines by lineNumber, as the client wrote them. */
  readonly names: ReadonlyMap<string, string>;
}

/**
 * Returns changes by lineNumber.
 *
 * @throws {HttpError} If there is no such line, or it is named twice.
 */
export function numberChanges(
  { name, lines }: AggregatorState,
  wanted: ReturnType<typeof readRules>,
): NumberedChanges {
  const changes: Record<string, RuleChanges[string]> = {};
  const names = new Map<string, string>();
  for (const [text, change] of wanted) {
    const line = findLine(lines, text);
    if (line === undefined) {
      const near = nearestForPeer(text, lines.map((one) => one.name));
      throw new HttpError(
        409,
        `${name} has no line "${text}"`,
        near === undefined ? "" : `Did you mean ${printable(near)}?`,
      );
    }
    const { lineNumber } = line;
    if (changes[lineNumber] !== undefined) {
      throw new HttpError(409, `Line ${lineNumber} of ${name} is named twice`);
    }
    changes[lineNumber] = change;
    names.set(String(lineNumber), text);
  }
  return { changes, names };
}

function findLine(lines: readonly Line[], text: string): Line | undefined {
  return lines.find(({ name }) => name !== "" && name === text) ??
    (/^\d+$/.test(text) ? lines[Number(text)] : undefined);
}

/**
 * Returns the specification of a changed aggregator; undefined if nothing
 * changes. Thousands of lines take some time: others are served where it yields.
 *
 * @param names Names of the changed lines as the client wrote them.
 * @throws {ConfigError} If rules contradict each other.
 * @throws {HttpError} If something cannot change under a guest.
 */
export function* plannedChange(
  before: KeptCreation,
  next: KeptCreation,
  rules: CreationRules,
  names: NumberedChanges["names"] = new Map(),
): Generator<void, AggregatorSpecification | undefined> {
  const { specification } = readNext(next, rules, names);
  yield;
  const old = readCreation(before.body, rules, before.rules).specification;
  yield;
  const change = compareAggregators(old, specification);
  if (typeof change !== "string") {
    throw new HttpError(
      409,
      change.join("; "),
      "Remove the aggregator and create it again",
    );
  }
  return change === "same" ? undefined : specification;
}

/**
 * Reads a changed creation. Changes are kept by lineNumber; an error is about the
 * line as the client named it.
 */
function readNext(
  { body, rules: changes }: KeptCreation,
  rules: CreationRules,
  names: NumberedChanges["names"],
): ReturnType<typeof readCreation> {
  try {
    return readCreation(body, rules, changes);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [, number = "", key = ""] = /^rules\.(\d+)(.*)$/s.exec(error.path) ??
      [];
    const name = names.get(number);
    if (name === undefined) throw error;
    const { problem, hint, cause } = error;
    const path = `rules.${name}${key}`;
    throw new ConfigError(problem, { path, hint, cause });
  }
}
