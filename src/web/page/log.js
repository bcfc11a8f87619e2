/**
 * Events as text.
 *
 * @module
 */
import { byId, element } from "./dom.js";
import { clockText } from "./edges.js";
import { jumpTo } from "./view.js";

const MAX_LOG = 500;

/** Logs an event; a click shows that moment in the diagrams. */
export function logEvent(timeUs, text) {
  const list = byId("log");
  const jump = element(
    "button",
    { onclick: () => jumpTo(timeUs) },
    element("time", { textContent: clockText(timeUs) }),
    text,
  );
  list.prepend(element("li", {}, jump));
  while (list.childElementCount > MAX_LOG) list.lastChild.remove();
}
