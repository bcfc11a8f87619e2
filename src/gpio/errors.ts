/**
 * The error of everything that can go wrong with chips and lines.
 *
 * @module
 */
import { errnoCode, errnoText } from "../../ffi/errno.ts";
import { OsError } from "../../ffi/os_error.ts";
import { printable } from "../text/printable.ts";

/** Longest message; 64 offsets fit. **Units**: UTF-16 code units. */
const TEXT_LIMIT = 2048;

/** Parts of a {@linkcode LineError}. */
export interface LineErrorOptions extends ErrorOptions {
  /** The chip: its name (`gpiochip0`), or what was given for one. */
  readonly chip: string;
  /** The lines' offsets; none when it is about the chip as a whole. */
  readonly offsets?: readonly number[];
  /** Operation that was tried: `"request"`, `"read"`, … */
  readonly operation: string;
  /** Why it failed, and what to do where something can be done. */
  readonly reason: string;
  /** Consumer that holds a busy line. */
  readonly holder?: string | undefined;
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
 *   if (isOsError(error.cause, "EBUSY")) console.log("it is in use");
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
  /** Operation that was tried: `"request"`, `"read"`, … */
  readonly operation: string;
  /** Why it failed: the end of the message. */
  readonly reason: string;
  /** Consumer that holds a busy line (EBUSY); undefined if it is not known. */
  readonly holder: string | undefined;

  /** Describes what failed; the message is made from the parts. */
  constructor(options: LineErrorOptions) {
    const { chip, offsets = [], operation, reason } = options;
    super(
      // Labels, consumers and paths are others' text.
      printable(
        `Cannot ${operation} ${subject(chip, offsets)}: ${reason}`,
        TEXT_LIMIT,
      ),
      Object.hasOwn(options, "cause") ? { cause: options.cause } : undefined,
    );
    this.chip = chip;
    this.offset = offsets.length === 1 ? offsets[0] : undefined;
    this.operation = operation;
    this.reason = printable(reason, TEXT_LIMIT);
    this.holder = options.holder;
  }
}

function subject(chip: string, offsets: readonly number[]): string {
  if (offsets.length === 0) return chip;
  const lines = offsets.length === 1 ? "line" : "lines";
  return `${lines} ${offsets.join(", ")} of ${chip}`;
}

/** Call that failed, for {@linkcode kernelError}. */
interface KernelFailure {
  /** The chip's name. */
  readonly chip: string;
  /** The lines' offsets; none when it is about the chip as a whole. */
  readonly offsets?: readonly number[];
  /** Operation that was tried, as part of a message. */
  readonly operation: string;
  /** The ioctl or call. */
  readonly syscall: string;
  /** The positive error number. */
  readonly errno: number;
  /** Further known details. */
  readonly detail?: string | undefined;
  /** Consumer that holds a busy line. */
  readonly holder?: string | undefined;
}

/**
 * The error of a call that the kernel refused, with the {@linkcode OsError}.
 */
export function kernelError(failure: KernelFailure): LineError {
  const { chip, offsets = [], operation, syscall, errno, detail, holder } =
    failure;
  const reason = `${errnoText(errno)} (${errnoCode(errno)})`;
  return new LineError({
    chip,
    offsets,
    operation,
    reason: detail === undefined ? reason : `${reason}, ${detail}`,
    holder,
    cause: new OsError(syscall, errno, subject(chip, offsets)),
  });
}

/** Name of a line or a chip that was looked for. */
export interface AbsentName {
  /** The line's name, if that is what was not found. */
  readonly lineName?: string | undefined;
  /** The chip on which it was looked for, or that was not found. */
  readonly chip?: string | undefined;
}

/** A line that is not there now: its chip, or the line of that name. */
export class AbsentError extends LineError {
  /** Name that was not found; undefined if it was found by something else. */
  readonly absent: AbsentName | undefined;

  /** Describes what was not found. */
  constructor(options: LineErrorOptions & { absent?: AbsentName }) {
    super(options);
    this.absent = options.absent;
  }
}

/** A line or chip of which there are several; the message lists them. */
export class AmbiguousError extends LineError {}
