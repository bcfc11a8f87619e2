/**
 * Panels that change slowly: wiring, alarms, counters.
 *
 * @module
 */
import { byId, list, pairs } from "./dom.js";
import { periodText } from "./edges.js";
import { aggregators, allLines, counters, lineTitle, nowUs } from "./state.js";
import { findWiring, formatForce } from "./words.js";

/** An aggregator without a VMM for so long is an alarm. */
const MISSING_US = 30e6;
/** Time for which an event is an alarm. */
const FRESH_US = 60e6;

/** Sums of the service's own counters, once they are known. */
export const metrics = { sums: {} };
let edgesBefore = 0;

/** Shows which lines are wired. */
export function showWiring() {
  list(
    "wiring",
    findWiring(allLines().map((line) => ({ title: lineTitle(line), line }))),
  );
}

/** Alarms: states that should not be. */
function alarms() {
  const now = nowUs();
  const found = [];
  for (const [name, { state, missingSince, lastEvents = {} }] of aggregators) {
    const { kernelChip, ending } = state;
    if (missingSince !== undefined && kernelChip === undefined) {
      const missing = now - missingSince;
      if (missing > MISSING_US) {
        found.push(`${name}: no VMM for ${periodText(missing)}`);
      }
    }
    if (kernelChip?.present === false) found.push(`${name}: its chip is gone`);
    for (const chip of kernelChip?.lostChips ?? []) {
      found.push(`${name}: ${chip} is gone`);
    }
    if (ending === true) found.push(`${name}: is being removed, and waits`);
    for (const [kind, { timeUs, detail }] of Object.entries(lastEvents)) {
      const age = now - timeUs;
      if (age > FRESH_US) continue;
      found.push(`${name}: ${kind} ${periodText(age)} ago: ${detail}`);
    }
  }
  for (const line of allLines()) {
    const { pendingRule, isAbsent, rule } = line;
    const title = lineTitle(line);
    const force = formatForce(line);
    if (force !== undefined) found.push(`${title}: ${force}`);
    if (pendingRule !== undefined) {
      found.push(`${title}: ${pendingRule.rule} is not applied yet`);
    }
    if (isAbsent) found.push(`${title}: its chip is absent`);
    if (rule === "safe-after") {
      found.push(`${title}: its guest is silent; it has its safe value`);
    }
  }
  if (counters.lost > 0) {
    found.push(`${counters.lost} edges or events are missing here`);
  }
  return found;
}

/** Shows alarms and counters. To be called once a second. */
export function showPanels() {
  list("alarms", alarms());
  const { edges, refused, faults, lost } = counters;
  pairs(byId("counters"), [
    ["edges", `${edges}`],
    ["edges in the last second", `${edges - edgesBefore}`],
    ...Object.entries(metrics.sums).map(([name, value]) => [name, `${value}`]),
    ["refused", `${refused}`],
    ["faults", `${faults}`],
    ["lost", `${lost}`],
  ]);
  edgesBefore = edges;
}
