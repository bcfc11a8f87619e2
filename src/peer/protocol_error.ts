/**
 * Violation by a frontend, as an error.
 *
 * @module
 */

/** A frontend broke a rule of the protocol, or asked for what cannot be had. */
export class ProtocolError extends Error {
  /** Always `"ProtocolError"`. */
  override readonly name = "ProtocolError";
  /** The request it happened in, as the specification spells it. */
  readonly request: string;
  /** The rule that was broken, as a sentence of what must hold. */
  readonly rule: string;

  /** Describes a broken `rule`; `cause` is the system's error, if any. */
  constructor(request: string, rule: string, options?: ErrorOptions) {
    super(`Cannot serve ${request}: ${rule}`, options);
    this.request = request;
    this.rule = rule;
  }
}
