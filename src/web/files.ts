/**
 * The page's own files. They have no data of the service, and may be had without
 * a token.
 *
 * @module
 */
import app from "./page/app.js" with { type: "text" };
import edges from "./page/edges.js" with { type: "text" };
import html from "./page/index.html" with { type: "text" };
import style from "./page/style.css" with { type: "text" };
import waves from "./page/waves.js" with { type: "text" };

/** A file. */
export interface PageFile {
  readonly type: string;
  readonly text: string;
}

const SCRIPT = "text/javascript; charset=utf-8";

/** All of them, by path. */
export const PAGE_FILES: ReadonlyMap<string, PageFile> = new Map([
  ["/", { type: "text/html; charset=utf-8", text: html }],
  ["/style.css", { type: "text/css; charset=utf-8", text: style }],
  ["/app.js", { type: SCRIPT, text: app }],
  ["/edges.js", { type: SCRIPT, text: edges }],
  ["/waves.js", { type: SCRIPT, text: waves }],
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
