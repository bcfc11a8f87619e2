/**
 * Checks of requests before they are sent, for programs that have no compiler
 * which finds a misspelt key. The service checks the values.
 *
 * @module
 */
import {
  requireBoolean,
  requireFunction,
  requireKeys,
  requireNumber,
  requireObject,
  requireSignal,
  requireString,
  requireStrings,
  unknownKeyText,
} from "../text/arguments.ts";
import type { AnySchema } from "./message_schema.ts";
import {
  CREATE_REQUEST,
  FORCE_REQUEST,
  PLAY_REQUEST,
  PULL_REQUEST,
  RULES_REQUEST,
} from "./requests.ts";

/** Options of each call. */
export interface CallOptions {
  /**
   * Ends the wait for the service when it is aborted: the promise rejects with
   * its reason. The service may have done what the call asked for.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Options of an aggregator that ends with its maker. */
export interface LeaseOptions extends CallOptions {
  /**
   * Is called with true when the service is gone and its return is waited for,
   * up to 60 s, and with false when it is back and the aggregator goes on.
   */
  readonly onWait?: ((isWaiting: boolean) => void) | undefined;
}

/** Options of a stream of events. */
export interface EventOptions extends CallOptions {
  /** True to have each edge too, complete and with its time. */
  readonly edges?: boolean | undefined;
}

/** Options of a question for edges of the past. */
export interface HistoryOptions extends CallOptions {
  /**
   * Begin: nanoseconds since 1970 as edges have them, a date and time, or
   * `-10m` for ten minutes ago. Default: all that is kept.
   */
  readonly from?: string | undefined;
  /** End, written in the same way. Default: now. */
  readonly to?: string | undefined;
  /** Aggregators, and lines such as `press.START`. Default: all. */
  readonly lines?: readonly string[] | undefined;
  /** Most edges, up to 1000000. Default: 10000. */
  readonly limit?: number | undefined;
}

/**
 * Checks the keys and types of a message.
 *
 * @throws {TypeError} That names the first wrong value.
 */
function requireMessage(what: string, value: unknown, schema: AnySchema): void {
  schema.check(value, what, ({ path, key, problem, hint }) => {
    throw new TypeError(
      key === undefined
        ? `${path} ${problem}`
        : unknownKeyText(key, path, hint),
    );
  });
}

/**
 * Checks the keys and types of a request to create an aggregator.
 *
 * @throws {TypeError} That names the first wrong value.
 */
export function checkCreateRequest(request: unknown): void {
  requireObject("the aggregator", request);
  if (request.lease !== undefined) {
    throw new TypeError(
      "The aggregator has the key lease: create() makes one that ends with " +
        "this program, createLasting() one that does not",
    );
  }
  requireMessage("the aggregator", request, CREATE_REQUEST);
}

/**
 * Checks levels that simulated lines are set to.
 *
 * @throws {TypeError} That names the first level that is neither 0 nor 1.
 */
export function checkLevels(levels: unknown): void {
  requireMessage("levels", levels, PULL_REQUEST.fields.pull);
}

/**
 * Checks the keys and types of changes of rules.
 *
 * @throws {TypeError} That names the first wrong value.
 */
export function checkRules(rules: unknown): void {
  requireMessage("rules", rules, RULES_REQUEST.fields.rules);
}

/**
 * Checks the keys and types of a request to force lines.
 *
 * @throws {TypeError} That names the first wrong value.
 */
export function checkForceRequest(request: unknown): void {
  requireObject("the force", request);
  if (request.lease !== undefined) {
    throw new TypeError(
      "The force has the key lease: force() makes one that ends with this " +
        "program, forceDetached() one that does not",
    );
  }
  requireMessage("the force", request, FORCE_REQUEST);
}

/**
 * Checks the keys and types of a request to play values.
 *
 * @throws {TypeError} That names the first wrong value.
 */
export function checkPlayRequest(request: unknown): void {
  requireMessage("the play", request, PLAY_REQUEST);
}

/**
 * Returns the query of a stream of events, and its signal.
 *
 * @throws {TypeError} For an unknown option, or a value of another type.
 */
export function eventQuery(
  name: string | undefined,
  options: EventOptions,
): { query: string; signal: AbortSignal | undefined } {
  requireKeys("the options", options, ["edges", "signal"], {
    abort: "signal",
  });
  const { edges, signal } = options;
  requireSignal("signal", signal);
  const query = new URLSearchParams();
  if (name !== undefined) {
    requireString("name", name);
    query.set("aggregator", name);
  }
  if (edges !== undefined) requireBoolean("edges", edges);
  if (edges === true) query.set("edges", "1");
  return { query: queryText(query), signal };
}

/**
 * Returns the query of a question for edges of the past, and its signal.
 *
 * @throws {TypeError} For an unknown option, or a value of another type.
 */
export function historyQuery(
  options: HistoryOptions,
): { query: string; signal: AbortSignal | undefined } {
  requireKeys(
    "the options",
    options,
    ["from", "to", "lines", "limit", "signal"],
    { abort: "signal", since: "from", until: "to", name: "lines" },
  );
  const { from, to, lines, limit, signal } = options;
  requireSignal("signal", signal);
  const query = new URLSearchParams();
  for (const [key, value] of [["from", from], ["to", to]] as const) {
    if (value === undefined) continue;
    requireString(key, value);
    query.set(key, value);
  }
  if (lines !== undefined) {
    requireStrings("lines", lines);
    if (lines.length === 0) {
      throw new TypeError("lines is empty: leave it out for all lines");
    }
    query.set("lines", lines.join(","));
  }
  if (limit !== undefined) {
    requireNumber("limit", limit);
    query.set("limit", String(limit));
  }
  return { query: queryText(query), signal };
}

function queryText(query: URLSearchParams): string {
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * Returns the options of a lease, and those of the call that begins it.
 *
 * @throws {TypeError} For a value of another type.
 */
export function leaseOptions(
  options: LeaseOptions,
): { onWait: (isWaiting: boolean) => void; call: CallOptions } {
  requireKeys("the options", options, ["onWait", "signal"], {
    abort: "signal",
    onRestart: "onWait",
  });
  const { onWait, ...call } = options;
  if (onWait !== undefined) requireFunction("onWait", onWait);
  return { onWait: onWait ?? (() => {}), call };
}

/**
 * Returns the signal of a call.
 *
 * @throws {TypeError} For an unknown option, or a value that is not a signal.
 */
export function callSignal(options: CallOptions): AbortSignal | undefined {
  requireKeys("the options", options, ["signal"], { abort: "signal" });
  requireSignal("signal", options.signal);
  return options.signal;
}
