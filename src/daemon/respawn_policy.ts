/**
 * Whether, and when, a VM that ended is started again.
 *
 * @module
 */

/** When a VM is started again. */
export type RespawnRule = "never" | "always" | "on-failure";

/** All rules, for messages. */
export const RESPAWN_RULES: readonly RespawnRule[] = [
  "never",
  "always",
  "on-failure",
];

/** First and longest wait before a VM is started again. **Units**: ms. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 30_000;
/** A VM that ran so long was all right. **Units**: milliseconds. */
const GOOD_RUN_MS = 10_000;

/** How a VM ended. */
export interface VmEnd {
  success: boolean;
  /** How long it ran. **Units**: milliseconds. */
  ranMs: number;
}

/** Keeps count of failures in a row. */
export class RespawnPolicy {
  readonly #rule: RespawnRule;
  #delayMs = FIRST_DELAY_MS;

  /** Makes the policy of one VM. */
  constructor(rule: RespawnRule) {
    this.#rule = rule;
  }

  /**
   * How long to wait before the VM is started again; undefined: not at all.
   *
   * The wait doubles from 0.1 s to 30 s while VMs end within 10 s.
   *
   * **Units**: milliseconds.
   */
  delayAfter({ success, ranMs }: VmEnd): number | undefined {
    if (this.#rule === "never") return undefined;
    if (this.#rule === "on-failure" && success) return undefined;
    if (ranMs >= GOOD_RUN_MS) this.#delayMs = FIRST_DELAY_MS;
    const delay = this.#delayMs;
    this.#delayMs = Math.min(LONGEST_DELAY_MS, 2 * this.#delayMs);
    return delay;
  }
}
