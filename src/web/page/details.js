/**
 * All about the selected line, below its row.
 *
 * @module
 */
import { element, pairs, setText } from "./dom.js";
import { clockText, periodText } from "./edges.js";
import { allLines, lineTitle, nowUs, page, view } from "./state.js";
import { triggerOn } from "./trigger.js";
import { jumpTo, stepEdge } from "./view.js";
import { formatDriver, formatForce, formatRules } from "./words.js";

const root = element("div", { className: "details" });
const facts = element("dl");
root.append(facts);

/** A name of a line that leads to it. */
const link = (title, select) => {
  const line = allLines().find((one) => lineTitle(one) === title);
  if (line === undefined) return title;
  return element("button", {
    className: "link",
    textContent: title,
    onclick: () => select(line),
  });
};

/** Texts or elements with commas between them. */
const joined = (items) =>
  items.length === 0
    ? "none"
    : items.flatMap((item, i) => i === 0 ? [item] : [", ", item]);

/** Texts that change while the rest stays. */
let live = {};

/** Shows the details of a line. `actions`: buttons; `select` chooses another. */
export function showDetails(line, actions, select) {
  const { origin, source, interlocks = [], pendingRule } = line;
  const title = lineTitle(line);
  const followers = allLines().filter((one) => one.origin?.of === title)
    .map((one) => link(lineTitle(one), select));
  live = {
    driver: element("span"),
    since: element("button", {
      className: "link",
      onclick: () => jumpTo(line.since * 1000),
    }),
    ago: element("span"),
    edges: element("span"),
    refused: element("span"),
  };
  pairs(facts, [
    ["line", `${title}, number ${line.lineNumber} of its guest`],
    [
      "source",
      origin?.of === undefined
        ? source
        : [`${origin.kind} `, link(origin.of, select)],
    ],
    ["followed by", joined(followers)],
    ["rules", formatRules(line).join(", ") || "none"],
    ["excludes", joined(interlocks.map((other) => link(other, select)))],
    ["driven by", live.driver],
    ["since", [live.since, live.ago]],
    ["edges here", live.edges],
    ...line.forced === undefined ? [] : [["forced", formatForce(line)]],
    ...pendingRule === undefined ? [] : [[
      "not applied",
      `${pendingRule.rule}: ${pendingRule.reason}`,
    ]],
    ["last refusal", live.refused],
  ]);
  refreshDetails(line);
  root.replaceChildren(facts, actions);
  return root;
}

/** Shows what has changed of the line that is shown. */
export function refreshDetails(line) {
  const { since, edges, refused } = line;
  setText(live.driver, formatDriver(line) || "not known");
  const isKnown = since !== undefined;
  live.since.hidden = !isKnown;
  if (isKnown) {
    const date = new Date(since).toLocaleDateString();
    setText(live.since, `${date} ${clockText(since * 1000)}`);
  }
  const age = periodText(Math.max(0, nowUs() - since * 1000));
  setText(live.ago, isKnown ? ` (${age} ago)` : "not known");
  setText(live.edges, `${edges.countOfEdges}`);
  setText(
    live.refused,
    refused === undefined
      ? "none"
      : `${clockText(refused.timeUs)} ${refused.text}`,
  );
}

/** Buttons for the selected line. */
export function makeActions(line, { pin, isPinned, pulls }) {
  const button = (textContent, title, onclick) =>
    element("button", { textContent, title, onclick });
  return element(
    "p",
    {},
    button("◀ edge", "p", () => stepEdge(line, -1)),
    button("edge ▶", "n", () => stepEdge(line, 1)),
    button("stop at its next edge", "t", () => triggerOn(line)),
    button(isPinned ? "unpin" : "pin to the top", "*", pin),
    ...page.mayPull ? pulls : [],
  );
}

/** Takes the details away. */
export function hideDetails() {
  view.selected = undefined;
  root.remove();
}
