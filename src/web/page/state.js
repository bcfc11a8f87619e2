/**
 * State of the page: aggregators, their lines, and what of them is shown.
 *
 * @module
 */

/**
 * Aggregators by name: what the service says (`state`), their `lines` by number,
 * and `marks` of moments in their lanes.
 */
export const aggregators = new Map();
export const counters = { edges: 0, lost: 0, refused: 0, faults: 0 };
export const view = {
  /** Length. */
  span: 10e6,
  /** End; undefined: now, which goes on. */
  end: undefined,
  cursors: [undefined, undefined],
  /** Key of the selected line. */
  selected: undefined,
};
/** Rights of the page, and what changed since it was painted. */
export const page = {
  mayPull: false,
  isDirty: true,
  /** Difference of the service's clock to this one's. */
  skewUs: 0,
};

export const nowUs = () => Date.now() * 1000 + page.skewUs;

/** Begin and end of what is shown. */
export function range() {
  const end = view.end ?? nowUs();
  return [end - view.span, end];
}

/** Key of a line, or of an edge. */
export const lineKey = ({ aggregator, lineNumber }) =>
  `${aggregator}.${lineNumber}`;

/** Name of a line with its aggregator's, or its number where it has none. */
export const lineTitle = ({ aggregator, name, lineNumber }) =>
  `${aggregator}.${name || lineNumber}`;

/** All lines, by aggregator. */
export function allLines() {
  return [...aggregators.values()].flatMap(({ lines }) => [...lines.values()]);
}

/** The line of an edge, or of a key's two parts. */
export function findLine({ aggregator, lineNumber }) {
  return aggregators.get(aggregator)?.lines.get(lineNumber);
}

/** The selected line. */
export function selectedLine() {
  return view.selected === undefined
    ? undefined
    : allLines().find((line) => lineKey(line) === view.selected);
}
