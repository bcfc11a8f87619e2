/**
 * Edges of lines, as the page keeps them. Times are microseconds since 1970,
 * which a number has exactly.
 *
 * @module
 */

/** Level of a line that is absent, or whose value is not known. */
export const UNKNOWN = 2;
/** Edges of a line that are kept; older ones are asked for again. */
const MAX_EDGES = 200_000;
/**
 * Two answers of the service may have an edge at different times: they are those
 * of the wall clock as it is set then.
 */
const SAME_US = 100_000;

/** Edges of one line, by time. */
export class LineEdges {
  /** Time of each edge. */
  times = [];
  /** Level after each edge: 0, 1 or UNKNOWN. */
  levels = [];
  /** Cause of each edge. */
  causes = [];
  /** Order number of each edge, for those that come twice. */
  numbers = [];
  /** Since when the edges are complete. */
  since = Infinity;
  /** Number of edges that were kept and are not any more. */
  dropped = 0;

  /** Adds an edge. Those of one line come in order; one that is there counts once. */
  add(time, level, cause, number) {
    const { times, numbers } = this;
    const last = times.at(-1);
    // A process that was started again counts from the beginning.
    const isNext = last === undefined ||
      last <= time && (numbers.at(-1) < number || last + SAME_US < time);
    if (!isNext) return this.addAll([{ time, level, cause, number }]);
    times.push(time);
    this.levels.push(level);
    this.causes.push(cause);
    numbers.push(number);
    this.since = Math.min(this.since, time);
    if (times.length > MAX_EDGES * 1.25) this.#dropOldest();
  }

