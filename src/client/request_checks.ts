/**
 * Checks of requests before they are sent, for programs that have no compiler
 * which finds a misspelt key. The service checks the values.
 *
 * @module
 */
import {
  requireKeys,
  requireObject,
  requireSignal,
  unknownKeyText,
} from "../text/arguments.ts";
import type { AnySchema } from "./message_schema.ts";
import { CREATE_REQUEST, PLAY_REQUEST, PULL_REQUEST } from "./requests.ts";

/** Options of each call. */
export interface CallOptions {
  /**
   * Ends the wait for the service when it is aborted: the promise rejects with
   * its reason. The service may have done what the call asked for.
   */
  readonly signal?: AbortSignal | undefined;
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
 * Checks the keys and types of a request to play values.
 *
 * @throws {TypeError} That names the first wrong value.
 */
export function checkPlayRequest(request: unknown): void {
  requireMessage("the play", request, PLAY_REQUEST);
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
