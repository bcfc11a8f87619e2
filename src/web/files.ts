/**
 * The page's own files. They have no data of the service, and may be had without
 * a token.
 *
 * @module
 */
import app from "./page/app.js" with { type: "text" };
import details from "./page/details.js" with { type: "text" };
import dom from "./page/dom.js" with { type: "text" };
import edges from "./page/edges.js" with { type: "text" };
import feed from "./page/feed.js" with { type: "text" };
import head from "./page/head.js" with { type: "text" };
import past from "./page/history.js" with { type: "text" };
import log from "./page/log.js" with { type: "text" };
import metrics from "./page/metrics.js" with { type: "text" };
import paint from "./page/paint.js" with { type: "text" };
import panels from "./page/panels.js" with { type: "text" };
import prefs from "./page/prefs.js" with { type: "text" };
import service from "./page/service.js" with { type: "text" };
import state from "./page/state.js" with { type: "text" };
import table from "./page/table.js" with { type: "text" };
import trigger from "./page/trigger.js" with { type: "text" };
import view from "./page/view.js" with { type: "text" };
import waves from "./page/waves.js" with { type: "text" };
import words from "./page/words.js" with { type: "text" };
import html from "./page/index.html" with { type: "text" };
import style from "./page/style.css" with { type: "text" };

/** A file. */
interface PageFile {
  readonly type: string;
  readonly text: string;
}

const SCRIPT = "text/javascript; charset=utf-8";

const SCRIPTS = {
  app,
  details,
  dom,
  edges,
  feed,
  head,
  history: past,
  log,
  metrics,
  paint,
  panels,
  prefs,
  service,
  state,
  table,
  trigger,
  view,
  waves,
  words,
};

/** All of them, by path. */
export const PAGE_FILES: ReadonlyMap<string, PageFile> = new Map([
  ["/", { type: "text/html; charset=utf-8", text: html }],
  ["/style.css", { type: "text/css; charset=utf-8", text: style }],
  ...Object.entries(SCRIPTS).map(([name, text]): [string, PageFile] => [
    `/${name}.js`,
    { type: SCRIPT, text },
  ]),
]);

/** Headers of all answers: nothing is loaded from elsewhere, nor framed. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; script-src 'self'; " +
    "style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};
