/**
 * The lines that follow one line, and how they learn of its changes.
 *
 * @module
 */
import type { EventLoop } from "../../reactor/event_loop.ts";

/** Followers that are notified at a time; more wait for later turns. */
const NOTIFIED_AT_ONCE = 256;

/** A line that follows another one. */
export interface Follower {
  /**
   * The followed line's direction or value may have changed.
   *
   * @param edge The value after an edge, if it was reported by one.
   */
  followedChanged(edge?: number): void;
}

/**
 * Followers of one line. Up to {@linkcode NOTIFIED_AT_ONCE} are notified of each change
 * at once. More would hold up every other guest: the rest is notified in later
 * turns, and of the line as it is by then, so that changes in quick succession
 * are one change to those. None sees an older state after a newer one.
 */
export class Followers {
  readonly #loop: EventLoop;
  /** Another list when one comes or goes: a pass through it goes on. */
  #all: readonly Follower[] = [];
  /** The one that is notified next. */
  #next = 0;
  /** Number of those, from the next one on and around, not notified yet. */
  #left = 0;
  #edge: number | undefined;
  #willGoOn = false;

  /** Makes an empty list; `loop` is where many followers are notified. */
  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** Number of followers. */
  get size(): number {
    return this.#all.length;
  }

  /** Adds a follower. */
  add(follower: Follower): void {
    this.#all = [...this.#all, follower];
    // It may come between those that are not notified yet.
    if (this.#left > 0) this.#left++;
  }

  /** Removes a follower; false if there is no such one. */
  delete(follower: Follower): boolean {
    const index = this.#all.indexOf(follower);
    if (index < 0) return false;
    this.#all = this.#all.filter((one) => one !== follower);
    if (index < this.#next) this.#next--;
    this.#left = Math.min(this.#left, this.#all.length);
    return true;
  }

  /** Notifies the followers of a change. */
  tell(edge?: number): void {
    this.#edge = edge;
    this.#left = this.#all.length;
    this.#tellSome();
  }

  /** Stops all notifications. */
  stop(): void {
    this.#left = 0;
  }

  #tellSome(): void {
    const all = this.#all;
    const edge = this.#edge;
    const count = Math.min(this.#left, NOTIFIED_AT_ONCE);
    // First, since one that is notified may change the line once more.
    const from = this.#next < all.length ? this.#next : 0;
    this.#left -= count;
    this.#next = from + count < all.length
      ? from + count
      : from + count - all.length;
    for (let i = from; i < from + count; i++) {
      all[i < all.length ? i : i - all.length]!.followedChanged(edge);
    }
    if (this.#left === 0 || this.#willGoOn) return;
    this.#willGoOn = true;
    this.#loop.defer(this.#goOn);
  }

  readonly #goOn = (): void => {
    this.#willGoOn = false;
    if (this.#left > 0) this.#tellSome();
  };
}
