/**
 * Curves as an SVG picture, for the documentation.
 *
 * @module
 */
import type { Growth } from "./scale.ts";

const PANEL = { width: 380, height: 240 };
const PLOT = { left: 62, top: 34, right: 14, bottom: 34 };
const COLUMNS = 2;
/** Distinct without colour as well: see the dashes. */
const COLOURS = ["#1f6feb", "#bf5700", "#57606a"];
const DASHES = ["", "6 3", "2 3"];

/** Draws a panel for each quantity, over the numbers of guests or aggregators. */
export function drawPicture(growth: readonly Growth[]): string {
  const rows = Math.ceil(growth.length / COLUMNS);
  const width = COLUMNS * PANEL.width;
  const height = rows * PANEL.height;
  const panels = growth.map((each, i) => {
    const x = (i % COLUMNS) * PANEL.width;
    const y = Math.floor(i / COLUMNS) * PANEL.height;
    return `<g transform="translate(${x} ${y})">\n${drawPanel(each)}\n</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...panels,
    "</svg>",
    "",
  ].join("\n");
}

function drawPanel({ title, unit, curves }: Growth): string {
  const points = curves.flatMap((curve) => curve.points);
  const most = niceAbove(Math.max(...points.map(({ value }) => value)));
  const last = Math.max(...points.map(({ count }) => count));
  const right = PANEL.width - PLOT.right;
  const bottom = PANEL.height - PLOT.bottom;
  const x = (count: number) => PLOT.left + count / last * (right - PLOT.left);
  const y = (value: number) => bottom - value / most * (bottom - PLOT.top);
  const parts = [
    `<text x="${PLOT.left}" y="16" font-weight="bold">${title}</text>`,
  ];
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const at = round(y(part * most));
    parts.push(
      `<path d="M${PLOT.left} ${at}H${right}" stroke="#d0d7de"/>`,
      `<text x="${PLOT.left - 6}" y="${round(at + 4)}" text-anchor="end">` +
        `${short(part * most)}${part === 1 ? ` ${unit}` : ""}</text>`,
    );
  }
  for (const count of new Set(points.map((point) => point.count))) {
    parts.push(
      `<text x="${round(x(count))}" y="${bottom + 16}" ` +
        `text-anchor="middle">${count}</text>`,
    );
  }
  for (const [i, curve] of curves.entries()) {
    const colour = COLOURS[i % COLOURS.length]!;
    const path = curve.points.map(({ count, value }, at) =>
      `${at === 0 ? "M" : "L"}${round(x(count))} ${round(y(value))}`
    ).join("");
    parts.push(
      `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2" ` +
        `stroke-dasharray="${DASHES[i % DASHES.length]}"/>`,
      ...curve.points.map(({ count, value }) =>
        `<circle cx="${round(x(count))}" cy="${round(y(value))}" r="2.5" ` +
        `fill="${colour}"/>`
      ),
      `<text x="${PLOT.left + 8}" y="${PLOT.top + 12 + i * 14}" ` +
        `fill="${colour}">${curve.name}</text>`,
    );
  }
  return parts.join("\n");
}

/** The next number of the form 1, 2, 4 or 8 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((each) => each * power)
    .find((each) => each >= value)!;
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1e4 ? `${value / 1e3} k` : String(value);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
