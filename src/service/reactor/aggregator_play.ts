/**
 * The plays of one aggregator, one after the other.
 *
 * @module
 */
import type { PlayState } from "../../client/play.ts";
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import type { Pieces } from "../../reactor/pieces.ts";
import type { PlayCommand } from "../messages/messages.ts";
import { type PinChange, toPinChanges } from "./pin_changes.ts";
import { Player } from "./player.ts";

/** Steps of one piece of work: the steps of this play must not wait for it. */
const CHECKED_PER_PIECE = 128;
const ADDED_PER_PIECE = 64;

/** Plays steps of clients. */
export class AggregatorPlay implements Disposable {
  readonly #loop: EventLoop;
  readonly #aggregator: Aggregator;
  #player: Player | undefined;
  /** Identifies the present play. */
  #id: string | undefined;
  /** Time 0 of the present play. **Units**: nanoseconds, monotonic. */
  #from = 0;

  /** Makes it without a play. */
  constructor(loop: EventLoop, aggregator: Aggregator) {
    this.#loop = loop;
    this.#aggregator = aggregator;
  }

  /**
   * Adds steps in pieces, or cancels those that wait, and returns the state.
   *
   * @throws {RangeError} If there is no such line, it is not simulated, another
   * play is under way, or too many steps wait.
   */
  *obey({ steps, isCancelled }: PlayCommand): Pieces<PlayState> {
    if (isCancelled === true) this.#player?.cancel();
    if (steps !== undefined) yield* this.#add(steps);
    return this.#player?.state ??
      { waiting: 0, played: 0, medianLateUs: 0, worstLateUs: 0 };
  }

  *#add({ id, from, list }: NonNullable<PlayCommand["steps"]>): Pieces {
    const pins = new Map<string, readonly [PinChange, PinChange]>();
    for (const [i, { line: name }] of list.entries()) {
      if (i % CHECKED_PER_PIECE === CHECKED_PER_PIECE - 1) yield;
      if (pins.has(name)) continue;
      const [one] = toPinChanges(this.#aggregator, [[name, 0]]);
      const { pin } = one!;
      pins.set(name, [
        { ...one!, level: pin.levelFor(0) },
        { ...one!, level: pin.levelFor(1) },
      ]);
    }
    if (id !== this.#id) this.#begin(id, from);
    const player = this.#player!;
    player.checkRoom(list.length);
    for (const [i, { line, value, afterNs }] of list.entries()) {
      if (i % ADDED_PER_PIECE === ADDED_PER_PIECE - 1) yield;
      player.add(this.#from + afterNs, pins.get(line)![value]);
    }
  }

  #begin(id: string, from: number): void {
    const { waiting = 0 } = this.#player?.state ?? {};
    if (waiting > 0) {
      throw new RangeError(
        `cannot play into ${this.#aggregator.name}: another play is under way`,
      );
    }
    this.#player?.[Symbol.dispose]();
    this.#player = new Player(this.#loop);
    this.#id = id;
    // The wall clock may be set in the midst of it.
    this.#from = from;
  }

  /** Plays no further. */
  [Symbol.dispose](): void {
    this.#player?.[Symbol.dispose]();
  }
}
