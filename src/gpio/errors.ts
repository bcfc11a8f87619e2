/**
 * The error of everything that can go wrong with chips and lines.
 *
 * @module
 */
import { errnoCode, errnoText } from "../../ffi/errno.ts";
import { OsError } from "../../ffi/os_error.ts";

/** What a {@linkcode LineError} is about. */
export interface LineErrorOptions extends ErrorOptions {
  /** The chip: its name (`gpiochip0`), or what was given for one. */
  readonly chip: string;
  /** The lines' offsets; none when it is about the chip as a whole. */
  readonly offsets?: readonly number[];
  /** What was tried: `"request"`, `"read"`, … */
  readonly operation: string;
  /** Why it failed, and what to do where something can be done. */
  readonly reason: string;
}

/**
 * Something could not be done with a line or a chip.
 *
 * The message says what was tried, on what, and why it failed. Where the kernel
 * refused, `cause` is the {@linkcode OsError}.
 *
 * @example Tell "busy" from "not allowed"
 * ```ts
 * import { isOsError, LineError, openChip } from "@gpioagg/gpioagg";
 *
 * try {
 *   using chip = openChip("gpiochip99");
 *   using request = chip.requestLines({ lines: [{ offset: 3 }] });
 *   console.log(request.getValue(3));
 * } catch (error) {
 *   if (!(error instanceof LineError)) throw error;
 *   if (isOsError(error.cause, "EBUSY")) console.log("somebody has it");
 *   else if (isOsError(error.cause, "EACCES")) console.log("not for us");
 *   else console.log(error.message);
 * }
 * ```
 */
export class LineError extends Error {
  /** Always `"LineError"`. */
  override readonly name = "LineError";
  /** The chip: its name (`gpiochip0`), or what was given for one. */
  readonly chip: string;
  /** The line's offset; undefined when it is about several lines, or none. */
  readonly offset: number | undefined;
  /** What was tried: `"request"`, `"read"`, … */
  readonly operation: string;

  /** Describes what failed; the message is made from the parts. */
  constructor(options: LineErrorOptions) {
    const { chip, offsets = [], operation, reason } = options;
    super(
      `Cannot ${operation} ${subject(chip, offsets)}: ${reason}`,
      Object.hasOwn(options, "cause") ? { cause: options.cause } : undefined,
    );
    this.chip = chip;
    this.offset = offsets.length === 1 ? offsets[0] : undefined;
    this.operation = operation;
  }
}

function subject(chip: string, offsets: readonly number[]): string {
  if (offsets.length === 0) return chip;
  const lines = offsets.length === 1 ? "line" : "lines";
  return `${lines} ${offsets.join(", ")} of ${chip}`;
}

/** What {@linkcode kernelError} is told of the call that failed. */
export interface KernelFailure {
  /** The chip's name. */
  readonly chip: string;
  /** The lines' offsets; none when it is about the chip as a whole. */
  readonly offsets?: readonly number[];
  /** What was tried, in the words of the message. */
  readonly operation: string;
  /** The ioctl or call. */
  readonly syscall: string;
  /** The positive error number. */
  readonly errno: number;
  /** What is known beyond the error number. */
  readonly detail?: string | undefined;
}

/** The error of a call that the kernel refused, with the {@linkcode OsError}. */
export function kernelError(failure: KernelFailure): LineError {
  const { chip, offsets = [], operation, syscall, errno, detail } = failure;
  const reason = `${errnoText(errno)} (${errnoCode(errno)})`;
  return new LineError({
    chip,
    offsets,
    operation,
    reason: detail === undefined ? reason : `${reason}, ${detail}`,
    cause: new OsError(syscall, errno, subject(chip, offsets)),
  });
}

/** A line that is not there now: its chip, or the line of that name. */
export class AbsentError extends LineError {}

/** A line or chip of which there are several; the message lists them. */
export class AmbiguousError extends LineError {}
