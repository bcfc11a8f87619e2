/**
 * Waits for a guest whose rings have stopped: within a limit it may be paused,
 * after it, or on better evidence, it is gone.
 *
 * To a backend a reset, a panic, an unloaded driver and a hot-unplugged device
 * look just like a pause: the VMM stops the rings, and says nothing more.
 *
 * @module
 */
import type { EventLoop, Timer } from "../reactor/event_loop.ts";

/** Time between two looks at the evidence. **Units**: milliseconds. */
const LOOK_EVERY_MS = 100;

/** Time for which a stopped driver counts as paused, by default. */
export const DEFAULT_PAUSED_FOR_MS = 3000;

/** Time for which a stopped driver counts as paused, or for ever. **Units**: ms. */
export type PausedFor = number | "keep";

/** Options of a {@linkcode PauseWatch}. */
interface PauseWatchOptions {
  /** The loop that it lives in. */
  readonly loop: EventLoop;
  /** Time for which the driver may be stopped. */
  readonly pausedFor: PausedFor;
  /** Looks for evidence that the guest is not paused; returns it in words. */
  readonly look: () => string | undefined;
  /** Called once, with the reason, when the guest counts as gone. */
  readonly onGone: (reason: string) => void;
}

/** Waits from its making on; disposing ends the wait. */
export class PauseWatch implements Disposable {
  readonly #options: PauseWatchOptions;
  #limit: Timer | undefined;
  #nextLook: Timer | undefined;

  /** Begins to wait. */
  constructor(options: PauseWatchOptions) {
    this.#options = options;
    const { loop, pausedFor } = options;
    if (pausedFor === "keep") return;
    this.#limit = loop.after(
      pausedFor,
      () => this.#end(limitReason(pausedFor)),
    );
    this.#nextLook = loop.after(LOOK_EVERY_MS, this.#look);
  }

  readonly #look = (): void => {
    const { loop, look } = this.#options;
    const evidence = look();
    if (evidence !== undefined) {
      this.#end(`its driver stopped, and it is not paused: ${evidence}`);
      return;
    }
    this.#nextLook = loop.after(LOOK_EVERY_MS, this.#look);
  };

  #end(reason: string): void {
    this[Symbol.dispose]();
    this.#options.onGone(reason);
  }

  [Symbol.dispose](): void {
    this.#limit?.[Symbol.dispose]();
    this.#limit = undefined;
    this.#nextLook?.[Symbol.dispose]();
    this.#nextLook = undefined;
  }
}

function limitReason(pausedForMs: number): string {
  return `its driver stopped and did not go on within ${
    pausedForMs / 1000
  } s (paused-for)`;
}