  /**
   * Adds edges of the past, in any order: as many as there are in one go. Those
   * that are there count once.
   */
  addAll(edges) {
    const added = edges.filter((edge) => !this.#has(edge))
      .toSorted((a, b) => a.time - b.time || a.number - b.number);
    if (added.length === 0) return;
    const { times, levels, causes, numbers } = this;
    const merged = { times: [], levels: [], causes: [], numbers: [] };
    const push = (time, level, cause, number) => {
      const { length } = merged.times;
      if (
        merged.numbers[length - 1] === number && number >= 0 &&
        time - merged.times[length - 1] < SAME_US
      ) return;
      merged.times.push(time);
      merged.levels.push(level);
      merged.causes.push(cause);
      merged.numbers.push(number);
    };
    let at = 0;
    for (const { time, level, cause, number } of added) {
      while (
        at < times.length &&
        (times[at] < time || times[at] === time && numbers[at] <= number)
      ) push(times[at], levels[at], causes[at], numbers[at++]);
      push(time, level, cause, number);
    }
    while (at < times.length) {
      push(times[at], levels[at], causes[at], numbers[at++]);
    }
    Object.assign(this, merged);
    this.since = Math.min(this.since, added[0].time);
    if (this.times.length > MAX_EDGES * 1.25) this.#dropOldest();
  }

  /**
   * Notes the level at a moment, which no edge brought (its number is -1); where
   * the edges say the same, nothing.
   */
  note(time, level) {
    if (this.levelAt(time) !== level) this.add(time, level, "", -1);
  }

  /** Forgets notes that earlier edges, which came later, have made needless. */
  dropNeedlessNotes() {
    const { numbers, levels } = this;
    for (let i = this.times.length - 1; i > 0; i--) {
      if (numbers[i] !== -1 || levels[i] !== levels[i - 1]) continue;
      for (const list of [this.times, levels, this.causes, numbers]) {
        list.splice(i, 1);
      }
    }
  }

  /** Number of edges without what was only noted, those that were dropped too. */
  get countOfEdges() {
    return this.dropped + this.numbers.filter((one) => one >= 0).length;
  }

  /** Number of edges up to a time, it included. */
  countTo(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (this.times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Level at a time; UNKNOWN before the first edge. */
  levelAt(time) {
    const count = this.countTo(time);
    return count === 0 ? UNKNOWN : this.levels[count - 1];
  }

  /** True if an edge is there: its number, at about its time. */
  #has({ time, number }) {
    if (number < 0) return false;
    for (let i = this.countTo(time + SAME_US) - 1; i >= 0; i--) {
      if (this.times[i] < time - SAME_US) return false;
      if (this.numbers[i] === number) return true;
    }
    return false;
  }

  #dropOldest() {
    const surplus = this.times.length - MAX_EDGES;
    for (const list of [this.times, this.levels, this.causes, this.numbers]) {
      list.splice(0, surplus);
    }
    this.dropped += surplus;
    this.since = this.times[0];
  }
}

/**
 * Returns the parts of a lane, from left to right: runs of one kind, in pixels.
 *
 * - `low`, `high`, `unknown`: nothing changes, `edges` is 0. Such a run begins
 *   with a vertical stroke if it follows one of another level.
 * - `dense`: two edges or more in each pixel. It has a count, and no level: which
 *   one it had at a pixel is not to be seen.
 */
export function findRuns(line, from, to, width) {
  const runs = [];
  const perPixel = (to - from) / width;
  let count = line.countTo(from);
  let level = count === 0 ? UNKNOWN : line.levels[count - 1];
  for (let x = 0; x < width; x++) {
    // A pixel has the edges before the next one's begin; the last one has all.
    const end = x === width - 1 ? to : Math.ceil(from + (x + 1) * perPixel) - 1;
    let next = count;
    // Most pixels have no edge; those that have many are not walked through.
    if (next < line.times.length && line.times[next] <= end) {
      next = line.countTo(end);
    }
    const edges = next - count;
    const last = runs.at(-1);
    if (edges >= 2) {
      if (last?.kind === "dense") {
        last.end = x + 1;
        last.edges += edges;
      } else {runs.push({
          kind: "dense",
          start: x,
          end: x + 1,
          edges,
          cause: "",
        });}
    } else {
      const before = level;
      if (edges === 1) level = line.levels[next - 1];
      const kind = KINDS[level];
      const cause = next === 0 ? "" : line.causes[next - 1];
      if (edges === 0 && last?.kind === kind && last.cause === cause) {
        last.end = x + 1;
      } else {
        runs.push({
          kind,
          start: x,
          end: x + 1,
          edges: 0,
          cause,
          rises: edges === 1 && before !== level,
        });
      }
    }
    if (next > 0) level = line.levels[next - 1];
    count = next;
  }
  return runs;
}

const KINDS = ["low", "high", "unknown"];

/** Time of the next edge after a time (1), or of the last one before it (-1). */
export function neighbour(line, time, direction) {
  if (direction > 0) return line.times[line.countTo(time)];
  let at = line.countTo(time) - 1;
  while (at >= 0 && line.times[at] >= time) at--;
  return line.times[at];
}

/** Time of the edge that is nearest to a time; undefined if there is none. */
export function nearestEdge(line, time) {
  const count = line.countTo(time);
  const before = line.times[count - 1];
  const after = line.times[count];
  if (before === undefined) return after;
  if (after === undefined) return before;
  return time - before <= after - time ? before : after;
}

/** Microseconds of a time of the API: decimal nanoseconds. */
export function microseconds(nanoseconds) {
  return Number(BigInt(nanoseconds) / 1000n);
}

/** A period as text: `1.234 ms`. */
export function periodText(us) {
  const size = Math.abs(us);
  if (size < 1000) return `${us.toFixed(0)} µs`;
  if (size < 1e6) return `${(us / 1000).toFixed(3)} ms`;
  if (size < 60e6) return `${(us / 1e6).toFixed(3)} s`;
  const minutes = Math.floor(size / 60e6);
  const sign = us < 0 ? "-" : "";
  if (minutes < 60) {
    return `${sign}${minutes} m ${Math.floor(size / 1e6) % 60} s`;
  }
  return `${sign}${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}

/** A time of the day as text: `17:14:00.482731`. */
export function clockText(us, digits = 3) {
  const date = new Date(us / 1000);
  const two = (value) => String(value).padStart(2, "0");
  const fraction = String(Math.floor(us) % 1e6).padStart(6, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${clock.map(two).join(":")}.${fraction.slice(0, digits)}`;
}
