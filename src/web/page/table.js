/**
 * Lines in groups, a row each.
 *
 * @module
 */
import { hideDetails, makeActions, showDetails } from "./details.js";
import { byId, element, setText } from "./dom.js";
import { clockText } from "./edges.js";
import { keepPrefs, prefs } from "./prefs.js";
import { pullLine } from "./service.js";
import {
  aggregators,
  allLines,
  lineKey,
  lineTitle,
  page,
  selectedLine,
  view,
} from "./state.js";
import { onCanvas } from "./view.js";
import {
  formatDriver,
  formatForce,
  formatOrigin,
  formatRules,
  sourceGroup,
} from "./words.js";

/** Length of a pulse of a simulated line. */
const PULSE_MS = 200;

/** Groups as they are shown: `{ root, head, lines }` by their keys. */
export const groups = new Map();

/** Ways to group lines: key and title of a line's group. */
const GROUPINGS = {
  aggregator: ({ aggregator }) => aggregator,
  source: sourceGroup,
  none: () => "all lines",
};

/** Puts all rows into their groups, and shows what they are. */
export function arrangeRows() {
  const grouping = GROUPINGS[prefs.group] ?? GROUPINGS.aggregator;
  const wanted = new Map();
  const put = (key, title, line) => {
    const known = wanted.get(key);
    if (known === undefined) wanted.set(key, { title, lines: [line] });
    else known.lines.push(line);
  };
  const names = [...aggregators.keys()].sort();
  const all = names.flatMap((
    name,
  ) => [...aggregators.get(name).lines.values()]);
  for (const line of all) {
    if (prefs.pinned.has(lineTitle(line))) put("pinned", "pinned", line);
  }
  if (grouping === GROUPINGS.aggregator) {
    // Also those without a line.
    for (const name of names) {
      wanted.set(`aggregator:${name}`, { title: name, lines: [] });
    }
  }
  for (const line of all) {
    if (prefs.pinned.has(lineTitle(line))) continue;
    const title = grouping(line);
    put(`${prefs.group}:${title}`, title, line);
  }
  for (const [key, { root }] of groups) {
    if (wanted.has(key)) continue;
    root.remove();
    groups.delete(key);
  }
  for (const [key, { title, lines }] of wanted) {
    const group = groups.get(key) ?? makeGroup(key, title);
    groups.set(key, group);
    group.lines = lines;
    for (const line of lines) {
      line.row ??= makeRow(line);
      const isOfGroup = key === `aggregator:${line.aggregator}`;
      setText(
        line.row.name,
        isOfGroup ? String(line.name || line.lineNumber) : lineTitle(line),
      );
      showLine(line);
    }
    group.root.replaceChildren(
      group.head,
      ...lines.map(({ row }) => row.root),
    );
  }
  // Those that stay in their order are not touched.
  [...wanted.keys()].forEach((key, i) => {
    const { root } = groups.get(key);
    const there = byId("groups").children[i];
    if (there !== root) byId("groups").insertBefore(root, there ?? null);
  });
  showGroups();
  applyFilter();
  showSelected();
}

function makeGroup(key, title) {
  const text = element("span");
  const head = element("h2", { tabIndex: 0 }, text);
  head.setAttribute("role", "button");
  const root = element("div", { className: "group" }, head);
  const group = { key, title, root, head, text, lines: [] };
  const toggle = () => toggleGroup(group);
  head.addEventListener("click", toggle);
  head.addEventListener("keydown", (event) => {
    if (event.key === "Enter") toggle();
  });
  return group;
}

export function toggleGroup({ key }) {
  if (!prefs.closed.delete(key)) prefs.closed.add(key);
  keepPrefs();
  showGroups();
  page.isDirty = true;
}

const linesText = (count) => count === 1 ? "1 line" : `${count} lines`;

/** Shows the heads of groups. */
export function showGroups() {
  for (const { key, title, root, head, text, lines } of groups.values()) {
    const isClosed = prefs.closed.has(key);
    root.classList.toggle("closed", isClosed);
    head.setAttribute("aria-expanded", String(!isClosed));
    const known = key === `aggregator:${title}`
      ? aggregators.get(title)
      : undefined;
    const sign = known === undefined ? "" : known.state.connected ? "● " : "○ ";
    setText(text, `${isClosed ? "▸" : "▾"} ${sign}${title}`);
    const facts = known === undefined
      ? [linesText(lines.length)]
      : listFacts(known);
    head.replaceChildren(
      text,
      ...facts.map((textContent) => element("small", { textContent })),
    );
  }
}

const sinceText = (ms) =>
  ms === undefined
    ? ""
    : ` since ${clockText(ms * 1000, 0).replace(/\.$/, "")}`;

/** State of an aggregator. */
function listFacts({ state, guest, counts, lines }) {
  const { connectedSince, startedSince } = state;
  const at = sinceText(connectedSince);
  const isChip = state.kernelChip !== undefined;
  const used = isChip ? "chip in use" : "VMM connected";
  const unused = isChip ? "chip not in use" : "no VMM";
  return [
    state.connected ? used + at : unused,
    ...!state.connected || isChip ? [] : [
      startedSince === undefined
        ? `guest ${guest ?? "not started"}`
        : `guest started${sinceText(startedSince)}`,
    ],
    ...counts === undefined ? [] : [
      `respawned ${counts.respawns} ×`,
      `faults ${counts.faults}`,
      `refused ${counts.refusals}`,
    ],
    linesText(lines.size),
    state.presentation,
    ...state.secondOf === undefined
      ? []
      : [`second exposure of ${state.secondOf}`],
    ...state.pid === undefined ? [] : [`process ${state.pid}`],
    ...state.ending === true ? ["being removed"] : [],
  ];
}

