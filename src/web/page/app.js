/**
 * The page: what a service's lines do, and did.
 *
 * @module
 */
import { refreshDetails } from "./details.js";
import { byId, element, showProblem } from "./dom.js";
import { askForMetrics, listen } from "./feed.js";
import { showHead } from "./head.js";
import { askForHistory } from "./history.js";
import { changedColors, paint } from "./paint.js";
import { showPanels } from "./panels.js";
import { keepPrefs, prefs } from "./prefs.js";
import { get, pullLine } from "./service.js";
import { aggregators, counters, page, selectedLine, view } from "./state.js";
import {
  applyFilter,
  arrangeRows,
  groups,
  pulse,
  select,
  selectBy,
  toggleGroup,
  togglePin,
} from "./table.js";
import { triggerOn } from "./trigger.js";
import {
  changedView,
  forgetCursors,
  goLive,
  move,
  onCanvas,
  setSpan,
  stepEdge,
  togglePause,
  zoom,
} from "./view.js";

const SAVED_PERIOD = "-10m";
const METRICS_MS = 10_000;

// --- choices -----------------------------------------------------------------

byId("pause").onclick = togglePause;
byId("zoom-in").onclick = () => zoom(0.5);
byId("zoom-out").onclick = () => zoom(2);
byId("filter").value = prefs.filter;
byId("filter").oninput = () => {
  prefs.filter = byId("filter").value;
  keepPrefs();
  applyFilter();
};
byId("group").value = prefs.group;
byId("group").onchange = () => {
  prefs.group = byId("group").value;
  keepPrefs();
  arrangeRows();
};
byId("window").onchange = () => {
  setSpan(Number(byId("window").value) || view.span);
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
matchMedia("(prefers-color-scheme: dark)")
  .addEventListener("change", changedColors);
for (const name of ["resize", "scroll"]) {
  addEventListener(name, () => {
    page.isDirty = true;
  });
}

// --- keys --------------------------------------------------------------------

/** Does something with the selected line. */
const ofSelected = (act) => () => {
  const line = selectedLine();
  if (line !== undefined) act(line);
};
/** The same where it may be pulled. */
const pulling = (act) =>
  ofSelected((line) => {
    if (page.mayPull) void act(line);
  });
const groupOfSelected = (line) =>
  groups.values().find(({ lines }) => lines.includes(line));

const KEYS = {
  " ": togglePause,
  "+": () => zoom(0.5),
  "-": () => zoom(2),
  "ArrowLeft": () => move(-0.25),
  "ArrowRight": () => move(0.25),
  "ArrowUp": () => selectBy(-1),
  "ArrowDown": () => selectBy(1),
  "k": () => selectBy(-1),
  "j": () => selectBy(1),
  "Home": goLive,
  "Escape": () => {
    select(undefined);
    forgetCursors();
  },
  "/": () => byId("filter").focus(),
  "n": ofSelected((line) => stepEdge(line, 1)),
  "p": ofSelected((line) => stepEdge(line, -1)),
  "t": ofSelected(triggerOn),
  "*": ofSelected(togglePin),
  "c": ofSelected((line) => toggleGroup(groupOfSelected(line))),
  "0": pulling((line) => pullLine(line, 0)),
  "1": pulling((line) => pullLine(line, 1)),
  "!": pulling(pulse),
};
/** Keys that buttons have a use for. */
const OF_BUTTONS = [" ", "Enter"];

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { tagName } = event.target;
  if (/^(?:INPUT|SELECT)$/.test(tagName)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (tagName === "BUTTON" && OF_BUTTONS.includes(event.key)) return;
  const act = KEYS[event.key];
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

try {
  if (prefs.span !== undefined) setSpan(prefs.span);
  await login();
  ({ mayPull: page.mayPull } = await get("/access"));
  byId("badge").textContent = page.mayPull ? "may pull" : "read only";
  document.body.classList.toggle("pulling", page.mayPull);
  onCanvas(byId("axis"), undefined);
  await askForHistory();
  listen();
  setInterval(() => {
    showHead();
    showPanels();
    ofSelected(refreshDetails)();
  }, 1000);
  setInterval(() => void askForMetrics(), METRICS_MS);
  paint();
  // For tests: what is shown, as data.
  globalThis.gpioagg = { aggregators, counters, view };
} catch (error) {
  showProblem(error.message);
}
