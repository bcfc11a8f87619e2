/**
 * Operations of a guest that the kernel refused: which of them are reported,
 * and their messages.
 *
 * @module
 */
import {
  EACCES,
  EBUSY,
  EINVAL,
  EIO,
  ENOTSUPP,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
} from "../../../ffi/errno.ts";
import type { LineSpecification } from "../../config/specification.ts";
import { LineOperation } from "../../line/port.ts";
import type { LineSource } from "../line_source.ts";
import { failureReason } from "./pending_rule.ts";

const OPERATIONS = Object.keys(LineOperation).length;

/** Reported refusals of one line, each until the operation succeeds again. */
export class KernelRefusals {
  /** By operation: the error number that was reported; 0 for none. */
  readonly #reported = new Uint16Array(OPERATIONS);

  /**
   * Records what `source` could not do just now.
   *
   * @returns The error number that is to be reported; 0 if none is.
   */
  refused(operation: LineOperation, source: LineSource): number {
    const { errno = 0, isAbsent } = source;
    // A chip that is away is reported once for all.
    if (isAbsent === true || this.#reported[operation] === errno) return 0;
    if (errno !== 0) this.#reported[operation] = errno;
    return errno;
  }

  /** Records a success: the next refusal is reported again. */
  succeeded(operation: LineOperation): void {
    this.#reported[operation] = 0;
  }
}

const ATTEMPTS: Readonly<Record<LineOperation, string>> = {
  [LineOperation.GetValue]: "read its value",
  [LineOperation.SetValue]: "set its value",
  [LineOperation.Output]: "make it an output",
  [LineOperation.Input]: "make it an input",
  [LineOperation.SetEdges]: "watch its edges",
  [LineOperation.Deactivate]: "disable its interrupt",
};

/** Returns what the kernel refused, why, and what that means. */
export function refusalText(
  operation: LineOperation,
  errno: number,
  source: LineSource,
  specification: LineSpecification,
): string {
  const advice = refusalAdvice(operation, errno, source, specification);
  return `the kernel refused to ${ATTEMPTS[operation]}: ` +
    failureReason(errno) + (advice === "" ? "" : `; ${advice}`);
}

/** Returns the meaning of a refusal; empty where the error says it all. */
export function refusalAdvice(
  operation: LineOperation,
  errno: number,
  source: LineSource,
  specification: LineSpecification,
): string {
  const isEdges = operation === LineOperation.SetEdges;
  if (errno === ENXIO && isEdges) {
    return "this chip raises no interrupts: the guest cannot wait for edges " +
      "of this line";
  }
  if (isOfInterrupt(operation, errno) && source.isUsedAsInterrupt === true) {
    return "a driver of this host uses the line as an interrupt (consumer " +
      '"interrupt"); /proc/interrupts names it';
  }
  if (isOfInterrupt(operation, errno) && errno === EIO) {
    return "its bus failed, or a driver of this host uses the line as an " +
      "interrupt (see /proc/interrupts)";
  }
  if (errno === EBUSY && isEdges) {
    return "a driver of this host may use the line's interrupt; see " +
      "/proc/interrupts";
  }
  if (OF_SETTINGS.has(errno)) {
    const settings = settingsIn(operation, specification);
    if (settings !== "") return `this chip may not support ${settings}`;
    if (isEdges) return "this chip may not report such edges";
  }
  return "";
}

/** Error numbers of a refusal that repeating does not change. */
const LASTING: ReadonlySet<number> = new Set([
  0, // refused without the kernel
  EACCES,
  EBUSY,
  ENXIO,
  EPERM,
]);

/** Error numbers for settings that a chip does not support, among others. */
const OF_SETTINGS: ReadonlySet<number> = new Set([
  EINVAL,
  ENOTSUPP,
  EOPNOTSUPP,
]);

/**
 * Returns true for a refusal that is a matter of the line, its settings or
 * rights, and not of a bus or a moment.
 */
export function isRefusedForGood(
  operation: LineOperation,
  source: LineSource,
  specification: LineSpecification,
): boolean {
  const { errno = 0 } = source;
  return LASTING.has(errno) ||
    OF_SETTINGS.has(errno) && settingsIn(operation, specification) !== "" ||
    isOfInterrupt(operation, errno) && source.isUsedAsInterrupt === true;
}

/**
 * The kernel answers EIO where an output would be an enabled interrupt; setting
 * a value makes an output of a line that was taken as it was.
 */
function isOfInterrupt(operation: LineOperation, errno: number): boolean {
  return errno === EBUSY && operation === LineOperation.SetEdges ||
    errno === EIO && (operation === LineOperation.Output ||
        operation === LineOperation.SetValue);
}

/** Returns the settings that an operation makes, as a SPEC writes them. */
function settingsIn(
  operation: LineOperation,
  { bias, debounceUs, drive }: LineSpecification,
): string {
  const isOutput = operation === LineOperation.Output ||
    operation === LineOperation.SetValue;
  const settings = [
    ...(bias === undefined ? [] : [`bias=${bias}`]),
    ...(!isOutput || drive === undefined ? [] : [`drive=${drive}`]),
    ...(isOutput || debounceUs === 0 ? [] : [`debounce=${debounceUs}us`]),
  ];
  return settings.join(" or ");
}
