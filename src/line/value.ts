/**
 * Logical value of a line, whatever chip or rule it comes from.
 *
 * @module
 */

/** A logical value: 1 is active, 0 is inactive, after active-low. */
export type Value = 0 | 1;
