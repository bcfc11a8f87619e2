/**
 * Requests to the service.
 *
 * @module
 */
import { showProblem } from "./dom.js";

async function failure(response) {
  const text = await response.text();
  let message = `the service answers with status ${response.status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Not an answer of the service.
  }
  return Object.assign(new Error(message), { status: response.status });
}

/** Returns the answer to a question. */
export async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw await failure(response);
  return await response.json();
}

/** Returns a text. */
export async function getText(path) {
  const response = await fetch(path);
  if (!response.ok) throw await failure(response);
  return await response.text();
}

/** Pulls a simulated line. */
export async function pullLine({ aggregator, lineNumber }, level) {
  const response = await fetch(
    `/v1/aggregators/${encodeURIComponent(aggregator)}/lines`,
    {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pull: { [String(lineNumber)]: level } }),
    },
  );
  showProblem(response.ok ? "" : (await failure(response)).message);
}
