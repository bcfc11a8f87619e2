/**
 * Values of lines of a running service, as its events tell them.
 *
 * @module
 */
import type { ServiceClient } from "../../client/client.ts";
import { ServiceError } from "../../client/client.ts";
import type { AggregatorState, ApiEvent } from "../../client/protocol.ts";

/** A line's value from now on. */
interface LineValue {
  readonly aggregator: string;
  readonly lineNumber: number;
  /** Undefined if it is not known, or the line is gone. */
  readonly value: 0 | 1 | undefined;
}

/** Aggregators of a service with their lines' values. */
export class LiveLines {
  readonly #client: ServiceClient;
  readonly #hasEdges: boolean;
  readonly #aggregators = new Map<string, AggregatorState>();

  /**
   * Begins without aggregators; those that come are asked for at `client`.
   *
   * @param hasEdges True if the events have each edge.
   */
  constructor(client: ServiceClient, hasEdges: boolean) {
    this.#client = client;
    this.#hasEdges = hasEdges;
  }

  /** The aggregators; the values in them are those of their first sight. */
  get aggregators(): AggregatorState[] {
    return [...this.#aggregators.values()];
  }

  /** Returns the values that an event reports, in order. */
  async take(event: ApiEvent): Promise<LineValue[]> {
    switch (event.event) {
      case "snapshot":
        this.#aggregators.clear();
        return event.aggregators.flatMap((one) => this.#add(one));
      case "created": {
        const one = await this.#ask(event.aggregator);
        return one === undefined ? [] : this.#add(one);
      }
      case "removed": {
        const { lines = [] } = this.#aggregators.get(event.aggregator) ?? {};
        this.#aggregators.delete(event.aggregator);
        return lines.map(({ lineNumber }) => ({
          aggregator: event.aggregator,
          lineNumber,
          value: undefined,
        }));
      }
      case "edges":
        return event.edges.map((
          { aggregator, lineNumber, present, value },
        ) => ({ aggregator, lineNumber, value: present ? value : undefined }));
      case "lines":
        // They are older than the edges that came before.
        if (this.#hasEdges) return [];
        return event.lines.map(({ lineNumber, value }) => ({
          aggregator: event.aggregator,
          lineNumber,
          value: bit(value),
        }));
      default:
        return [];
    }
  }

  #add(aggregator: AggregatorState): LineValue[] {
    this.#aggregators.set(aggregator.name, aggregator);
    return aggregator.lines.map(({ lineNumber, value }) => ({
      aggregator: aggregator.name,
      lineNumber,
      value: bit(value),
    }));
  }

  /** Returns an aggregator; undefined if it is gone already. */
  async #ask(name: string): Promise<AggregatorState | undefined> {
    try {
      return await this.#client.show(name);
    } catch (error) {
      if (error instanceof ServiceError && error.status === 404) return;
      throw error;
    }
  }
}

function bit(value: number | undefined): 0 | 1 | undefined {
  return value === 0 || value === 1 ? value : undefined;
}
