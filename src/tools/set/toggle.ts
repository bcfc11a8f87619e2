/**
 * The sequence of `set --toggle`.
 *
 * @module
 */
import { parsePeriod } from "../program/numbers.ts";

/**
 * Parses the periods; a missing one between commas is 0.
 *
 * @throws {ToolError} If one is not a period.
 *
 * **Units**: microseconds.
 */
export function parseToggles(text: string): number[] {
  return text.split(",").map((part) => part === "" ? 0 : parsePeriod(part));
}

/** Next step: a wait, after which the lines are toggled, or the end. */
interface ToggleStep {
  readonly waitUs: number;
  readonly end: boolean;
}

/**
 * Yields the steps of a sequence, which repeats unless its last period is 0.
 * Every value is held for at least `holdUs`.
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
