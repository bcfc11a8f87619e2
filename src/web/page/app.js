/**
 * The page: what a service's lines do, and did.
 *
 * @module
 */
import {
  clockText,
  LineEdges,
  microseconds,
  nearestEdge,
  periodText,
  UNKNOWN,
} from "./edges.js";
import { paintAxis, paintLane, readColors } from "./waves.js";

/** Events of a service that are told as text. */
const TOLD = [
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
  "unplugged",
  "plugged",
];
/** Signs of events in the lanes of their aggregator. */
const SIGNS = { refused: "✗", gone: "▒", unplugged: "?", fault: "!" };
const MAX_LOG = 500;
const MAX_WINDOW_US = 24 * 3600e6;
const MIN_WINDOW_US = 20;
/** An aggregator without a VMM for so long is an alarm. */
const MISSING_MS = 30_000;
/** Edges that one request for the past brings at most. */
const HISTORY_LIMIT = 20_000;
const SAVED_PERIOD = "-10m";
/** Length of a pulse of a simulated line. */
const PULSE_MS = 200;

const byId = (id) => document.getElementById(id);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

/** Aggregators by name; their lines by number. */
const aggregators = new Map();
const log = [];
const counters = { edges: 0, lost: 0, refused: 0, faults: 0 };
const view = {
  /** Length. */
  span: 10e6,
  /** End; undefined: now, which goes on. */
  end: undefined,
  cursors: [undefined, undefined],
};
let colors = readColors();
let mayPull = false;
/** Difference of the service's clock to this one's. */
let skewUs = 0;
let isDirty = true;

const nowUs = () => Date.now() * 1000 + skewUs;
const keyOf = ({ aggregator, lineNumber }) => `${aggregator}.${lineNumber}`;

// --- what the service says ---------------------------------------------------

function takeSnapshot({ aggregators: all, time = nowUs() / 1000 }) {
  skewUs = time * 1000 - Date.now() * 1000;
  const names = new Set(all.map(({ name }) => name));
  for (const name of aggregators.keys()) {
    if (!names.has(name)) removeAggregator(name);
  }
  for (const state of all) putAggregator(state, time * 1000);
  fillTrigger();
  void fillHistory();
}

function putAggregator(state, timeUs) {
  const known = aggregators.get(state.name);
  const lines = new Map();
  for (const line of state.lines) {
    const before = known?.lines.get(line.lineNumber);
    const edges = before?.edges ?? new LineEdges();
    edges.note(timeUs, line.value ?? UNKNOWN);
    lines.set(line.lineNumber, { ...line, edges, row: before?.row });
  }
  const missingSince = state.connected ? undefined : known?.missingSince ??
    timeUs;
  aggregators.set(state.name, {
    state,
    lines,
    missingSince,
    marks: known?.marks ?? [],
    section: known?.section,
    isClosed: known?.isClosed ?? false,
  });
  showAggregator(state.name);
}

function removeAggregator(name) {
  aggregators.get(name)?.section?.remove();
  aggregators.delete(name);
}

function takeEdges({ edges }) {
  for (const edge of edges) {
    const line = aggregators.get(edge.aggregator)?.lines.get(edge.lineNumber);
    counters.edges++;
    if (line === undefined) continue;
    const time = microseconds(edge.time);
    const level = edge.present ? edge.value ?? UNKNOWN : UNKNOWN;
    const before = line.edges.levelAt(time);
    line.edges.add(time, level, edge.cause, edge.number);
    line.value = edge.value;
    line.direction = edge.direction;
    line.isAbsent = !edge.present;
    line.cause = edge.rule === undefined
      ? edge.cause
      : `${edge.cause}: ${edge.rule}`;
    line.changedUs = time;
    line.isStale = true;
    checkTrigger(edge, before, level, time);
  }
  isDirty = true;
}

function takeTold(event) {
  const { event: kind, aggregator, time, detail } = event;
  const timeUs = time * 1000;
  if (kind === "refused") counters.refused++;
  if (kind === "fault") counters.faults++;
  const known = aggregators.get(aggregator);
  if (known !== undefined && SIGNS[kind] !== undefined) {
    known.marks.push({ time: timeUs, sign: SIGNS[kind] });
    if (known.marks.length > 1000) known.marks.shift();
  }
  tell(timeUs, `${aggregator}: ${kind}${detail === "" ? "" : `: ${detail}`}`);
  if (kind === "removed") removeAggregator(aggregator);
  else if (
    ["created", "connected", "disconnected", "unplugged", "plugged"]
      .includes(kind)
  ) void refresh(aggregator, timeUs);
  isDirty = true;
}

