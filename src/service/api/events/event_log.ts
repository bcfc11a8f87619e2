/**
 * Events of the past for listeners that come back: the last ones, each with its
 * number.
 *
 * @module
 */

/** Events that are kept. */
const MAX_EVENTS = 1024;
/** Bytes of all of them. */
const MAX_BYTES = 1024 * 1024;

/** An event as it was sent. */
interface LoggedEvent<Event> {
  /** From 1 on, without a gap. */
  readonly number: number;
  readonly event: Event;
  readonly bytes: Uint8Array;
}

/** Place of a listener: run of the service, last event, and its edges. */
export interface EventPosition {
  readonly number: number;
  /** Text of an edge cursor; empty if it did not ask for edges. */
  readonly edges: string;
}

/** The last events of one run of a service. */
export class EventLog<Event> {
  /** Identifies this run: a number means nothing in another one. */
  readonly #run = crypto.randomUUID().slice(0, 8);
  readonly #events: LoggedEvent<Event>[] = [];
  #bytes = 0;
  #last = 0;

  /** Keeps one more event. */
  add(event: Event, bytes: Uint8Array): void {
    this.#events.push({ number: ++this.#last, event, bytes });
    this.#bytes += bytes.length;
    while (this.#events.length > MAX_EVENTS || this.#bytes > MAX_BYTES) {
      this.#bytes -= this.#events.shift()!.bytes.length;
    }
  }

  /** Events after a number that are kept, and the number of the others. */
  after(number: number): {
    events: readonly LoggedEvent<Event>[];
    lost: number;
  } {
    const events = this.#events.filter((one) => one.number > number);
    return { events, lost: Math.max(0, this.#last - number - events.length) };
  }

  /** Returns the id of the last event, for a listener with this edge cursor. */
  id(edges = ""): string {
    return `${this.#run}.${this.#last}${edges === "" ? "" : `.${edges}`}`;
  }

  /**
   * Returns the place that an id stands for; undefined for one of another run,
   * or none at all.
   */
  parseId(id: string): EventPosition | undefined {
    const match = /^([0-9a-f]{8})\.(\d{1,15})(?:\.([0-9:_]{1,4096}))?$/.exec(
      id,
    );
    if (match === null || match[1] !== this.#run) return undefined;
    const number = Number(match[2]);
    return number > this.#last ? undefined : { number, edges: match[3] ?? "" };
  }
}
