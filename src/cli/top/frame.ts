/**
 * A picture of the state, as rows of text that fit the terminal. Pure.
 *
 * @module
 */
import { printable } from "../../text/printable.ts";
import { originText, ruleTexts } from "../output/line_facts.ts";
import type { TopAggregator, TopLine, TopModel } from "./model.ts";
import { periodText } from "./steps.ts";
import { cut, fill, measureWidth } from "./width.ts";

/** Below this a line shows its name, value and wave only. */
const WIDE = 60;
const MAX_NAME = 20;
const MIN_NAME = 6;
/** Largest part of the rows that messages get. */
const MESSAGE_PART = 0.25;
/** Largest part of the rows that the details of a line get. */
const DETAIL_PART = 0.5;
/** Width of what a detail is. **Units**: characters. */
const DETAIL_COLUMNS = 13;
const CAUSE_COLUMNS = 9;
const COUNT_COLUMNS = 7;
const AGE_COLUMNS = 7;

/** Surroundings of a picture. */
export interface FrameOptions {
  /** **Units**: characters. */
  readonly columns: number;
  /** Undefined: as many as are needed. */
  readonly rows: number | undefined;
  /** Present time. **Units**: milliseconds since 1970. */
  readonly nowMs: number;
  /** Present time in words. */
  readonly timeText: string;
  /** Returns a time in words. **Units**: milliseconds since 1970. */
  readonly formatTime: (ms: number) => string;
  readonly hasColor: boolean;
  /** Set if keys are read. */
  readonly hasKeys: boolean;
}

const COLORS = {
  bold: "1",
  dim: "2",
  green: "32",
  yellow: "33",
  reverse: "7",
} as const;

const HELP = [
  "up/down j/k  select a line        /  filter by name (Esc: none)",
  "space        pause                +/-  shorter, longer time",
  "0 1          pull the line        p  pulse it for 200 ms",
  "r            sort by last change  s  save a VCD file",
  "enter        all about the line   q  quit",
  "pulls are for simulated lines",
];
const KEYS =
  "q quit  ? help  / filter  space pause  +- time  0 1 p pull  s save  enter more";

/** Returns the rows of the picture, none of them wider than the terminal. */
export function frame(model: TopModel, options: FrameOptions): string[] {
  const { columns, rows, hasKeys } = options;
  const head = [headRow(model, options)];
  const foot = hasKeys ? footRows(model, options) : [];
  const details = detailRows(model, options);
  const messages = messageRows(model, options);
  const others = [head, details, messages, foot]
    .reduce((sum, { length }) => sum + length, 0);
  const space = rows === undefined ? Infinity : Math.max(1, rows - others);
  const body = bodyRows(model, options, space);
  const all = [...head, ...body, ...details, ...messages, ...foot];
  return all.slice(0, rows).map((row) => row(columns));
}

/** A row for a number of columns. */
type Row = (columns: number) => string;

function plain(text: string, paint: (text: string) => string = same): Row {
  return (columns) => paint(cut(text, columns));
}

function same(text: string): string {
  return text;
}

function painter(hasColor: boolean) {
  return (color: keyof typeof COLORS) => (text: string) =>
    hasColor && text !== "" ? `\x1b[${COLORS[color]}m${text}\x1b[0m` : text;
}

function headRow(model: TopModel, options: FrameOptions): Row {
  const { view, aggregators } = model;
  const connected = aggregators.filter(({ isConnected }) => isConnected).length;
  const state = view.pausedMs === undefined ? options.timeText : "PAUSED";
  const lines = aggregators.reduce((sum, { lines }) => sum + lines.length, 0);
  const { length: count } = aggregators;
  const text = [
    "gpioagg",
    state,
    `${periodText(view.windowMs)} window`,
    `${connected} of ${count} connected`,
    lines === 1 ? "1 line" : `${lines} lines`,
    ...(view.isByChange ? ["by last change"] : []),
    ...(view.filter === "" ? [] : [`filter ${printable(view.filter)}`]),
  ].join("  ");
  return plain(text, painter(options.hasColor)("bold"));
}

function footRows({ view }: TopModel, options: FrameOptions): Row[] {
  const paint = painter(options.hasColor);
  if (view.isFiltering) return [plain(`/${printable(view.filter)}_`)];
  if (!view.isHelpShown) return [plain(KEYS, paint("dim"))];
  return HELP.map((text) => plain(text));
}

