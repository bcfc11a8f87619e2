/**
 * Draws lanes: one canvas a line.
 *
 * @module
 */
import { clockText, findRuns } from "./edges.js";

/** Causes that are drawn with a pattern of their own, as well as a colour. */
const PATTERNED = { rule: [4, 3], operator: [1, 2] };

/** Colours of the page's style, read once for each change of theme. */
export function readColors() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    wave: of("--wave"),
    rule: of("--rule"),
    operator: of("--operator"),
    dense: of("--dense"),
    unknown: of("--unknown"),
    text: of("--text"),
    grid: of("--grid"),
    cursorA: of("--cursor-a"),
    cursorB: of("--cursor-b"),
    mark: of("--mark"),
  };
}

/** Fits a canvas to its place; returns its context, in CSS pixels. */
function prepare(canvas) {
  const ratio = globalThis.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== pixels[0]) canvas.width = pixels[0];
  if (canvas.height !== pixels[1]) canvas.height = pixels[1];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Draws one lane. `marks` are moments: `{ time, sign }`. */
export function paintLane(canvas, line, view, colors, marks) {
  const { context, width, height } = prepare(canvas);
  if (width === 0) return;
  const { from, to, now, cursors } = view;
  const toX = (time) => (time - from) / (to - from) * width;
  const top = 3.5;
  const bottom = Math.round(height) - 3.5;
  const end = Math.min(to, now);
  const columns = Math.max(0, Math.min(width, Math.ceil(toX(end))));
  const shown = from + (to - from) * columns / width;
  for (const run of columns > 0 ? findRuns(line, from, shown, columns) : []) {
    const { kind, start, end, edges, cause, rises } = run;
    if (kind === "dense") {
      context.fillStyle = colors.dense;
      context.fillRect(start, top, end - start, bottom - top);
      const text = String(edges);
      if (context.measureText(text).width + 4 < end - start) {
        context.fillStyle = colors.text;
        context.fillText(text, start + 2, (top + bottom) / 2 + 3);
      }
      continue;
    }
    if (kind === "unknown") {
      context.fillStyle = colors.unknown;
      for (let x = start; x < end; x += 6) {
        context.fillRect(x, (top + bottom) / 2, Math.min(3, end - x), 1);
      }
      continue;
    }
    const y = kind === "high" ? top : bottom;
    context.strokeStyle = colors[cause] ?? colors.wave;
    context.setLineDash([]);
    context.beginPath();
    if (rises) {
      context.moveTo(start + 0.5, top);
      context.lineTo(start + 0.5, bottom);
    }
    context.stroke();
    context.setLineDash(PATTERNED[cause] ?? []);
    context.beginPath();
    context.moveTo(start, y);
    context.lineTo(end, y);
    context.stroke();
    if (kind === "high") {
      context.globalAlpha = 0.12;
      context.fillStyle = colors[cause] ?? colors.wave;
      context.fillRect(start, top, end - start, bottom - top);
      context.globalAlpha = 1;
    }
  }
  context.setLineDash([]);
  context.fillStyle = colors.mark;
  for (const { time, sign } of marks) {
    if (time >= from && time <= to) {
      context.fillText(sign, toX(time) - 3, (top + bottom) / 2 + 4);
    }
  }
  paintCursors(context, cursors, toX, height, colors);
}

/** Draws the time axis. */
export function paintAxis(canvas, view, colors) {
  const { context, width, height } = prepare(canvas);
  if (width === 0) return;
  const { from, to, cursors } = view;
  const toX = (time) => (time - from) / (to - from) * width;
  const step = chooseStep((to - from) / Math.max(1, width / 110));
  context.fillStyle = colors.text;
  context.strokeStyle = colors.grid;
  const digits = step < 1000 ? 6 : step < 1e6 ? 3 : 0;
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    const x = Math.round(toX(time)) + 0.5;
    context.beginPath();
    context.moveTo(x, height - 4);
    context.lineTo(x, height);
    context.stroke();
    const text = clockText(time, digits).replace(/\.$/, "");
    context.fillText(text, x + 3, height - 5);
  }
  paintCursors(context, cursors, toX, height, colors);
}

function paintCursors(context, cursors, toX, height, colors) {
  for (const [i, time] of cursors.entries()) {
    if (time === undefined) continue;
    context.strokeStyle = i === 0 ? colors.cursorA : colors.cursorB;
    context.setLineDash(i === 0 ? [] : [3, 2]);
    context.beginPath();
    const x = Math.round(toX(time)) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
  }
  context.setLineDash([]);
}

/** A step of 1, 2 or 5 times a power of ten, or of whole minutes. */
function chooseStep(least) {
  for (const step of [60e6, 300e6, 600e6, 1800e6, 3600e6]) {
    if (least > 20e6 && step >= least) return step;
  }
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  for (const factor of [1, 2, 5, 10]) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}
