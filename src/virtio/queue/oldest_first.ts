/**
 * Orders the entries of an in-flight log by their counters, in linear time: a
 * log may claim as many entries as the largest ring has, and whatever counters
 * its frontend wrote.
 *
 * @module
 */

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
const DIGIT_MASK = DIGITS - 1;
/** Up to here comparing is faster than counting digits. */
const FEW = 256;
/** Entries per step: some microseconds' work. */
export const ENTRIES_PER_STEP = 1024;

/** Heads with the 64-bit counters that order them, as two halves. */
export interface CountedHeads {
  /** Number of heads. */
  readonly count: number;
  /** The heads. */
  readonly heads: Uint16Array;
  /** Lower halves of their counters. */
  readonly low: Uint32Array;
  /** Upper halves of their counters. */
  readonly high: Uint32Array;
}

/**
 * Orders the heads, the one with the lowest counter first; each `yield` ends a
 * step.
 *
 * @returns Indices of the heads in their list, in order.
 */
export function* oldestFirst(
  { count, low, high }: CountedHeads,
): Generator<void, Uint16Array> {
  let order = new Uint16Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (count <= FEW) {
    order.sort((a, b) => high[a]! - high[b]! || low[a]! - low[b]!);
    return order;
  }
  for (const half of [low, high]) {
    // Digits that are the same in all counters order nothing.
    const differing = yield* differingBits(half, count);
    for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
      if (((differing >>> shift) & DIGIT_MASK) === 0) continue;
      order = yield* orderByDigit(order, half, shift);
    }
  }
  return order;
}

function* differingBits(
  keys: Uint32Array,
  count: number,
): Generator<void, number> {
  const first = keys[0]!;
  let bits = 0;
  for (let i = 0; i < count; i++) {
    if (i % ENTRIES_PER_STEP === 0) yield;
    bits |= keys[i]! ^ first;
  }
  return bits;
}

/** One pass of a radix sort; stable. */
function* orderByDigit(
  order: Uint16Array<ArrayBuffer>,
  keys: Uint32Array,
  shift: number,
): Generator<void, Uint16Array<ArrayBuffer>> {
  const ends = new Uint32Array(DIGITS);
  for (let i = 0; i < order.length; i++) {
    if (i % ENTRIES_PER_STEP === 0) yield;
    ends[(keys[i]! >>> shift) & DIGIT_MASK]!++;
  }
  let sum = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    sum += ends[digit]!;
    ends[digit] = sum;
  }
  const sorted = new Uint16Array(order.length);
  for (let i = order.length - 1; i >= 0; i--) {
    if (i % ENTRIES_PER_STEP === 0) yield;
    const at = --ends[(keys[order[i]!]! >>> shift) & DIGIT_MASK]!;
    sorted[at] = order[i]!;
  }
  return sorted;
}
