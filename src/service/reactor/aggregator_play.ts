/**
 * The plays of one aggregator, one after the other.
 *
 * @module
 */
import type { PlayState } from "../../client/play.ts";
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import type { PlayCommand } from "../messages/messages.ts";
import { type PinChange, pinsOf } from "./pin_changes.ts";
import { Player } from "./player.ts";

/** Plays steps of clients. */
export class AggregatorPlay implements Disposable {
  readonly #loop: EventLoop;
  readonly #aggregator: Aggregator;
  #player: Player | undefined;
  /** Tells the present play from others. */
  #id: string | undefined;
  /** Time 0 of the present play. **Units**: nanoseconds, monotonic. */
  #from = 0;

  /** Makes it without a play. */
  constructor(loop: EventLoop, aggregator: Aggregator) {
    this.#loop = loop;
    this.#aggregator = aggregator;
  }

  /**
   * Adds steps, or cancels those that wait, and returns the state.
   *
   * @throws {RangeError} If there is no such line, it is not simulated, another
   * play is under way, or too many steps wait.
   */
  obey({ steps, isCancelled }: PlayCommand): PlayState {
    if (isCancelled === true) this.#player?.cancel();
    if (steps !== undefined) this.#add(steps);
    return this.#player?.state ??
      { waiting: 0, played: 0, medianLateUs: 0, worstLateUs: 0 };
  }

  #add({ id, from, list }: NonNullable<PlayCommand["steps"]>): void {
    const pins = new Map<string, readonly [PinChange, PinChange]>();
    const pinOf = (name: string, value: 0 | 1): PinChange => {
      let both = pins.get(name);
      if (both === undefined) {
        const [one] = pinsOf(this.#aggregator, [[name, 0]]);
        const { pin } = one!;
        both = [
          { ...one!, level: pin.levelFor(0) },
          { ...one!, level: pin.levelFor(1) },
        ];
        pins.set(name, both);
      }
      return both[value];
    };
    const changes = list.map(({ line, value }) => pinOf(line, value));
    if (id !== this.#id) {
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
    this.#player!.add(changes.map((change, i) => ({
      dueNs: this.#from + list[i]!.afterNs,
      change,
    })));
  }

  /** Plays no further. */
  [Symbol.dispose](): void {
    this.#player?.[Symbol.dispose]();
  }
}
