/**
 * "Did you mean …?"
 *
 * @module
 */

/** A word must be this long to be taken for the beginning of another one. */
const MIN_PREFIX = 3;
/** Longer words are slips of nothing: comparing them costs too much. */
const MAX_LENGTH = 64;
/** Letters that are compared with letters in one search, at most. */
const MAX_COMPARISONS = 500_000;
/** The same in a search that a peer causes: some 0.2 ms, 100 names. */
const MAX_COMPARISONS_OF_PEER = 25_000;

/**
 * Returns the candidate that `word` is most likely a slip of, if there is a
 * likely one: at most a third of its letters differ, whatever their case, or it
 * is the beginning of exactly one of them.
 *
 * @param maxComparisons Letters that are compared with letters; the default
 * takes some milliseconds. See {@linkcode nearestForPeer}.
 */
export function nearest(
  word: string,
  candidates: Iterable<string>,
  maxComparisons = MAX_COMPARISONS,
): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const ours = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  const longer: string[] = [];
  let left = maxComparisons;
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

/** Is {@linkcode nearest} for a word of a peer: others wait meanwhile. */
export function nearestForPeer(
  word: string,
  candidates: Iterable<string>,
): string | undefined {
  return nearest(word, candidates, MAX_COMPARISONS_OF_PEER);
}

/** Rows of a comparison; a candidate is at most half as long again as a word. */
let row = new Uint8Array(2 * MAX_LENGTH);
let previous = new Uint8Array(2 * MAX_LENGTH);
let beforePrevious = new Uint8Array(2 * MAX_LENGTH);

/**
 * Returns the number of letters inserted, left out, replaced, or swapped with
 * their neighbour. Does not allocate: a hostile peer may cause many.
 */
function editDistance(a: string, b: string): number {
  for (let j = 0; j <= b.length; j++) previous[j] = j;
  for (let i = 1; i <= a.length; i++) {
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const isSame = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      let least = Math.min(
        row[j - 1]! + 1,
        previous[j]! + 1,
        previous[j - 1]! + (isSame ? 0 : 1),
      );
      if (
        i > 1 && j > 1 && a.charCodeAt(i - 1) === b.charCodeAt(j - 2) &&
        a.charCodeAt(i - 2) === b.charCodeAt(j - 1)
      ) least = Math.min(least, beforePrevious[j - 2]! + 1);
      row[j] = least;
    }
    [beforePrevious, previous, row] = [previous, row, beforePrevious];
  }
  return previous[b.length]!;
}
