/**
 * Events of the service, as they come.
 *
 * @module
 */
import { showProblem } from "./dom.js";
import { LineEdges, microseconds, UNKNOWN } from "./edges.js";
import { fillHistory, past } from "./history.js";
import { logEvent } from "./log.js";
import { readMetrics } from "./metrics.js";
import { metrics, showWiring } from "./panels.js";
import { get, getText } from "./service.js";
import {
  aggregators,
  allLines,
  counters,
  findLine,
  nowUs,
  page,
} from "./state.js";
import { arrangeRows, showGroups } from "./table.js";
import { checkTrigger, fillTrigger } from "./trigger.js";
import { lineOfDetail } from "./words.js";

/** Events of a service that are shown as text. */
const SHOWN_EVENTS = [
  "created",
  "removed",
  "connected",
  "disconnected",
  "started",
  "stopped",
  "gone",
  "waiting",
  "fault",
  "refused",
  "silent",
  "enforced",
  "changed",
  "forced",
  "unforced",
  "unplugged",
  "plugged",
];
/** Signs of events in the lanes of their aggregator, or of their line. */
const SIGNS = {
  refused: "✗",
  gone: "▒",
  disconnected: "▒",
  unplugged: "?",
  fault: "!",
  forced: "F",
  unforced: "f",
};
/** Events after which an aggregator is asked for anew. */
const CHANGING = [
  "created",
  "connected",
  "disconnected",
  "started",
  "stopped",
  "gone",
  "changed",
  "forced",
  "unforced",
  "unplugged",
  "plugged",
];
/** State of the guest after an event. */
const GUEST = { started: undefined, stopped: "stopped", gone: "gone" };
const MAX_MARKS = 1000;
/** The end of a guest is reported twice, also as that of its VMM. */
const SAME_US = 100e3;
const RETRY_MS = 2000;

/** The last question about an aggregator; older answers are ignored. */
const questions = new Map();
let lastQuestion = 0;

function newQuestion(name) {
  questions.set(name, ++lastQuestion);
  return lastQuestion;
}

function takeSnapshot({ aggregators: all, time = nowUs() / 1000 }) {
  page.skewUs = time * 1000 - Date.now() * 1000;
  questions.clear();
  takeStates(all, time * 1000, true);
}

function takeStates(all, timeUs, isWhole) {
  const names = new Set(all.map(({ name }) => name));
  for (const name of aggregators.keys()) {
    if (!names.has(name)) aggregators.delete(name);
  }
  for (const state of all) putAggregator(state, timeUs, isWhole);
  changedLines();
  void fillHistory();
}

/** Shows lines that came or went. */
function changedLines() {
  arrangeRows();
  fillTrigger();
  showWiring();
}

/**
 * Takes the state of an aggregator. Of lines that are known it says nothing of
 * the past, unless it `isWhole`, in the order of events.
 */
function putAggregator(state, timeUs, isWhole) {
  const known = aggregators.get(state.name);
  const lines = new Map();
  for (const line of state.lines) {
    const before = known?.lines.get(line.lineNumber);
    const edges = before?.edges ?? new LineEdges();
    if (isWhole || before === undefined || !past.isRecorded) {
      edges.note(timeUs, line.value ?? UNKNOWN);
    }
    // State known from edges only, and from those since.
    const { row, isAbsent, refused, rule } = before ?? {};
    const isOlder = !isWhole && before?.since > line.since;
    const isSame = before?.since >= line.since;
    lines.set(line.lineNumber, {
      aggregator: state.name,
      ...line,
      ...isOlder ? toState(before) : {},
      edges,
      row,
      isAbsent,
      refused,
      rule: isSame ? rule : undefined,
    });
  }
  const missingSince = state.connected ? undefined : known?.missingSince ??
    timeUs;
  const { marks = [], guest, counts, lastEvents = {} } = known ?? {};
  aggregators.set(state.name, {
    state,
    lines,
    missingSince,
    marks,
    guest: state.connected ? guest : undefined,
    counts,
    lastEvents,
  });
}

const toState = ({ value, direction, drivenBy, since }) => ({
  value,
  direction,
  drivenBy,
  since,
});

function takeEdges({ edges }) {
  for (const edge of edges) {
    const line = findLine(edge);
    counters.edges++;
    if (line === undefined) continue;
    const time = microseconds(edge.time);
    const level = edge.present ? edge.value ?? UNKNOWN : UNKNOWN;
    const before = line.edges.levelAt(time);
    line.edges.add(time, level, edge.cause, edge.number);
    line.value = edge.value;
    line.direction = edge.direction;
    line.isAbsent = !edge.present;
    line.drivenBy = edge.cause;
    line.rule = edge.rule;
    line.since = time / 1000;
    line.isStale = true;
    checkTrigger(edge, before, level, time);
  }
  page.isDirty = true;
}