const isSimulated = ({ origin, source }) =>
  origin === undefined ? source.startsWith("simulated") : origin.kind === "sim";

/** Pulls a line for a moment. */
export async function pulse(line) {
  await pullLine(line, 1);
  setTimeout(() => void pullLine(line, 0), PULSE_MS);
}

/** Buttons that pull a line. */
const makePulls = (line) =>
  isSimulated(line)
    ? [
      element("button", { textContent: "0", onclick: () => pullLine(line, 0) }),
      element("button", { textContent: "1", onclick: () => pullLine(line, 1) }),
      element("button", { textContent: "pulse", onclick: () => pulse(line) }),
    ]
    : [];

function makeRow(line) {
  const name = element("button", {
    className: "name",
    onclick: () => select(view.selected === lineKey(line) ? undefined : line),
  });
  const direction = element("span", { className: "direction" });
  const value = element("span", { className: "value" });
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const source = element("span", { className: "source" });
  const driver = element("span", { className: "driver" });
  const buttons = element("span", { className: "buttons" });
  if (page.mayPull) buttons.append(...makePulls(line));
  const root = element(
    "div",
    { className: "line" },
    name,
    direction,
    value,
    canvas,
    source,
    driver,
    buttons,
  );
  root.dataset.key = lineTitle(line);
  name.title = lineTitle(line);
  onCanvas(canvas, line.edges);
  return { root, name, direction, value, canvas, source, driver };
}

/** Shows what a line is now. */
export function showLine(line) {
  const { row, direction, value, source, pendingRule, since } = line;
  if (row === undefined) return;
  setText(row.direction, direction === "output" ? "out" : "in");
  setText(row.value, line.isAbsent || value === undefined ? "?" : `${value}`);
  row.root.classList.toggle("absent", line.isAbsent === true);
  row.root.classList.toggle("pending", pendingRule !== undefined);
  row.root.classList.toggle("forced", line.forced !== undefined);
  const force = formatForce(line);
  const about = force !== undefined
    ? force
    : pendingRule === undefined
    ? [formatOrigin(line), ...formatRules(line)].join(" · ")
    : `${pendingRule.rule}: ${pendingRule.reason}`;
  const excludes = (line.interlocks ?? []).map((other) => ` ⊘ ${other}`);
  setText(row.source, about + excludes.join(""));
  row.source.title = `${source}: ${row.source.textContent}`;
  const at = since === undefined ? "" : clockText(since * 1000);
  setText(row.driver, `${at} ${formatDriver(line)}`.trim());
  row.driver.title = since === undefined
    ? ""
    : new Date(since).toLocaleString();
  row.canvas.setAttribute(
    "aria-label",
    `${
      lineTitle(line)
    }, ${row.direction.textContent}, ${row.value.textContent}`,
  );
}

// --- selection ---------------------------------------------------------------

/** Shows a line's details; undefined: none. */
export function select(line) {
  if (line === undefined) hideDetails();
  else view.selected = lineKey(line);
  showSelected();
  line?.row?.root.scrollIntoView({ block: "nearest" });
}

/** Shows the details of the selected line anew. */
function showSelected() {
  const selected = selectedLine();
  for (const { row } of allLines()) {
    if (row === undefined || row === selected?.row) continue;
    row.root.classList.remove("selected");
  }
  if (selected?.row === undefined) return hideDetails();
  selected.row.root.classList.add("selected");
  const actions = makeActions(selected, {
    pin: () => togglePin(selected),
    isPinned: prefs.pinned.has(lineTitle(selected)),
    pulls: makePulls(selected),
  });
  selected.row.root.after(showDetails(selected, actions, select));
}

/** Puts a line into the group at the top, or back. */
export function togglePin(line) {
  const title = lineTitle(line);
  if (!prefs.pinned.delete(title)) prefs.pinned.add(title);
  keepPrefs();
  arrangeRows();
}

/** Lines that are shown, from top to bottom. */
function shownLines() {
  return [...groups.values()].flatMap(({ key, lines }) =>
    prefs.closed.has(key) ? [] : lines.filter(({ row }) => !row.root.hidden)
  );
}

/** Selects the next line (1) or the one before (-1). */
export function selectBy(step) {
  const shown = shownLines();
  const at = shown.findIndex((line) => lineKey(line) === view.selected);
  const next = at < 0 ? (step > 0 ? 0 : shown.length - 1) : at + step;
  if (shown[next] !== undefined) select(shown[next]);
}

// --- filter ------------------------------------------------------------------

/** Shows the lines that have one of the filter's words in their names. */
export function applyFilter() {
  const quoted = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const words = byId("filter").value.trim().toLowerCase().split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => new RegExp(word.split("*").map(quoted).join(".*")));
  for (const { root, lines } of groups.values()) {
    let shown = 0;
    for (const line of lines) {
      const title = lineTitle(line).toLowerCase();
      const isShown = words.length === 0 ||
        words.some((word) => word.test(title));
      line.row.root.hidden = !isShown;
      if (isShown) shown++;
    }
    root.hidden = words.length > 0 && shown === 0;
  }
  page.isDirty = true;
}
