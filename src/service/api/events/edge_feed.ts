/**
 * Edges for listeners of events, out of the record: a listener that reads slowly
 * gets all of them later, for as long as the record has them.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import { printableJson } from "../../../text/printable.ts";
import type { EdgeCursor, LineFilter } from "../../record/edge_cursor.ts";
import type { EdgeStore } from "../../record/edge_store.ts";
import { decodeEdge, isEdge } from "../../record/stored_edge.ts";

/** Interval of looks for new edges. **Units**: milliseconds. */
const LOOK_MS = 20;
/** Edges of one event. */
const EDGES_PER_EVENT = 256;
/** Time of one look at all listeners. **Units**: milliseconds. */
const SLICE_MS = 4;
/** Bytes that a listener may leave unread before it gets no more. */
const MAX_UNREAD_BYTES = 128 * 1024;
/** Time for which a listener may read nothing while there are edges. **Units**: ms. */
const STALL_LIMIT_MS = 60_000;

/** Edges that a listener wants, and its place among them. */
export interface EdgeSubscription {
  readonly cursor: EdgeCursor;
  readonly filter: LineFilter | undefined;
}

interface Feed extends EdgeSubscription {
  readonly response: ServerResponse;
  /** Time since when it reads nothing; undefined: it reads. */
  stalledSince: number | undefined;
}

/** All listeners of edges of one service. */
export class EdgeFeeds implements Disposable {
  readonly #store: EdgeStore;
  readonly #composeId: (edges: string) => string;
  readonly #onLost: (count: number) => void;
  readonly #feeds = new Map<ServerResponse, Feed>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * Makes a feed without listeners.
   *
   * @param composeId Returns the id of an event for a listener with this cursor.
   * @param onLost Called with the number of edges that a listener missed.
   */
  constructor(
    store: EdgeStore,
    composeId: (edges: string) => string,
    onLost: (count: number) => void,
  ) {
    this.#store = store;
    this.#composeId = composeId;
    this.#onLost = onLost;
  }

  /** Sends edges too to a listener of events, until `remove`. */
  add(response: ServerResponse, subscription: EdgeSubscription): void {
    this.#feeds.set(response, {
      ...subscription,
      response,
      stalledSince: undefined,
    });
    this.#timer ??= setInterval(() => this.look(), LOOK_MS);
  }

  /** Sends no more edges to it. */
  remove(response: ServerResponse): void {
    this.#feeds.delete(response);
    if (this.#feeds.size === 0) this[Symbol.dispose]();
  }

  /** Returns the line with an event's id for this listener. */
  idLine(response: ServerResponse): string | undefined {
    const feed = this.#feeds.get(response);
    return feed && `id: ${this.#composeId(String(feed.cursor))}\n`;
  }

  /** Sends what is new, so that an event that follows comes after its causes. */
  look(): void {
    const until = performance.now() + SLICE_MS;
    for (const feed of [...this.#feeds.values()]) {
      while (this.#send(feed) && performance.now() < until);
      // The others come first next time.
      if (performance.now() >= until) {
        if (this.#feeds.delete(feed.response)) {
          this.#feeds.set(feed.response, feed);
        }
        return;
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Sends some edges; true if there may be more. */
  #send(feed: Feed): boolean {
    const { response, cursor, filter } = feed;
    if (!cursor.isBehind) return false;
    if (response.writableLength > MAX_UNREAD_BYTES) {
      feed.stalledSince ??= performance.now();
      if (performance.now() - feed.stalledSince > STALL_LIMIT_MS) {
        response.destroy();
      }
      return false;
    }
    feed.stalledSince = undefined;
    const { edges: stored, lost } = cursor.read(EDGES_PER_EVENT, filter);
    const id = `id: ${this.#composeId(String(cursor))}\n`;
    if (lost > 0) {
      this.#onLost(lost);
      const event = { event: "lost", count: lost, time: Date.now() };
      response.write(
        `${id}event: lost\ndata: ${printableJson(event)}\n\n`,
      );
    }
    const { offset } = this.#store;
    const edges = stored.filter(isEdge).map((edge) => decodeEdge(edge, offset));
    if (edges.length > 0) {
      const event = { event: "edges", time: Date.now(), edges };
      response.write(
        `${id}event: edges\ndata: ${printableJson(event)}\n\n`,
      );
    }
    return cursor.isBehind;
  }
}
