/**
 * Decides if and when a VM that ended is started again.
 *
 * @module
 */

/** Conditions for starting a VM again. */
export type RespawnRule = "never" | "always" | "on-failure";

/** All rules, for messages. */
export const RESPAWN_RULES: readonly RespawnRule[] = [
  "never",
  "always",
  "on-failure",
];

/** First and longest delay before a VM is started again. **Units**: ms. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 30_000;
/** Runtime after which a VM counts as healthy. **Units**: milliseconds. */
const GOOD_RUN_MS = 10_000;

/** The end of a VM. */
interface VmEnd {
  success: boolean;
  /** Its runtime. **Units**: milliseconds. */
  ranMs: number;
}

/** Counts consecutive failures. */
export class RespawnPolicy {
  readonly #rule: RespawnRule;
  #delayMs = FIRST_DELAY_MS;

  /** Makes the policy of one VM. */
  constructor(rule: RespawnRule) {
    this.#rule = rule;
  }

  /**
   * Returns the delay before the VM is started again; undefined: not at all.
   *
   * The delay doubles from 0.1 s to 30 s while VMs end within 10 s.
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
