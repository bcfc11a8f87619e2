/**
 * Paints the lanes that are to be seen.
 *
 * @module
 */
import { byId } from "./dom.js";
import { prefs } from "./prefs.js";
import { aggregators, nowUs, page, range, view } from "./state.js";
import { groups, showLine } from "./table.js";
import { paintAxis, paintLane, readColors } from "./waves.js";

let colors = readColors();

/** Reads the colours of the page's style again. */
export function changedColors() {
  colors = readColors();
  page.isDirty = true;
}

/** Paints, from now on. */
export function paint() {
  requestAnimationFrame(paint);
  if (view.end !== undefined && !page.isDirty) return;
  page.isDirty = false;
  const [from, to] = range();
  const shown = { from, to, now: nowUs(), cursors: view.cursors };
  paintAxis(byId("axis"), shown, colors);
  for (const { key, root, lines } of groups.values()) {
    if (root.hidden || prefs.closed.has(key)) continue;
    const { top, bottom } = root.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) continue;
    for (const line of lines) {
      if (line.isStale) {
        line.isStale = false;
        showLine(line);
      }
      const { root, canvas } = line.row;
      if (root.hidden) continue;
      const marks = aggregators.get(line.aggregator)?.marks ?? [];
      const own = marks.filter(({ lineNumber = line.lineNumber }) =>
        lineNumber === line.lineNumber
      );
      paintLane(canvas, line.edges, shown, colors, own);
    }
  }
}
