/**
 * What can go wrong between gpioagg and a QEMU.
 *
 * @module
 */

/** A QEMU cannot be used as it was asked for; `hint` says what to do. */
export class QemuError extends Error {
  override readonly name = "QemuError";
  /** One line on what to do; empty when the message says it all. */
  readonly hint: string;

  /** Makes the error of a problem. */
  constructor(problem: string, options: { hint?: string } & ErrorOptions = {}) {
    super(
      problem,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.hint = options.hint ?? "";
  }
}
