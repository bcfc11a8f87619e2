/**
 * Choices that outlive the page: grouping, closed groups, pinned lines, filter,
 * length of the window.
 *
 * @module
 */
const STORAGE_KEY = "gpioagg";

function read() {
  try {
    const { group, closed, pinned, filter, span } = JSON.parse(
      localStorage.getItem(STORAGE_KEY) ?? "{}",
    );
    const list = (value) =>
      Array.isArray(value)
        ? value.filter((one) => typeof one === "string")
        : [];
    return {
      group: typeof group === "string" ? group : "aggregator",
      closed: new Set(list(closed)),
      pinned: new Set(list(pinned)),
      filter: typeof filter === "string" ? filter : "",
      span: Number.isFinite(span) ? span : undefined,
    };
  } catch {
    // Not ours, or this browser keeps nothing.
    return {
      group: "aggregator",
      closed: new Set(),
      pinned: new Set(),
      filter: "",
      span: undefined,
    };
  }
}

export const prefs = read();

/** Keeps them. */
export function keepPrefs() {
  const { group, closed, pinned, filter, span } = prefs;
  const text = JSON.stringify({
    group,
    closed: [...closed],
    pinned: [...pinned],
    filter,
    span,
  });
  try {
    localStorage.setItem(STORAGE_KEY, text);
  } catch {
    // This browser keeps nothing.
  }
}