/** All about the selected line; what is not known is left out. */
function detailRows(model: TopModel, options: FrameOptions): Row[] {
  const { selected, view } = model;
  const { hasKeys, hasColor, rows = 0, nowMs, formatTime } = options;
  if (!hasKeys || !view.isDetailShown || selected === undefined) return [];
  const { line, cause, sinceMs } = selected;
  const { interlocks = [], pendingRule, forced } = line;
  const since = sinceMs === undefined
    ? ""
    : ` since ${formatTime(sinceMs)} (${ageText(sinceMs, nowMs)})`;
  const facts: [string, string][] = [
    ["source", originText(line)],
    ["followed by", model.followers(selected).join(", ")],
    ["rules", ruleTexts(line).join(", ")],
    ["excludes", interlocks.join(", ")],
    ["driven by", `${cause}${since}`],
    [
      "forced",
      forced === undefined
        ? ""
        : `to ${forced.value} until ${formatTime(forced.until)} by user ` +
          `${forced.by}: ${forced.reason}`,
    ],
    [
      "not applied",
      pendingRule === undefined
        ? ""
        : `${pendingRule.rule}: ${pendingRule.reason}`,
    ],
  ];
  const title = `${fullName(selected)}, number ${selected.lineNumber}`;
  const texts = facts.filter(([, text]) => text !== "")
    .map(([name, text]) => `  ${name.padEnd(DETAIL_COLUMNS)}${text}`);
  return [
    plain(printable(title), painter(hasColor)("bold")),
    ...texts.map((text) => plain(printable(text, 1000))),
  ].slice(0, Math.floor(rows * DETAIL_PART));
}

function messageRows(
  { messages }: TopModel,
  { rows = 0, hasKeys }: FrameOptions,
): Row[] {
  if (!hasKeys || messages.length === 0) return [];
  const count = Math.floor(rows * MESSAGE_PART);
  return count === 0
    ? []
    : messages.slice(-count).map((text) => plain(printable(text, 1000)));
}

function bodyRows(
  model: TopModel,
  options: FrameOptions,
  space: number,
): Row[] {
  const { lines, selected, aggregators, view } = model;
  if (lines.length === 0) {
    return [plain(
      view.filter === ""
        ? aggregators.length === 0 ? "no aggregators" : "no lines"
        : `no line has "${printable(view.filter)}" in its name`,
    )];
  }
  const widest = Math.max(
    ...lines.map((line) =>
      measureWidth(printable(view.isByChange ? fullName(line) : line.name))
    ),
  );
  const rows: Row[] = [];
  let at = 0;
  let last: string | undefined;
  for (const line of lines) {
    if (!view.isByChange && line.aggregator !== last) {
      last = line.aggregator;
      rows.push(
        groupRow(aggregators.find(({ name }) => name === last)!, options),
      );
    }
    if (line === selected) at = rows.length;
    rows.push(lineRow(line, model, { ...options, widest }));
  }
  if (rows.length <= space) return rows;
  // The selection stays in view, in the middle where there is more around.
  const from = Math.max(
    0,
    Math.min(rows.length - space, at - Math.floor(space / 2)),
  );
  return rows.slice(from, from + space);
}

function groupRow(
  { name, isConnected, isKernelChip }: TopAggregator,
  { hasColor }: FrameOptions,
): Row {
  const use = isKernelChip
    ? isConnected ? "chip in use" : "chip not in use"
    : isConnected
    ? "VMM connected"
    : "VMM not connected";
  const text = `${isConnected ? "●" : "○"} ${printable(name)}  ${use}`;
  return plain(text, painter(hasColor)(isConnected ? "bold" : "dim"));
}

function fullName({ aggregator, name }: TopLine): string {
  return `${aggregator}.${name}`;
}

function lineRow(
  line: TopLine,
  { selected, view }: TopModel,
  options: FrameOptions & { widest: number },
): Row {
  const { hasColor, hasKeys, nowMs, widest } = options;
  const paint = painter(hasColor);
  const { value } = line.wave;
  const isSelected = hasKeys && line === selected;
  return (columns) => {
    const isWide = columns >= WIDE;
    const most = isWide ? MAX_NAME : Math.max(MIN_NAME, columns >> 2);
    const shown = printable(view.isByChange ? fullName(line) : line.name);
    const name = fill(shown, Math.min(most, widest));
    const direction = isWide
      ? line.direction === "output" ? "out " : "in  "
      : "";
    const lead = `${isSelected ? ">" : " "} `;
    const tail = isWide
      ? ` ${String(line.changes).padStart(COUNT_COLUMNS)}  ${
        fill(line.cause, CAUSE_COLUMNS)
      }${ageText(line.sinceMs, nowMs).padStart(AGE_COLUMNS)}`
      : "";
    const taken = measureWidth(lead) + measureWidth(name) + 1 +
      direction.length + 2 +
      measureWidth(tail);
    const toMs = view.pausedMs ?? nowMs;
    const wave = line.wave.text(
      toMs - view.windowMs,
      toMs,
      Math.max(0, columns - taken),
    );
    const digit = value === undefined ? "?" : String(value);
    const color = value === undefined
      ? "yellow"
      : value === 1
      ? "green"
      : "dim";
    const label = `${lead}${name}`;
    return cutRow(
      `${isSelected ? paint("reverse")(label) : label} ${direction}${
        paint(color)(digit)
      } ${paint(value === 1 ? "green" : "dim")(wave)}${tail}`,
      taken <= columns,
      columns,
    );
  };
}

/** Returns a row with colours; without them if it has to be cut. */
function cutRow(text: string, fits: boolean, columns: number): string {
  if (fits) return text;
  // deno-lint-ignore no-control-regex
  return cut(text.replaceAll(/\x1b\[\d*m/g, ""), columns);
}

function ageText(lastMs: number | undefined, nowMs: number): string {
  return lastMs === undefined ? "" : periodText(Math.max(0, nowMs - lastMs));
}
