/**
 * Lengths of time that a view can show.
 *
 * @module
 */

/** **Units**: milliseconds. */
const STEPS = [
  100,
  200,
  500,
  1000,
  2000,
  5000,
  10_000,
  20_000,
  60_000,
  120_000,
  300_000,
  600_000,
  1_800_000,
  3_600_000,
];

/** Returns the next shorter (-1) or longer (1) length. **Units**: ms. */
export function nearbyStep(ms: number, direction: -1 | 1): number {
  const at = STEPS.findIndex((step) => step >= ms) + direction;
  return STEPS[Math.max(0, Math.min(STEPS.length - 1, at))]!;
}

/** Formats a length of time: `500 ms`, `10 s`, `5 min`. */
export function periodText(ms: number): string {
  if (ms < 1000) return `${Math.floor(ms)} ms`;
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
  return ms < 3_600_000
    ? `${Math.floor(ms / 60_000)} min`
    : `${Math.floor(ms / 3_600_000)} h`;
}
