/**
 * A trigger: the view stops at an edge.
 *
 * @module
 */
import { byId, element } from "./dom.js";
import { allLines, lineKey, lineTitle, view } from "./state.js";
import { changedView } from "./view.js";

/** Offers all lines. */
export function fillTrigger() {
  const select = byId("trigger-line");
  const chosen = select.value;
  select.replaceChildren(
    element("option", { value: "", textContent: "none" }),
    ...allLines().map((line) =>
      element("option", { value: lineKey(line), textContent: lineTitle(line) })
    ),
  );
  select.value = chosen;
}

/** Waits for an edge of a line. */
export function triggerOn(line) {
  view.end = undefined;
  byId("trigger-line").value = lineKey(line);
  changedView();
}

/** Stops the view if it was this edge that was waited for. */
export function checkTrigger(edge, before, level, time) {
  if (view.end !== undefined || byId("trigger-line").value !== lineKey(edge)) {
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
