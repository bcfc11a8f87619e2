/**
 * "Did you mean …?"
 *
 * @module
 */

/** A word must be this long to be taken for the beginning of another one. */
const MIN_PREFIX = 3;
/** Longer words are slips of nothing: comparing them costs too much. */
const MAX_LENGTH = 64;
/**
 * Letters that are compared with letters in one search, about a millisecond:
 * the words may be a hostile peer's, and the candidates many.
 */
const MAX_COMPARISONS = 500_000;

/**
 * Returns the candidate that `word` is most likely a slip of, if there is a
 * likely one: at most a third of its letters differ, whatever their case, or it
 * is the beginning of exactly one of them.
 */
export function nearest(
  word: string,
  candidates: Iterable<string>,
): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const ours = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  const longer: string[] = [];
  let left = MAX_COMPARISONS;
  for (const candidate of candidates) {
    const theirs = candidate.toLowerCase();
    if (theirs.startsWith(ours)) longer.push(candidate);
    // Each letter more or less is a difference.
    if (Math.abs(word.length - candidate.length) >= bestDistance) continue;
    left -= word.length * candidate.length;
    if (left < 0) break;
    const rough = editDistance(ours, theirs);
    if (rough >= bestDistance) continue;
    // Of two that differ in case only, the one written like it.
    const distance = rough + editDistance(word, candidate) / 1000;
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (best !== undefined || word.length < MIN_PREFIX) return best;
  return longer.length === 1 ? longer[0] : undefined;
}

/** Letters inserted, left out, replaced, or swapped with their neighbour. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] &&
        a[i - 2] === b[j - 1];
      row.push(Math.min(
        row[j - 1]! + 1,
        previous[j]! + 1,
        previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
        isSwap ? beforePrevious[j - 2]! + 1 : Infinity,
      ));
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length]!;
}
