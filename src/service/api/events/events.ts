/**
 * The event stream of the control API: server-sent events to any number of
 * listeners. One that does not read costs a bounded amount of memory and
 * delays no other.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import type { ApiEvent } from "../../../client/protocol.ts";
import {
  beginStream,
  EVENT_STREAM_TYPE,
} from "../../../http/paced_connection.ts";
import { EdgeFeeds, type EdgeSubscription } from "./edge_feed.ts";
import { EventLog, type EventPosition } from "./event_log.ts";
import type { EdgeStore } from "../../record/edge_store.ts";
import { printableJson } from "../../../text/printable.ts";

/** Bytes that a listener may leave unread before events are left out. */
const MAX_UNREAD_BYTES = 64 * 1024;
/** The same for all listeners together: then each has an equal part. */
const MAX_ALL_UNREAD_BYTES = 16 * 1024 * 1024;
/** Time for which a listener may read nothing before it is disconnected. **Units**: ms. */
const STALL_LIMIT_MS = 60_000;
/**
 * Time limit for a listener to read its first event: the state of all lines is
 * larger than what is kept of any other. **Units**: ms.
 */
const FIRST_LIMIT_MS = 10_000;
/** Interval of comments that keep a connection alive. **Units**: ms. */
const COMMENT_MS = 15_000;

/** Choices of a listener of events. */
interface EventSubscription {
  /** Edges too. */
  readonly edges?: EdgeSubscription | undefined;
  /** Place of the last event that it had. */
  readonly after?: EventPosition | undefined;
}

interface Listener {
  response: ServerResponse;
  /** Only what concerns this aggregator; undefined: everything. */
  aggregator: string | undefined;
  /** Events left out since it stopped reading. */
  lost: number;
  stalled: ReturnType<typeof setTimeout> | undefined;
}

/** Events since a state was described, for those that are sent that state. */
export class EventsSince {
  readonly events: { event: ApiEvent; bytes: Uint8Array }[] = [];
  readonly #onClose: (self: EventsSince) => void;
  #bytes = 0;
  /** Events beyond the limit. */
  lost = 0;

  /** Gathers from now on. */
  constructor(onClose: (self: EventsSince) => void) {
    this.#onClose = onClose;
  }

  /** Adds an event; too many are only counted. */
  push(event: ApiEvent, bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_UNREAD_BYTES) this.lost++;
    else this.events.push({ event, bytes });
  }

  /** Gathers no more. */
  close(): void {
    this.#onClose(this);
  }
}

/** All listeners of one service. */
export class EventHub implements Disposable {
  readonly #listeners = new Set<Listener>();
  readonly #onInterest: (isWatched: boolean) => void;
  readonly #firstLimitMs: number;
  readonly #gathering = new Set<EventsSince>();
  readonly #log = new EventLog<ApiEvent>();
  readonly #feeds: EdgeFeeds | undefined;
  #comments: ReturnType<typeof setInterval> | undefined;
  #lost = 0;

