/**
 * The head of the page: how much is there, the time, the cursors.
 *
 * @module
 */
import { byId, setText } from "./dom.js";
import { clockText, periodText } from "./edges.js";
import { aggregators, nowUs, view } from "./state.js";

/** Shows it. */
export function showHead() {
  const all = [...aggregators.values()];
  const count = all.reduce((sum, { lines }) => sum + lines.size, 0);
  const connected = all.filter(({ state }) => state.connected).length;
  const time = clockText(nowUs(), 0).replace(/\.$/, "");
  setText(
    byId("summary"),
    `${connected} of ${all.length} with a VMM, ${count} lines, ${time}, ` +
      (view.end === undefined ? "live" : "paused"),
  );
  setText(byId("pause"), view.end === undefined ? "Pause" : "Live");
  const [a, b] = view.cursors;
  const texts = [
    ...a === undefined ? [] : [`A ${clockText(a, 6)}`],
    ...b === undefined ? [] : [`B ${clockText(b, 6)}`],
    ...a === undefined || b === undefined ? [] : [`Δ ${periodText(b - a)}`],
  ];
  setText(byId("cursor"), texts.join("  "));
}
