/**
 * Errors between this frontend and the backend it talks to. The four kinds are
 * separate classes because each calls for another action: start the backend,
 * wait for it, report it, or request less.
 *
 * @module
 */

/** No connection, or the connection ended: there is no backend to talk to. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** Nothing accepts connections at the socket. */
export class ConnectFailedError extends ConnectionError {}

/** The backend is there and did not do within the limit what was awaited. */
export class WaitTimeoutError extends Error {
  override readonly name = "WaitTimeoutError";
  /**
   * @param awaited What was waited for: "an answer to GET_FEATURES".
   * @param limitMs How long was waited. **Units**: milliseconds.
   */
  constructor(readonly awaited: string, readonly limitMs: number) {
    super(`No ${awaited} within ${limitMs} ms`);
  }
}

/** The backend or its device broke a rule of the protocol or the device. */
export class RuleViolation extends Error {
  override readonly name = "RuleViolation";
  /**
   * @param rule The rule, with its number or section: "D1: the device sets
   * all fields of a response".
   * @param observed What was seen instead.
   */
  constructor(readonly rule: string, readonly observed: string) {
    super(`Rule broken: ${rule}; seen: ${observed}`);
  }
}

/** The device answered a request with the error status, as it may. */
export class RequestRefused extends Error {
  override readonly name = "RequestRefused";
  /** One line that says what to do. */
  readonly hint = "The back end knows why: gpioagg serve writes it to its log";
  /**
   * @param request The message's name: "SET_DIRECTION out".
   * @param lineNumber The line that it was about.
   */
  constructor(readonly request: string, readonly lineNumber: number) {
    super(
      `The device refused ${request} on line ${lineNumber} (status ERR)`,
    );
  }
}
