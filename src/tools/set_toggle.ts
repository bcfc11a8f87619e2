/**
 * The sequence of `set --toggle`.
 *
 * @module
 */
import { parsePeriod } from "./numbers.ts";

/**
 * Reads the periods; a missing one between commas is 0.
 *
 * @throws {ToolError} If one is no period.
 *
 * **Units**: microseconds.
 */
export function parseToggles(text: string): number[] {
  return text.split(",").map((part) => part === "" ? 0 : parsePeriod(part));
}

/** What comes next: a wait, and then the lines are toggled, or it is the end. */
export interface ToggleStep {
  readonly waitUs: number;
  readonly end: boolean;
}

/**
 * The steps of a sequence: over and over, unless its last period is 0, which
 * ends it. Every value is held for `holdUs` at least.
 */
export function* toggleSteps(
  periodsUs: readonly number[],
  holdUs: number,
): Generator<ToggleStep, void> {
  for (let i = 0;; i = (i + 1) % periodsUs.length) {
    const waitUs = Math.max(periodsUs[i]!, holdUs);
    const end = i === periodsUs.length - 1 && periodsUs[i] === 0;
    yield { waitUs, end };
    if (end) return;
  }
}
