/**
 * Lines that follow lines that follow lines: how long such chains may be, across
 * everything that is served.
 *
 * @module
 */
import { ConfigError } from "../document/config_error.ts";
import { knownNames } from "./known_names.ts";
import { findReference } from "./references.ts";
import {
  type AggregatorSpecification,
  linePosition,
  type LineReference,
  type LineSpecification,
} from "../specification.ts";

/**
 * Longest chain of wires, copies and opposites. A change goes through all of it
 * at once, one call inside the other.
 */
export const MAX_FOLLOWED_LINES = 16;

/** The lines of one aggregator that follow others. */
interface Followers {
  readonly all: readonly Follower[];
  readonly byName: ReadonlyMap<string, Follower>;
  readonly byNumber: ReadonlyMap<number, Follower>;
}

interface Follower {
  readonly aggregator: string;
  readonly line: LineSpecification;
  readonly reference: LineReference;
}

/** All lines that follow others, of the aggregators that are served. */
export class FollowIndex {
  readonly #aggregators = new Map<string, Followers>();

  /** Adds an aggregator that was checked. */
  add(specification: AggregatorSpecification): void {
    const followers = collectFollowers(specification);
    // Most have none.
    if (followers.all.length > 0) {
      this.#aggregators.set(specification.name, followers);
    }
  }

  /** Removes an aggregator. */
  remove(name: string): void {
    this.#aggregators.delete(name);
  }

  /**
   * Checks what chains there would be with these aggregators too.
   *
   * @throws {ConfigError} If a chain were longer than
   * {@linkcode MAX_FOLLOWED_LINES}, or went round in a circle.
   */
  check(added: readonly AggregatorSpecification[]): void {
    const names = new Set(added.map(({ name }) => name));
    const news = new Map(added.map((one) => [one.name, collectFollowers(one)]));
    const find = ({ aggregator, line, lineNumber }: LineReference) => {
      const followers = news.get(aggregator) ??
        this.#aggregators.get(aggregator);
      return lineNumber === undefined
        ? followers?.byName.get(line)
        : followers?.byNumber.get(lineNumber);
    };
    const starts = [...news.values()].flatMap(({ all }) => all);
    const others = [...this.#aggregators.values()].flatMap(({ all }) => all);
    // They would follow the new ones: what follows them is longer by that.
    const isFollowed = others.some(({ reference }) =>
      names.has(reference.aggregator)
    );
    if (isFollowed) starts.push(...others);
    for (const start of starts) checkChain(start, find);
  }
}

function collectFollowers(
  { name: aggregator, lines }: AggregatorSpecification,
): Followers {
  const all: Follower[] = [];
  const byName = new Map<string, Follower>();
  const byNumber = new Map<number, Follower>();
  for (const [lineNumber, line] of lines.entries()) {
    const reference = findReference(line.source);
    if (reference === undefined) continue;
    const follower = { aggregator, line, reference };
    all.push(follower);
    byNumber.set(lineNumber, follower);
  }
  if (all.length > 0) {
    for (const [name, lineNumber] of knownNames(lines)) {
      const follower = byNumber.get(lineNumber);
      if (follower !== undefined) byName.set(name, follower);
    }
  }
  return { all, byName, byNumber };
}

function checkChain(
  start: Follower,
  find: (reference: LineReference) => Follower | undefined,
): void {
  const chain: Follower[] = [];
  let at: Follower | undefined = start;
  while (at !== undefined) {
    if (at === start && chain.length > 0) {
      throw followerError(start, `is part of a cycle: ${shown(chain)}`);
    }
    chain.push(at);
    if (chain.length > MAX_FOLLOWED_LINES) {
      throw followerError(
        start,
        `is at the end of more than ${MAX_FOLLOWED_LINES} lines that follow ` +
          `each other: ${shown(chain.slice(0, 4))} -> …`,
      );
    }
    at = find(at.reference);
  }
}

function shown(chain: readonly Follower[]): string {
  return chain.map(({ aggregator, line }) =>
    `${aggregator}.${line.name ?? line.origin}`
  ).join(" -> ");
}

function followerError({ line }: Follower, problem: string): ConfigError {
  return new ConfigError(problem, {
    ...linePosition(line),
    hint: "Let it follow the first line of the chain",
  });
}
