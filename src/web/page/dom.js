/**
 * Elements of the page.
 *
 * @module
 */
export const byId = (id) => document.getElementById(id);

/** Makes an element. Texts are texts, never markup. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Shows a text if it is not shown yet. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Shows texts, or elements, as items. */
export function list(id, items) {
  const shown = items.length === 0 ? ["none"] : items;
  byId(id).replaceChildren(...shown.map((item) => element("li", {}, item)));
}

/** Shows pairs of terms and texts. */
export function pairs(target, entries) {
  target.replaceChildren(
    ...entries.flatMap(([name, value]) => [
      element("dt", { textContent: name }),
      element("dd", {}, ...[value].flat()),
    ]),
  );
}

export function showProblem(text) {
  setText(byId("problem"), text);
  byId("problem").hidden = text === "";
}
