/**
 * The part of time that is shown: pause, zoom, move, cursors.
 *
 * @module
 */
import { byId } from "./dom.js";
import { nearestEdge, neighbour } from "./edges.js";
import { showHead } from "./head.js";
import { fillHistory } from "./history.js";
import { keepPrefs, prefs } from "./prefs.js";
import { nowUs, page, range, view } from "./state.js";

const MAX_WINDOW_US = 24 * 3600e6;
const MIN_WINDOW_US = 20;
/** Rest of the view before the past is asked for. */
const SETTLE_MS = 150;
/** Reach of a click for an edge, in pixels. */
const REACH = 8;

let timer;

/** To be called after each change of the view. */
export function changedView() {
  page.isDirty = true;
  clearTimeout(timer);
  timer = setTimeout(() => void fillHistory(), SETTLE_MS);
  showHead();
}

export function setSpan(span) {
  view.span = Math.min(MAX_WINDOW_US, Math.max(MIN_WINDOW_US, span));
  byId("window").value = String(view.span);
  prefs.span = view.span;
  keepPrefs();
}

/** Zooms; `around` stays where it is. */
export function zoom(factor, around) {
  const [from, to] = range();
  const time = around ?? (from + to) / 2;
  const share = (to - time) / (to - from);
  setSpan(view.span * factor);
  if (view.end !== undefined) view.end = time + share * view.span;
  changedView();
}

/** Moves by a share of the window; back to now at its end. */
export function move(share) {
  const [, to] = range();
  view.end = to + share * view.span;
  if (view.end >= nowUs()) view.end = undefined;
  changedView();
}

export function togglePause() {
  view.end = view.end === undefined ? nowUs() : undefined;
  changedView();
}

export function goLive() {
  view.end = undefined;
  changedView();
}

/** Shows a moment in the middle, with a cursor. */
export function jumpTo(time) {
  view.end = time + view.span / 2;
  view.cursors[0] = time;
  changedView();
}

/** Moves the cursor to the next (1) or the last (-1) edge of a line. */
export function stepEdge({ edges }, direction) {
  const [from, to] = range();
  const time = neighbour(
    edges,
    view.cursors[0] ?? (direction > 0 ? from : to),
    direction,
  );
  if (time === undefined) return;
  if (time < from || time > to) return jumpTo(time);
  // It would leave a live view.
  view.end ??= to;
  view.cursors[0] = time;
  changedView();
}

export function forgetCursors() {
  view.cursors = [undefined, undefined];
  changedView();
}

/** A finger has no shift key: it sets the cursors in turn. */
function selectCursor({ shiftKey, pointerType }) {
  if (pointerType !== "touch") return shiftKey ? 1 : 0;
  const [a, b] = view.cursors;
  if (a === undefined || b === undefined) return a === undefined ? 0 : 1;
  view.cursors[1] = undefined;
  return 0;
}

/** Has a canvas zoom, move and set cursors; `line` has the edges in it. */
export function onCanvas(canvas, line) {
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
  canvas.addEventListener("pointercancel", () => drag = undefined);
  canvas.addEventListener("pointerup", (event) => {
    if (drag?.hasMoved === false) {
      const time = timeAt(event);
      const near = line === undefined ? undefined : nearestEdge(line, time);
      const reach = view.span / canvas.clientWidth * REACH;
      view.cursors[selectCursor(event)] =
        near !== undefined && Math.abs(near - time) < reach ? near : time;
      changedView();
    }
    drag = undefined;
  });
}
