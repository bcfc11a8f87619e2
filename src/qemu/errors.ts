/**
 * Errors between gpioagg and a QEMU.
 *
 * @module
 */
import { printable } from "../text/printable.ts";

/** Longest problem or hint. **Units**: UTF-16 code units. */
const TEXT_LIMIT = 1024;

/** A QEMU cannot be used as requested; `hint` is the remedy. */
export class QemuError extends Error {
  override readonly name = "QemuError";
  /** One line with the remedy; empty if the message says it all. */
  readonly hint: string;

  /** Makes the error of a problem. */
  constructor(problem: string, options: { hint?: string } & ErrorOptions = {}) {
    super(
      printable(problem, TEXT_LIMIT),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.hint = printable(options.hint ?? "", TEXT_LIMIT);
  }
}