function takeLost({ count }) {
  counters.lost += count;
  tell(nowUs(), `${count} edges or events are missing here`);
  void refreshAll();
}

/** Reads anew what events would have told. */
async function refreshAll() {
  try {
    const { aggregators: all } = await get("/v1/aggregators");
    takeSnapshot({ aggregators: all });
  } catch (error) {
    showProblem(error.message);
  }
}

async function get(path) {
  const response = await fetch(path);
  if (response.ok) return await response.json();
  const text = await response.text();
  let message = `${response.status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Not an answer of the service.
  }
  throw Object.assign(new Error(message), { status: response.status });
}

async function refresh(name, timeUs) {
  try {
    putAggregator(
      await get(`/v1/aggregators/${encodeURIComponent(name)}`),
      timeUs,
    );
    fillTrigger();
  } catch (error) {
    if (error.status === 404) removeAggregator(name);
    else showProblem(error.message);
  }
}

// --- the past ----------------------------------------------------------------

let isFilling = false;
/** The service records nothing: it is not asked again. */
let hasHistory = true;

/** Asks for what the view shows and the page does not have. */
async function fillHistory() {
  if (isFilling || !hasHistory) return;
  const [from, to] = range();
  const missing = [...aggregators.values()].flatMap(({ lines }) =>
    [...lines.values()].map(({ edges }) => edges.since)
  ).filter((since) => since > from);
  if (missing.length === 0) return;
  isFilling = true;
  try {
    const end = Math.min(
      to,
      Math.max(...missing.map((since) => Number.isFinite(since) ? since : to)),
    );
    const query = new URLSearchParams({
      from: nanoseconds(from),
      to: nanoseconds(Math.max(from, end)),
      limit: String(HISTORY_LIMIT),
    });
    const { lines, edges, next } = await get(`/v1/history?${query}`);
    for (const state of lines) {
      const line = aggregators.get(state.aggregator)?.lines
        .get(state.lineNumber)?.edges;
      const level = state.present ? state.value ?? UNKNOWN : UNKNOWN;
      line?.note(from, level);
    }
    for (const edge of edges) {
      aggregators.get(edge.aggregator)?.lines.get(edge.lineNumber)?.edges.add(
        microseconds(edge.time),
        edge.present ? edge.value ?? UNKNOWN : UNKNOWN,
        edge.cause,
        edge.number,
      );
    }
    const complete = next === undefined ? from : microseconds(next);
    for (const { lines } of aggregators.values()) {
      for (const { edges: line } of lines.values()) {
        line.since = Math.min(line.since, complete);
        line.dropNeedlessNotes();
      }
    }
  } catch (error) {
    if (error.status === 404 || error.status === 409) hasHistory = false;
    else showProblem(error.message);
  } finally {
    isFilling = false;
    isDirty = true;
  }
}

const nanoseconds = (us) => String(BigInt(Math.round(us)) * 1000n);

// --- what is shown -----------------------------------------------------------

function range() {
  const end = view.end ?? nowUs();
  return [end - view.span, end];
}

function showAggregator(name) {
  const known = aggregators.get(name);
  const { state, lines } = known;
  if (known.section === undefined) {
    const section = known.section = element("div", { className: "aggregator" });
    const title = element("h2", { tabIndex: 0 });
    const toggle = () => {
      known.isClosed = !known.isClosed;
      aggregators.get(name).isClosed = known.isClosed;
      section.classList.toggle("closed", known.isClosed);
    };
    title.addEventListener("click", toggle);
    title.addEventListener("keydown", (event) => {
      if (event.key === "Enter") toggle();
    });
    section.append(title);
    section.dataset.name = name;
    const sections = [...byId("aggregators").children];
    const next = sections.find((one) => one.dataset.name > name);
    byId("aggregators").insertBefore(section, next ?? null);
  }
  const since = state.connectedSince;
  known.section.firstChild.replaceChildren(
    `${state.connected ? "●" : "○"} ${name}`,
    element("small", {
      textContent: state.connected
        ? `VMM connected${
          since === undefined ? "" : ` since ${
            clockText(since * 1000, 0)
              .replace(/\.$/, "")
          }`
        }`
        : "no VMM",
    }),
    element("small", { textContent: state.presentation }),
    ...state.secondOf === undefined ? [] : [
      element("small", {
        textContent: `second exposure of ${state.secondOf}`,
      }),
    ],
  );
  for (const line of lines.values()) {
    if (line.row === undefined) {
      line.row = rowOf(name, line);
      known.section.append(line.row.root);
    }
    showLine(line);
  }
  applyFilter();
  isDirty = true;
}

function rowOf(aggregator, line) {
  const title = line.name === "" ? String(line.lineNumber) : line.name;
  const name = element("span", { className: "name", textContent: title });
  const direction = element("span", { className: "direction" });
  const value = element("span", { className: "value" });
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const source = element("span", { className: "source" });
  const buttons = element("span", { className: "buttons" });
  const root = element(
    "div",
    { className: "line" },
    name,
    direction,
    value,
    canvas,
    source,
    buttons,
  );
  root.dataset.key = `${aggregator}.${title}`;
  name.title = `${aggregator}.${title}`;
  if (mayPull && line.source.startsWith("simulated")) {
    const pull = (level) => () => void pullLine(aggregator, line, level);
    buttons.append(
      element("button", { textContent: "0", onclick: pull(0) }),
      element("button", { textContent: "1", onclick: pull(1) }),
      element("button", {
        textContent: "pulse",
        onclick: async () => {
          await pullLine(aggregator, line, 1);
          setTimeout(() => void pullLine(aggregator, line, 0), PULSE_MS);
        },
      }),
    );
  }
  onCanvas(canvas, line.edges);
  return { root, direction, value, canvas, source };
}

function showLine(line) {
  const { row, direction, value, source, pendingRule, cause } = line;
  row.direction.textContent = direction === "output" ? "out" : "in";
  row.value.textContent = line.isAbsent || value === undefined ? "?" : value;
  row.root.classList.toggle("absent", line.isAbsent === true);
  row.root.classList.toggle("pending", pendingRule !== undefined);
  row.source.textContent = pendingRule !== undefined
    ? `${pendingRule.rule}: ${pendingRule.reason}`
    : cause === undefined
    ? source
    : `${source} · ${cause}`;
  row.source.title = row.source.textContent;
  row.canvas.setAttribute(
    "aria-label",
    `${row.root.dataset.key}, ${row.direction.textContent}, ` +
      `${row.value.textContent}`,
  );
}

async function pullLine(aggregator, line, level) {
  const response = await fetch(
    `/v1/aggregators/${encodeURIComponent(aggregator)}/lines`,
    {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pull: { [String(line.lineNumber)]: level } }),
    },
  );
  if (response.ok) return showProblem("");
  const text = await response.text();
  try {
    showProblem(JSON.parse(text).error.message);
  } catch {
    showProblem(`the service answers with status ${response.status}`);
  }
}

function tell(timeUs, text) {
  log.unshift({ timeUs, text });
  if (log.length > MAX_LOG) log.pop();
  const jump = element(
    "button",
    {
      onclick: () => {
        view.end = timeUs + view.span / 2;
        view.cursors[0] = timeUs;
        changedView();
      },
    },
    element("time", { textContent: clockText(timeUs) }),
    text,
  );
  byId("log").prepend(element("li", {}, jump));
  while (byId("log").childElementCount > MAX_LOG) {
    byId("log").lastChild.remove();
  }
}

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = text === "";
}

function list(id, texts) {
  const shown = texts.length === 0 ? ["none"] : texts;
  byId(id).replaceChildren(
    ...shown.map((textContent) => element("li", { textContent })),
  );
}

/** Shows what changes slowly. */
function showRest() {
  const all = [...aggregators.entries()];
  const count = all.reduce((sum, [, { lines }]) => sum + lines.size, 0);
  byId("summary").textContent =
    `${all.filter(([, { state }]) => state.connected).length} of ` +
    `${all.length} with a VMM, ${count} lines, ${
      clockText(nowUs(), 0)
        .replace(/\.$/, "")
    }${view.end === undefined ? ", live" : ", paused"}`;
  byId("pause").textContent = view.end === undefined ? "Pause" : "Live";
  const alarms = [];
  const wiring = [];
  for (const [name, { state, lines, missingSince }] of all) {
    if (missingSince !== undefined && !state.kernelChip) {
      const missing = nowUs() - missingSince;
      if (missing > MISSING_MS * 1000) {
        alarms.push(`${name}: no VMM for ${periodText(missing)}`);
      }
    }
    for (const line of lines.values()) {
      const title = `${name}.${line.name || line.lineNumber}`;
      if (line.pendingRule !== undefined) {
        alarms.push(`${title}: ${line.pendingRule.rule} is not applied yet`);
      }
      if (line.isAbsent) alarms.push(`${title}: its chip is absent`);
      if (/^(?:copy|wire|inver)/.test(line.source)) {
        wiring.push(`${line.source} → ${title}`);
      }
    }
  }
  if (counters.lost > 0) {
    alarms.push(`${counters.lost} edges or events were lost`);
  }
  list("alarms", alarms);
  list("wiring", wiring);
  byId("counters").replaceChildren(
    ...Object.entries(counters).flatMap(([name, value]) => [
      element("dt", { textContent: name }),
      element("dd", { textContent: String(value) }),
    ]),
  );
}

function applyFilter() {
  const words = byId("filter").value.trim().toLowerCase().split(/\s+/)
    .filter((word) => word !== "")
    .map((word) =>
      new RegExp(
        word.split("*").map((part) =>
          part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
        )
          .join(".*"),
      )
    );
  for (const { section, lines } of aggregators.values()) {
    let shown = 0;
    for (const { row } of lines.values()) {
      if (row === undefined) continue;
      const key = row.root.dataset.key.toLowerCase();
      const isShown = words.length === 0 ||
        words.some((word) => word.test(key));
      row.root.hidden = !isShown;
      row.root.style.display = isShown ? "" : "none";
      if (isShown) shown++;
    }
    section.hidden = words.length > 0 && shown === 0;
  }
  isDirty = true;
}

// --- trigger -----------------------------------------------------------------

function fillTrigger() {
  const select = byId("trigger-line");
  const chosen = select.value;
  const names = [...aggregators.entries()].flatMap(([name, { lines }]) =>
    [...lines.values()].map((line) => ({
      key: keyOf({ aggregator: name, lineNumber: line.lineNumber }),
      text: `${name}.${line.name || line.lineNumber}`,
    }))
  );
  select.replaceChildren(
    element("option", { value: "", textContent: "none" }),
    ...names.map(({ key, text }) =>
      element("option", { value: key, textContent: text })
    ),
  );
  select.value = chosen;
}

function checkTrigger(edge, before, level, time) {
  if (view.end !== undefined || byId("trigger-line").value !== keyOf(edge)) {
    return;
  }
  const wanted = byId("trigger-edge").value;
  if (before === level || wanted !== "both" && Number(wanted) !== level) return;
  view.cursors[0] = time;
  // Half of the window is still to come.
  setTimeout(() => {
    view.end = time + view.span / 2;
    changedView();
  }, view.span / 2000);
  byId("trigger-line").value = "";
}

// --- the view ----------------------------------------------------------------

function changedView() {
  const [a, b] = view.cursors;
  byId("cursor").textContent = a === undefined
    ? ""
    : b === undefined
    ? clockText(a, 6)
    : `${clockText(a, 6)}  Δ ${periodText(b - a)}`;
  isDirty = true;
  clearTimeout(changedView.timer);
  changedView.timer = setTimeout(() => void fillHistory(), 150);
  showRest();
}

function zoom(factor, around) {
  const [from, to] = range();
  const span = Math.min(
    MAX_WINDOW_US,
    Math.max(MIN_WINDOW_US, view.span * factor),
  );
  if (view.end !== undefined || around !== undefined) {
    const time = around ?? (from + to) / 2;
    const share = (to - time) / (to - from);
    if (view.end !== undefined) view.end = time + share * span;
  }
  view.span = span;
  byId("window").value = String(span);
  changedView();
}

function move(share) {
  const [, to] = range();
  view.end = to + share * view.span;
  if (view.end >= nowUs()) view.end = undefined;
  changedView();
}

function onCanvas(canvas, line) {
  const timeAt = (event) => {
    const [from, to] = range();
    const { left, width } = canvas.getBoundingClientRect();
    return from + (event.clientX - left) / width * (to - from);
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event));
  }, { passive: false });
  let drag;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, end: range()[1], hasMoved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag === undefined) return;
    const distance = event.clientX - drag.x;
    if (Math.abs(distance) < 4 && !drag.hasMoved) return;
    drag.hasMoved = true;
    view.end = drag.end - distance / canvas.clientWidth * view.span;
    changedView();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag?.hasMoved === false) {
      const time = timeAt(event);
      const near = line === undefined ? undefined : nearestEdge(line, time);
      const reach = view.span / canvas.clientWidth * 8;
      view.cursors[event.shiftKey ? 1 : 0] =
        near !== undefined && Math.abs(near - time) < reach ? near : time;
      changedView();
    }
    drag = undefined;
  });
}

function paint() {
  requestAnimationFrame(paint);
  const isLive = view.end === undefined;
  if (!isLive && !isDirty) return;
  isDirty = false;
  const [from, to] = range();
  const shown = { from, to, now: nowUs(), cursors: view.cursors };
  paintAxis(byId("axis"), shown, colors);
  for (const { section, lines, marks, isClosed } of aggregators.values()) {
    if (section === undefined || section.hidden || isClosed) continue;
    const { top, bottom } = section.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) continue;
    for (const line of lines.values()) {
      if (line.isStale) {
        line.isStale = false;
        showLine(line);
      }
      if (line.row.root.hidden) continue;
      paintLane(line.row.canvas, line.edges, shown, colors, marks);
    }
  }
}

// --- the user ----------------------------------------------------------------

function togglePause() {
  view.end = view.end === undefined ? nowUs() : undefined;
  changedView();
}

byId("pause").onclick = togglePause;
byId("filter").oninput = applyFilter;
byId("window").onchange = () => {
  view.span = Number(byId("window").value) || view.span;
  changedView();
};
byId("save").onchange = () => {
  const format = byId("save").value;
  byId("save").value = "";
  if (format === "") return;
  const query = new URLSearchParams({ format, from: SAVED_PERIOD });
  const link = element("a", {
    href: `/v1/history?${query}`,
    download: `gpioagg.${format}`,
  });
  link.click();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colors = readColors();
  isDirty = true;
});
addEventListener("resize", () => {
  isDirty = true;
});
addEventListener("scroll", () => {
  isDirty = true;
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(?:INPUT|SELECT|BUTTON)$/.test(event.target.tagName)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const keys = {
    " ": togglePause,
    "+": () => zoom(0.5),
    "-": () => zoom(2),
    "ArrowLeft": () => move(-0.25),
    "ArrowRight": () => move(0.25),
    "Home": () => {
      view.end = undefined;
      changedView();
    },
    "Escape": () => {
      view.cursors = [undefined, undefined];
      changedView();
    },
    "/": () => byId("filter").focus(),
  };
  const act = keys[event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
});

// --- begin -------------------------------------------------------------------

async function login() {
  const token = location.hash.slice(1);
  if (token === "") return;
  history.replaceState(null, "", location.pathname);
  const response = await fetch("/session", { method: "POST", body: token });
  if (!response.ok) throw new Error((await response.json()).error.message);
}

/** Finds out whether the service records edges. */
async function askForHistory() {
  try {
    await get("/v1/history?limit=1");
    hasHistory = true;
  } catch (error) {
    if (error.status !== 404 && error.status !== 409) throw error;
    hasHistory = false;
  }
}

function listen() {
  const source = new EventSource(`/v1/events${hasHistory ? "?edges=1" : ""}`);
  const on = (name, take) =>
    source.addEventListener(name, ({ data }) => take(JSON.parse(data)));
  on("snapshot", (event) => {
    showProblem("");
    takeSnapshot(event);
  });
  on("edges", takeEdges);
  on("lost", takeLost);
  on("lines", takeLines);
  for (const name of TOLD) on(name, takeTold);
  source.onerror = () => {
    showProblem("The service does not answer; trying again");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(listen, 2000);
  };
}

/** Changes of lines; the only ones if edges are not recorded. */
function takeLines({ aggregator, lines, time }) {
  for (const { lineNumber, direction, value, pendingRule } of lines) {
    const line = aggregators.get(aggregator)?.lines.get(lineNumber);
    if (line === undefined) continue;
    Object.assign(line, { direction, value, pendingRule, isStale: true });
    const level = value ?? UNKNOWN;
    if (!hasHistory) line.edges.note(time * 1000, level);
  }
  isDirty = true;
}

try {
  await login();
  ({ mayPull } = await get("/access"));
  byId("badge").textContent = mayPull ? "may pull" : "read only";
  document.body.classList.toggle("pulling", mayPull);
  onCanvas(byId("axis"), undefined);
  await askForHistory();
  listen();
  setInterval(showRest, 1000);
  paint();
  // For tests: what is shown, as data.
  globalThis.gpioagg = { aggregators, counters, view };
} catch (error) {
  showProblem(error.message);
}
