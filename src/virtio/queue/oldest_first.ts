/**
 * Orders the entries of an in-flight log by their counters, in linear time: a
 * log may claim as many entries as the largest ring has, and whatever counters
 * its frontend wrote.
 *
 * @module
 */

const DIGIT_BITS = 16;
const DIGITS = 1 << DIGIT_BITS;
const DIGIT_MASK = DIGITS - 1;
/** Up to here comparing is faster than counting digits. */
const FEW = 256;

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

/** Returns the heads, the one with the lowest counter first. */
export function oldestFirst(counted: CountedHeads): number[] {
  const { count, heads, low, high } = counted;
  let order = new Uint16Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (count <= FEW) {
    order.sort((a, b) => high[a]! - high[b]! || low[a]! - low[b]!);
  } else {
    for (const half of [low, high]) {
      for (const shift of [0, DIGIT_BITS]) {
        order = orderByDigit(order, half, shift);
      }
    }
  }
  const sorted: number[] = [];
  for (let i = 0; i < count; i++) sorted.push(heads[order[i]!]!);
  return sorted;
}

/** One pass of a radix sort; stable. */
function orderByDigit(
  order: Uint16Array<ArrayBuffer>,
  keys: Uint32Array,
  shift: number,
): Uint16Array<ArrayBuffer> {
  const first = (keys[order[0]!]! >>> shift) & DIGIT_MASK;
  let isConstant = true;
  const ends = new Uint32Array(DIGITS);
  for (let i = 0; i < order.length; i++) {
    const digit = (keys[order[i]!]! >>> shift) & DIGIT_MASK;
    if (digit !== first) isConstant = false;
    ends[digit] = ends[digit]! + 1;
  }
  if (isConstant) return order;
  let sum = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    sum += ends[digit]!;
    ends[digit] = sum;
  }
  const sorted = new Uint16Array(order.length);
  for (let i = order.length - 1; i >= 0; i--) {
    const digit = (keys[order[i]!]! >>> shift) & DIGIT_MASK;
    const at = ends[digit]! - 1;
    ends[digit] = at;
    sorted[at] = order[i]!;
  }
  return sorted;
}
