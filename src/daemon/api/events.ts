/**
 * The event stream of the control API: server-sent events to any number of
 * listeners, of whom one that does not read costs a bounded amount of memory
 * and nobody else anything.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import type { ApiEvent } from "../../client/protocol.ts";
import { beginStream } from "./paced_connection.ts";

/** What a listener may leave unread before events are left out. */
const MAX_UNREAD_BYTES = 64 * 1024;
/** How long a listener may read nothing before it is let go. **Units**: ms. */
const STALL_LIMIT_MS = 60_000;

/** What an event stream is. */
export const EVENT_STREAM_TYPE = "text/event-stream";

interface Listener {
  response: ServerResponse;
  /** Only what concerns this aggregator; undefined: everything. */
  aggregator: string | undefined;
  /** Events left out since it stopped reading. */
  lost: number;
  stalled: ReturnType<typeof setTimeout> | undefined;
}

/** All listeners of one service. */
export class EventHub implements Disposable {
  readonly #listeners = new Set<Listener>();
  readonly #onInterest: (isWatched: boolean) => void;
  #lost = 0;

  /** `onInterest` hears when the first listener comes and the last one goes. */
  constructor(onInterest: (isWatched: boolean) => void) {
    this.#onInterest = onInterest;
  }

  /** How many listen. */
  get size(): number {
    return this.#listeners.size;
  }

  /** Events that listeners missed, since they did not read; all of them. */
  get lost(): number {
    return this.#lost;
  }

  /** Makes a response an event stream, until its connection closes. */
  add(
    response: ServerResponse,
    aggregator: string | undefined,
    first: ApiEvent,
  ): void {
    const { socket } = response;
    // It may have gone while its snapshot was made: nobody would take it out.
    if (response.destroyed || socket === null || socket.destroyed) return;
    const listener: Listener = {
      response,
      aggregator,
      lost: 0,
      stalled: undefined,
    };
    beginStream(response, 200, EVENT_STREAM_TYPE);
    response.write(encode(first));
    response.on("drain", () => this.#goOn(listener));
    response.on("close", () => this.#remove(listener));
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#onInterest(true);
    // One that is gone has said all, and nothing else tells before an event does.
    const end = () => {
      this.#remove(listener);
      response.end();
    };
    if (socket.readableEnded) end();
    else socket.once("end", end);
  }

  /** Tells everybody whom it concerns. */
  publish(event: ApiEvent): void {
    if (this.#listeners.size === 0) return;
    // Once for all: what waits for a thousand listeners is one piece of memory.
    const bytes = encode(event);
    for (const listener of this.#listeners) {
      if (
        listener.aggregator !== undefined && "aggregator" in event &&
        event.aggregator !== listener.aggregator
      ) continue;
      this.#send(listener, bytes);
    }
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    for (const { response } of this.#listeners) response.end();
  }

  #remove(listener: Listener): void {
    clearTimeout(listener.stalled);
    if (!this.#listeners.delete(listener)) return;
    if (this.#listeners.size === 0) this.#onInterest(false);
  }

  #send(listener: Listener, bytes: Uint8Array): void {
    const { response } = listener;
    if (
      listener.lost > 0 || response.writableLength > MAX_UNREAD_BYTES
    ) {
      listener.lost++;
      this.#lost++;
      listener.stalled ??= setTimeout(
        () => response.destroy(),
        STALL_LIMIT_MS,
      );
      return;
    }
    response.write(bytes);
  }

  #goOn(listener: Listener): void {
    clearTimeout(listener.stalled);
    listener.stalled = undefined;
    if (listener.lost === 0 || !this.#listeners.has(listener)) return;
    const count = listener.lost;
    listener.lost = 0;
    listener.response.write(encode({ event: "lost", count }));
  }
}

function encode(event: ApiEvent): Uint8Array {
  return new TextEncoder().encode(
    `event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`,
  );
}
