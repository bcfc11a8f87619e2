/**
 * Waits for the lines of aggregators that end to be in their declared state.
 *
 * @module
 */
import { sleep } from "../../async/wait.ts";
import type { UnsafeLineState } from "../messages/messages.ts";
import { SAFE_LIMIT_MS } from "../messages/unsafe_lines_error.ts";
import type { ReactorCommands } from "./reactor_commands.ts";

/** First and longest interval of checks. **Units**: milliseconds. */
const FIRST_LOOK_MS = 5;
const LOOK_MS = 100;
/** Interval of checks of lines that did not reach it in time. **Units**: ms. */
const FINISH_LOOK_MS = 1000;

/** Aggregators of one reactor that end. */
export class Withdrawals {
  readonly #commands: Pick<ReactorCommands, "ask">;
  /** Aggregators that are removed as soon as their lines are safe. */
  readonly #finishing = new Set<string>();

  /** Asks the reactor by `commands`. */
  constructor(commands: Pick<ReactorCommands, "ask">) {
    this.#commands = commands;
  }

  /**
   * Ends guests' use of an aggregator, or of all, and waits until the lines are
   * as declared, which is retried; the wait has a limit.
   *
   * @returns Lines that are not.
   */
  async untilSafe(
    which: { name?: string; isWhole?: boolean },
    limitMs = SAFE_LIMIT_MS,
  ): Promise<UnsafeLineState[]> {
    const deadline = performance.now() + limitMs;
    for (let lookMs = FIRST_LOOK_MS;; lookMs = Math.min(2 * lookMs, LOOK_MS)) {
      const unsafe = await this.#withdraw(which);
      const isOver = !unsafe.some(({ isRetried }) => isRetried) ||
        performance.now() + lookMs > deadline;
      if (isOver) return unsafe;
      await sleep(lookMs);
    }
  }

  /**
   * Removes an aggregator as soon as its lines are in their declared state, and
   * calls `removed` then.
   */
  finishLater(
    name: string,
    isWhole: boolean,
    { remove, removed }: {
      remove: () => Promise<unknown>;
      removed: () => void;
    },
  ): void {
    if (this.#finishing.has(name)) return;
    this.#finishing.add(name);
    const finish = async () => {
      while ((await this.#withdraw({ name, isWhole })).length > 0) {
        await sleep(FINISH_LOOK_MS);
      }
      await remove();
    };
    finish().then(
      removed,
      // Another request removed it meanwhile, or the reactor has ended.
      () => {},
    ).finally(() => this.#finishing.delete(name));
  }

  async #withdraw(
    which: { name?: string; isWhole?: boolean },
  ): Promise<UnsafeLineState[]> {
    const { unsafe = [] } = await this.#commands.ask({
      kind: "withdraw",
      ...which,
    });
    return unsafe;
  }
}
