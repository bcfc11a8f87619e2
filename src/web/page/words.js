/**
 * State of a line, as text. Pure.
 *
 * @module
 */

import { clockText } from "./edges.js";

/** A period of the API as a SPEC has it: `5ms`. */
function specPeriod(us) {
  if (us % 1e6 === 0) return `${us / 1e6}s`;
  return us % 1000 === 0 ? `${us / 1000}ms` : `${us}us`;
}

const RULES = {
  direction: (value) => `direction=${value}`,
  activeLow: () => "active-low",
  bias: (value) => `bias=${value}`,
  drive: (value) => `drive=${value}`,
  debounceUs: (us) => `debounce=${specPeriod(us)}`,
  initial: (value) => `initial=${value}`,
  safe: (value) => `safe=${value}`,
  onDisconnect: (value) => `on-disconnect=${value}`,
  safeAfterUs: (us) => `safe-after=${specPeriod(us)}`,
  minIntervalUs: (us) => `min-interval=${specPeriod(us)}`,
  shared: () => "shared",
  combine: (value) => `combine=${value}`,
};

/** The rules of a line, as words of a SPEC: `safe=0`. */
export function formatRules({ rules = {} }) {
  return Object.entries(rules)
    // What a safe value means anyway.
    .filter(([name, value]) => name !== "onDisconnect" || value !== "safe")
    .map(([name, value]) => RULES[name]?.(value) ?? `${name}=${value}`);
}

/**
 * Last driver of a line: `guest`, `rule safe-after`.
 *
 * @param {{ drivenBy?: string, rule?: string }} line
 */
export function formatDriver({ drivenBy, rule }) {
  if (drivenBy === undefined) return "";
  return rule === undefined ? drivenBy : `${drivenBy} ${rule}`;
}

/**
 * Holder of a line at a value, and the end of that; undefined: nothing does.
 *
 * @param {{ forced?: { value: number, until: number, by: number,
 *   reason: string } }} line
 */
export function formatForce({ forced }) {
  if (forced === undefined) return undefined;
  const { value, until, by, reason } = forced;
  const end = clockText(until * 1000, 0).replace(/\.$/, "");
  return `forced to ${value} until ${end} by user ${by}: ${reason}`;
}

/**
 * The source of a line as a SPEC has it: `gpiochip0/4`.
 *
 * @param {{ origin?: any, source?: string }} line
 */
export function formatOrigin({ origin, source }) {
  switch (origin?.kind) {
    case "chip":
      return `${origin.chip}/${origin.offset}`;
    case "line-name":
      return `line "${origin.lineName}"`;
    case "sim":
      return "sim";
    case "const":
      return `const/${origin.value}`;
    case undefined:
      return source;
    default:
      return `${origin.kind}/${origin.of}`;
  }
}

/**
 * The group of a line by its source.
 *
 * @param {{ origin?: any, source?: string }} line
 */
export function sourceGroup({ origin, source }) {
  switch (origin?.kind) {
    case "chip":
      return origin.chip;
    case "line-name":
      return "lines by their names";
    case "sim":
      return "simulated lines";
    case "const":
      return "constants";
    case "wire":
    case "copy":
    case "invert":
      return "lines that follow others";
    default:
      return source;
  }
}

/** The host line of a line, by which several aggregators may share it. */
function hostLine({ origin }) {
  if (origin?.kind === "chip") return `${origin.chip}/${origin.offset}`;
  return origin?.kind === "line-name" ? `"${origin.lineName}"` : undefined;
}

const FOLLOWS = { wire: "→", copy: "⇉", invert: "⇾ not" };

/**
 * Wires between lines: each line that others follow, host lines that several
 * have, and lines that exclude each other. `lines`: `{ title, line }` of all.
 */
export function findWiring(lines) {
  const wires = new Map();
  const hosts = new Map();
  const exclusive = new Set();
  const add = (map, key, value) => {
    const known = map.get(key);
    if (known === undefined) map.set(key, [value]);
    else known.push(value);
  };
  for (const { title, line } of lines) {
    const arrow = FOLLOWS[line.origin?.kind];
    if (arrow !== undefined) add(wires, `${line.origin.of} ${arrow}`, title);
    const host = hostLine(line);
    if (host !== undefined) add(hosts, host, title);
    for (const other of line.interlocks ?? []) {
      exclusive.add([title, other].toSorted().join(" ⊘ "));
    }
  }
  return [
    ...[...wires].map(([from, to]) => `${from} ${to.join(", ")}`),
    ...[...hosts].filter(([, users]) => users.length > 1)
      .map(([host, users]) => `${host} ⇉ ${users.join(", ")}`),
    ...exclusive,
  ];
}

/** The line that a text of an event begins with; undefined: none of them. */
export function lineOfDetail(detail, lines) {
  for (const line of lines) {
    const title = line.name === "" ? `line ${line.lineNumber}` : line.name;
    if (
      detail.startsWith(title) && /^(?:[:,=]| has )/.test(
        detail.slice(title.length),
      )
    ) return line;
  }
  return undefined;
}