  /**
   * Makes a hub without listeners.
   *
   * @param onInterest Called when the first listener comes and the last one goes.
   * @param firstLimitMs Time that a listener has to read its first event.
   * @param edges Records of edges; without them there are no edges to send.
   */
  constructor(
    onInterest: (isWatched: boolean) => void,
    firstLimitMs = FIRST_LIMIT_MS,
    edges?: EdgeStore,
  ) {
    this.#onInterest = onInterest;
    this.#firstLimitMs = firstLimitMs;
    this.#feeds = edges && new EdgeFeeds(
      edges,
      (cursor) => this.#log.id(cursor),
      (count) => this.#lost += count,
    );
  }

  /** Place of the event with this id; undefined for none of this service. */
  parseId(id: string): EventPosition | undefined {
    return this.#log.parseId(id);
  }

  /** Number of listeners. */
  get size(): number {
    return this.#listeners.size;
  }

  /** Events that listeners missed, since they did not read; all of them. */
  get lost(): number {
    return this.#lost;
  }

  /** Gathers the events from now on, until that is closed. */
  since(): EventsSince {
    const since = new EventsSince((self) => this.#gathering.delete(self));
    this.#gathering.add(since);
    return since;
  }

  /**
   * Makes a response an event stream, until its connection closes.
   *
   * @param first Snapshot from its list of aggregators on; it is shared.
   * @param since Events that happened while it was made.
   * @param onRead Called once the client has read the snapshot, if it does.
   */
  add(
    response: ServerResponse,
    aggregator: string | undefined,
    first: Uint8Array,
    since?: EventsSince,
    onRead: () => void = () => {},
    { edges, after }: EventSubscription = {},
  ): void {
    const { socket } = response;
    // It may have gone while its snapshot was made: it would never be removed.
    if (response.destroyed || socket === null || socket.destroyed) return;
    const listener: Listener = {
      response,
      aggregator,
      lost: 0,
      stalled: undefined,
    };
    beginStream(response, 200, EVENT_STREAM_TYPE);
    if (edges !== undefined) this.#feeds?.add(response, edges);
    if (after !== undefined) this.#resume(listener, after);
    response.write(`${this.#idLine(listener)}${SNAPSHOT_HEAD}${Date.now()},`);
    if (response.write(first, onRead) === false) {
      this.#stall(listener, this.#firstLimitMs);
    }
    response.on("drain", () => this.#goOn(listener));
    response.on("close", () => this.#remove(listener));
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#onInterest(true);
    this.#comments ??= setInterval(() => this.#comment(), COMMENT_MS);
    for (const { event, bytes } of since?.events ?? []) {
      // What is kept it has already, if it came back.
      const isNew = after === undefined || event.event === "lines";
      if (isNew && concerns(listener, event)) {
        this.#write(listener, joined(this.#idLine(listener), bytes));
      }
    }
    if (since !== undefined && since.lost > 0) this.#lose(listener, since.lost);
    // A closed one is done; nothing else shows that before an event does.
    const end = () => {
      this.#remove(listener);
      response.end();
    };
    if (socket.readableEnded) end();
    else socket.once("end", end);
  }

  /** Notifies all listeners that it concerns. */
  publish(happened: ApiEvent): void {
    const event = { time: Date.now(), ...happened };
    // A snapshot says what lines are.
    const isKept = event.event !== "lines";
    const isHeard = this.#listeners.size > 0 || this.#gathering.size > 0;
    if (!isKept && !isHeard) return;
    // Once for all: what waits for a thousand listeners is one piece of memory.
    const bytes = encodeEvent(event);
    this.#feeds?.look();
    if (isKept) this.#log.add(event, bytes);
    const withId = joined(`id: ${this.#log.id()}\n`, bytes);
    for (const since of this.#gathering) since.push(event, bytes);
    const limit = this.#limit();
    for (const listener of this.#listeners) {
      if (!concerns(listener, event)) continue;
      const id = this.#feeds?.idLine(listener.response);
      this.#send(
        listener,
        id === undefined ? withId : joined(id, bytes),
        limit,
      );
    }
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    this.#feeds?.[Symbol.dispose]();
    clearInterval(this.#comments);
    for (const { response } of this.#listeners) response.end();
  }

  /** Sends the events that a listener has missed since it was there. */
  #resume(listener: Listener, { number }: EventPosition): void {
    const { events, lost } = this.#log.after(number);
    if (lost > 0) {
      listener.response.write(
        encodeEvent({ event: "lost", count: lost, time: Date.now() }),
      );
    }
    for (const { event, bytes } of events) {
      if (concerns(listener, event)) listener.response.write(bytes);
    }
  }

  #idLine({ response }: Listener): string {
    return this.#feeds?.idLine(response) ?? `id: ${this.#log.id()}\n`;
  }

  /** Shows proxies, and listeners that have gone, that the stream is alive. */
  #comment(): void {
    for (const { response } of this.#listeners) {
      if (response.writableLength === 0) response.write(COMMENT);
    }
  }

  #remove(listener: Listener): void {
    clearTimeout(listener.stalled);
    this.#feeds?.remove(listener.response);
    if (!this.#listeners.delete(listener)) return;
    if (this.#listeners.size > 0) return;
    clearInterval(this.#comments);
    this.#comments = undefined;
    this.#onInterest(false);
  }

  /** Returns what each listener may leave unread by now. **Units**: bytes. */
  #limit(): number {
    let unread = 0;
    let behind = 0;
    for (const { response: { writableLength } } of this.#listeners) {
      if (writableLength === 0) continue;
      unread += Math.min(writableLength, MAX_UNREAD_BYTES);
      behind++;
    }
    return unread <= MAX_ALL_UNREAD_BYTES
      ? MAX_UNREAD_BYTES
      : MAX_ALL_UNREAD_BYTES / behind;
  }

  #send(listener: Listener, bytes: Uint8Array, limit: number): void {
    const { response, lost } = listener;
    if (lost > 0 || response.writableLength > limit) this.#lose(listener, 1);
    else this.#write(listener, bytes);
  }

  #write(listener: Listener, bytes: Uint8Array): void {
    if (listener.response.write(bytes) === false) this.#stall(listener);
  }

  #lose(listener: Listener, count: number): void {
    const isFirst = listener.lost === 0;
    listener.lost += count;
    this.#lost += count;
    this.#stall(listener);
    // The limit may be below the mark at which "drain" follows: a comment's own
    // end is waited for.
    if (isFirst) listener.response.write(COMMENT, () => this.#goOn(listener));
  }

  /** Ends a listener that reads nothing for a while. */
  #stall(listener: Listener, limitMs = STALL_LIMIT_MS): void {
    listener.stalled ??= setTimeout(
      () => listener.response.destroy(),
      limitMs,
    );
  }

  #goOn(listener: Listener): void {
    clearTimeout(listener.stalled);
    listener.stalled = undefined;
    if (listener.lost === 0 || !this.#listeners.has(listener)) return;
    const count = listener.lost;
    listener.lost = 0;
    listener.response.write(
      encodeEvent({ event: "lost", count, time: Date.now() }),
    );
  }
}

/** Returns an event with the line of its id before it. */
function joined(idLine: string, bytes: Uint8Array): Uint8Array {
  const line = new TextEncoder().encode(idLine);
  const all = new Uint8Array(line.length + bytes.length);
  all.set(line);
  all.set(bytes, line.length);
  return all;
}

/** Begin of a snapshot; its time and the aggregators follow. */
const SNAPSHOT_HEAD = 'event: snapshot\ndata: {"event":"snapshot","time":';

/** Line that clients ignore. */
const COMMENT = new TextEncoder().encode(":\n");

/** Encodes an event, once for all listeners. */
function encodeEvent(event: ApiEvent): Uint8Array {
  return new TextEncoder().encode(
    `event: ${event.event}\ndata: ${printableJson(event)}\n\n`,
  );
}

function concerns({ aggregator }: Listener, event: ApiEvent): boolean {
  return aggregator === undefined || !("aggregator" in event) ||
    event.aggregator === aggregator;
}
