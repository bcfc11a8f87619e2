/**
 * The past that the view shows and the page does not have.
 *
 * @module
 */
import { showProblem } from "./dom.js";
import { microseconds, UNKNOWN } from "./edges.js";
import { get } from "./service.js";
import { allLines, findLine, page, range } from "./state.js";

/** Edges that one request brings at most. */
const HISTORY_LIMIT = 20_000;
/** Requests for one view; what they do not bring is drawn as unknown. */
const MAX_REQUESTS = 50;

/** State of the record: the service has one, and is being asked. */
export const past = { isRecorded: true, isAsked: false, isWanted: false };

const nanoseconds = (us) => String(BigInt(Math.round(us)) * 1000n);
const toLevel = ({ present, value }) => present ? value ?? UNKNOWN : UNKNOWN;

/** Finds out whether the service records edges. */
export async function askForHistory() {
  try {
    await get("/v1/history?limit=1");
    past.isRecorded = true;
  } catch (error) {
    if (error.status !== 404 && error.status !== 409) throw error;
    past.isRecorded = false;
  }
}

/** Asks for what is missing; once more if the view has changed meanwhile. */
export async function fillHistory() {
  if (past.isAsked) {
    past.isWanted = true;
    return;
  }
  past.isAsked = true;
  try {
    do {
      past.isWanted = false;
      await fillRange();
    } while (past.isWanted);
  } catch (error) {
    if (error.status === 404 || error.status === 409) past.isRecorded = false;
    else showProblem(error.message);
  } finally {
    past.isAsked = false;
    page.isDirty = true;
  }
}

async function fillRange() {
  if (!past.isRecorded) return;
  const [from, to] = range();
  // A line that had to drop edges would drop these too.
  const missing = allLines().map(({ edges }) => edges)
    .filter(({ since, dropped }) => since > from && dropped === 0);
  if (missing.length === 0) return;
  const end = Math.max(
    ...missing.map(({ since }) => Number.isFinite(since) ? since : to),
  );
  const found = new Map();
  /** Lines that begin or end meanwhile. */
  const marks = [];
  let next = nanoseconds(from);
  for (let i = 0; i < MAX_REQUESTS && next !== undefined; i++) {
    const query = new URLSearchParams({
      from: next,
      to: nanoseconds(Math.max(from, Math.min(to, end))),
      limit: String(HISTORY_LIMIT),
    });
    const answer = await get(`/v1/history?${query}`);
    if (i === 0) {
      for (const state of answer.lines) {
        const { begins, ends } = state;
        const line = findLine(state)?.edges;
        if (begins === undefined) line?.note(from, toLevel(state));
        else marks.push([line, microseconds(begins), toLevel(state)]);
        if (ends !== undefined) {
          // An edge of the same microsecond comes before.
          marks.push([line, microseconds(ends) + 1, UNKNOWN]);
        }
      }
    }
    for (const edge of answer.edges) {
      const { time, cause, number } = edge;
      const line = findLine(edge)?.edges;
      if (line === undefined) continue;
      if (!found.has(line)) found.set(line, []);
      const level = toLevel(edge);
      found.get(line).push({ time: microseconds(time), level, cause, number });
    }
    next = answer.next;
  }
  for (const [line, edges] of found) line.addAll(edges);
  for (const [line, time, level] of marks) line?.note(time, level);
  for (const edges of missing) {
    if (next !== undefined) edges.note(microseconds(next), UNKNOWN);
    edges.since = Math.min(edges.since, from);
    edges.dropNeedlessNotes();
  }
}
