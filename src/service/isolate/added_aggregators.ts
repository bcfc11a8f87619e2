/**
 * Record of the aggregators of one process at the service: enough to describe
 * them while there is no process, and to add them to the next one.
 *
 * @module
 */
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import type {
  AggregatorDescription,
  PendingLine,
} from "../messages/messages.ts";

/** An aggregator as it was added, and as it was described last. */
export interface Added {
  specification: AggregatorSpecification;
  options: { isTimed?: boolean };
  last: AggregatorDescription;
}

/** Why there is no process, and since when. **Units**: ms since 1970. */
export interface Down {
  readonly reason: string;
  readonly since: number;
}

/**
 * The aggregators of one process, by name.
 *
 * **Ownership**: of their given listening sockets.
 */
export class AddedAggregators {
  readonly #added = new Map<string, Added>();
  /** Names that are being added: the process reports them already. */
  readonly #coming = new Set<string>();
  /** Names of those that were to be removed. */
  readonly #ending = new Set<string>();
  /** Listening sockets of a service manager; each process gets a copy. */
  readonly #listeners = new Map<string, OwnedFd>();

  #mostLines = 0;

  /** Most lines that were there at a time, with those that were being added. */
  get mostLines(): number {
    return this.#mostLines;
  }

  /** Names of those that are added. */
  get names(): string[] {
    return [...this.#added.keys()];
  }

  /** Number of those that are added. */
  get size(): number {
    return this.#added.size;
  }

  /** Those that are added. */
  get all(): Added[] {
    return [...this.#added.values()];
  }

  /** Returns one of those that are added. */
  get(name: string): Added | undefined {
    return this.#added.get(name);
  }

  /**
   * Takes note of aggregators that are sent to the process now.
   *
   * **Ownership**: of the fds of listening sockets.
   */
  begin(aggregators: readonly AggregatorSpecification[]): void {
    for (const { name, vhostUser } of aggregators) {
      if (vhostUser === undefined || !("fd" in vhostUser)) continue;
      this.#listeners.set(name, new OwnedFd(vhostUser.fd, `socket of ${name}`));
    }
    for (const { name } of aggregators) this.#coming.add(name);
    const specifications = this.all.map(({ specification }) => specification);
    const lines = [...specifications, ...aggregators]
      .reduce((sum, { lines }) => sum + lines.length, 0);
    this.#mostLines = Math.max(this.#mostLines, lines);
  }

  /** The process has added them, and described them as `added`. */
  set(
    aggregators: readonly AggregatorSpecification[],
    options: { isTimed?: boolean },
    added: readonly AggregatorDescription[],
  ): void {
    for (const [i, specification] of aggregators.entries()) {
      const { name } = specification;
      this.#added.set(name, { specification, options, last: added[i]! });
    }
  }

  /** The attempt to add them is over. */
  end(aggregators: readonly AggregatorSpecification[]): void {
    for (const { name } of aggregators) this.#coming.delete(name);
  }

  /** Forgets an aggregator, and closes its listening socket. */
  delete(name: string): void {
    this.#added.delete(name);
    this.#ending.delete(name);
    this.#listeners.get(name)?.close();
    this.#listeners.delete(name);
  }

  /** One is to be removed, with its second exposure or alone. */
  ending(name: string): void {
    for (const { specification } of this.#added.values()) {
      const { name: own, secondOf } = specification;
      if (own === name || secondOf === name) this.#ending.add(own);
    }
  }

  /** Returns true for one that was to be removed. */
  isEnding(name: string): boolean {
    return this.#ending.has(name);
  }

  /** Closes the listening sockets. */
  closeListeners(): void {
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
  }

  /** Returns true for names that the process serves; others are not reported. */
  isOwn(name: string): boolean {
    return this.#added.has(name) || this.#coming.has(name);
  }

  /** Returns a specification with the listening socket as it is kept here. */
  withListener(
    specification: AggregatorSpecification,
  ): AggregatorSpecification {
    const listener = this.#listeners.get(specification.name);
    return listener === undefined
      ? specification
      : { ...specification, vhostUser: { fd: listener.fd } };
  }

  /** Describes one or all as last known, with the reason at each line. */
  asDown({ reason, since }: Down, name?: string): AggregatorDescription[] {
    return this.all
      .filter(({ last }) => name === undefined || last.name === name)
      .map(({ last }) => ({
        ...last,
        connected: false,
        lines: last.lines.map(({ value: _value, ...line }) => ({
          ...line,
          pendingRule: { rule: "declared state", reason, since },
        })),
      }));
  }

  /** Returns the rules of all their lines: none is known to hold. */
  pendingAsDown(down: Down | undefined): PendingLine[] {
    if (down === undefined) return [];
    return this.asDown(down).flatMap(({ name, lines }) =>
      lines.map(({ name: line, lineNumber, pendingRule }) => ({
        aggregator: name,
        line: line || String(lineNumber),
        ...pendingRule!,
      }))
    );
  }
}