/** Changes of lines; the only ones if edges are not recorded. */
function takeLines({ aggregator, lines, time }) {
  for (const { lineNumber, direction, value, pendingRule } of lines) {
    const line = findLine({ aggregator, lineNumber });
    if (line === undefined) continue;
    Object.assign(line, { direction, value, pendingRule, isStale: true });
    if (!past.isRecorded) line.edges.note(time * 1000, value ?? UNKNOWN);
  }
  page.isDirty = true;
}

function takeEvent(event) {
  const { event: kind, aggregator, time, detail } = event;
  const timeUs = time * 1000;
  if (kind === "refused") counters.refused++;
  if (kind === "fault") counters.faults++;
  const known = aggregators.get(aggregator);
  if (known !== undefined) {
    const line = lineOfDetail(detail, known.lines.values());
    mark(known.marks, kind, timeUs, line?.lineNumber);
    if (kind === "refused" && line !== undefined) {
      line.refused = { timeUs, text: detail };
    }
    if (kind === "refused" || kind === "fault" || kind === "gone") {
      known.lastEvents[kind] = { timeUs, detail };
    }
    if (kind in GUEST) known.guest = GUEST[kind];
    showGroups();
  }
  logEvent(
    timeUs,
    `${aggregator}: ${kind}${detail === "" ? "" : `: ${detail}`}`,
  );
  if (kind === "removed") {
    lastQuestion++;
    questions.delete(aggregator);
    aggregators.delete(aggregator);
    changedLines();
  } else if (CHANGING.includes(kind)) void refresh(aggregator);
  page.isDirty = true;
}

function mark(marks, kind, time, lineNumber) {
  const sign = SIGNS[kind];
  const last = marks.at(-1);
  if (
    sign === undefined ||
    last?.sign === sign && last.lineNumber === lineNumber &&
      time - last.time < SAME_US
  ) return;
  marks.push(
    lineNumber === undefined ? { time, sign } : {
      time,
      sign,
      lineNumber,
    },
  );
  if (marks.length > MAX_MARKS) marks.shift();
}

async function takeLost({ count }) {
  counters.lost += count;
  logEvent(nowUs(), `${count} edges or events are missing here`);
  // State that they would have reported, now and in the past.
  for (const { edges } of allLines()) edges.since = Infinity;
  const asked = lastQuestion;
  try {
    const { aggregators: all } = await get("/v1/aggregators");
    // What came or went meanwhile is asked for by its event.
    if (lastQuestion === asked) takeStates(all, nowUs(), false);
    else for (const { name } of all) void refresh(name);
  } catch (error) {
    showProblem(error.message);
  }
}

/** Asks for an aggregator anew. Only the answer to the last question counts. */
async function refresh(name) {
  const question = newQuestion(name);
  let state;
  try {
    state = await get(`/v1/aggregators/${encodeURIComponent(name)}`);
  } catch (error) {
    if (error.status !== 404) return showProblem(error.message);
  }
  if (questions.get(name) !== question) return;
  if (state === undefined) aggregators.delete(name);
  else putAggregator(state, nowUs(), false);
  changedLines();
  void fillHistory();
}

/** Asks for the service's own counters. */
export async function askForMetrics() {
  if (document.hidden) return;
  try {
    const read = readMetrics(await getText("/metrics"));
    metrics.sums = read.sums;
    for (const [name, known] of aggregators) {
      known.counts = read.aggregators.get(name);
    }
    showGroups();
  } catch {
    // The stream of events says what is wrong.
  }
}

/** Listens to the service, from now on. */
export function listen() {
  const source = new EventSource(
    `/v1/events${past.isRecorded ? "?edges=1" : ""}`,
  );
  const on = (name, take) =>
    source.addEventListener(name, ({ data }) => void take(JSON.parse(data)));
  on("snapshot", (event) => {
    showProblem("");
    takeSnapshot(event);
    void askForMetrics();
  });
  on("edges", takeEdges);
  on("lost", takeLost);
  on("lines", takeLines);
  for (const name of SHOWN_EVENTS) on(name, takeEvent);
  source.onerror = () => {
    showProblem("The service does not answer; trying again");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(listen, RETRY_MS);
  };
}
