/**
 * A real guest whose program sets an output to what its input has become, and the
 * page in which that program notes when it did so.
 *
 * @module
 */
import { readMonotonicNs } from "../../ffi/clock.ts";
import type { Mapping } from "../../ffi/mapping.ts";
import { SHARED } from "./echo_program.ts";
import { LIMIT_MS } from "./effort.ts";
import {
  GuestClock,
  type Moment,
  narrowest,
  type Reading,
} from "./guest_clock.ts";
import { type Round, summarize } from "./statistics.ts";

/** Ping-pongs of which the shortest counts. */
const PINGS = 300;
/** A wait for a pong looks at the host's clock this seldom. */
const LOOKS = 1 << 16;
/** The shortest times are some hundreds. **Units**: microseconds. */
const MAX_UNCERTAINTY_US = 50;
const NS_PER_US = 1000;
const NS_PER_MS = 1_000_000;

/** The other end of the guest's lines. */
export interface Wire {
  /** Drives the guest's input. */
  set(level: number): void;
  /** Waits until the guest's output has changed. */
  waitEdge(): void;
}

/** Times of a round of changes. **Units**: microseconds. */
export interface EchoRound {
  /** From the wire's change until the guest's program has read the event. */
  readonly event: Round;
  /** From the program's request to set its output until the wire shows it. */
  readonly set: Round;
  /** From the wire's change until the wire shows the output's. */
  readonly echo: Round;
  /** Uncertainty of `event` and `set`, by that of the guest's clock. */
  readonly uncertainty: number;
  /** False if `event` and `set` are worth nothing. */
  readonly isExact: boolean;
}

/** **Ownership**: the page is its own; the wire is not. */
export class EchoGuest implements Disposable {
  readonly #page: Mapping;
  readonly #words: Int32Array;
  readonly #wire: Wire;
  readonly #now = new Float64Array(1);
  #level = 0;
  #lastPing = 0;

  /** @param page The program's, which waits for its first event. */
  constructor(page: Mapping, wire: Wire) {
    this.#page = page;
    this.#words = new Int32Array(page.buffer);
    this.#wire = wire;
  }

  /**
   * Changes the input to and fro, and waits each time until it has come back.
   *
   * @throws {Error} if the program does not answer, or not once to each change.
   */
  round(count: number): EchoRound {
    const starts = new Float64Array(count);
    const events = new Float64Array(count);
    const sets = new Float64Array(count);
    const ends = new Float64Array(count);
    const first = this.#compareClocks();
    let middle: Moment | undefined;
    for (let i = 0; i < count; i++) {
      if (i === count >> 1) middle = this.#compareClocks();
      const seen = this.#words[SHARED.count / 4]!;
      starts[i] = this.#nowNs();
      this.#change();
      this.#wire.waitEdge();
      ends[i] = this.#nowNs();
      if (this.#words[SHARED.count / 4] !== seen + 1) {
        throw new Error("The guest's program did not see one event");
      }
      events[i] = this.#guestNs(SHARED.eventTime);
      sets[i] = this.#guestNs(SHARED.setTime);
    }
    const clock = new GuestClock(first, this.#compareClocks(), [middle!]);
    const toHost = (times: Float64Array) =>
      times.map((time) => clock.hostTime(time));
    const event = between(starts, toHost(events));
    const set = between(toHost(sets), ends);
    const uncertainty = clock.uncertainty / NS_PER_US;
    // No effect comes before its cause.
    const isCausal = [...event, ...set].every((time) => time >= -uncertainty);
    return {
      event: summarize(event),
      set: summarize(set),
      echo: summarize(between(starts, ends)),
      uncertainty,
      isExact: isCausal && uncertainty <= MAX_UNCERTAINTY_US,
    };
  }

  [Symbol.dispose](): void {
    this.#page[Symbol.dispose]();
  }

  #change(): void {
    this.#level ^= 1;
    this.#wire.set(this.#level);
  }

  /** The program looks at the page meanwhile, and waits for no event. */
  #compareClocks(): Moment {
    const readings: Reading[] = [];
    Atomics.store(this.#words, SHARED.ping / 4, ++this.#lastPing);
    // It looks before this event or after it: it may be busy with the last one.
    this.#change();
    this.#waitPong();
    for (let i = 0; i < PINGS; i++) {
      const ping = ++this.#lastPing;
      const before = this.#nowNs();
      Atomics.store(this.#words, SHARED.ping / 4, ping);
      this.#waitPong();
      const after = this.#nowNs();
      readings.push({ before, guest: this.#guestNs(SHARED.pongTime), after });
    }
    Atomics.store(this.#words, SHARED.ping / 4, 0);
    this.#wire.waitEdge();
    return narrowest(readings);
  }

  #waitPong(): void {
    const end = this.#nowNs() + LIMIT_MS * NS_PER_MS;
    for (let looks = 1;; looks++) {
      const pong = Atomics.load(this.#words, SHARED.pong / 4);
      if (pong === this.#lastPing) return;
      if (looks % LOOKS === 0 && this.#nowNs() > end) {
        throw new Error("The guest's program does not answer");
      }
    }
  }

  #nowNs(): number {
    readMonotonicNs(this.#now);
    return this.#now[0]!;
  }

  /** A struct timespec. **Units**: nanoseconds. */
  #guestNs(offset: number): number {
    const seconds = this.#words[offset / 4]!;
    return seconds * 1e9 + this.#words[offset / 4 + 2]!;
  }
}

/** Times from the ones to the others, of nanoseconds. **Units**: µs. */
function between(starts: Float64Array, ends: Float64Array): Float64Array {
  return ends.map((end, i) => (end - starts[i]!) / NS_PER_US);
}
