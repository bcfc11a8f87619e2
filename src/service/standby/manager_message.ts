/**
 * Messages of a service to its keeper, which stands in for the service manager:
 * what they ask of the store, and which of them are passed to the manager.
 *
 * **Source**: sd_notify(3).
 *
 * @module
 */

/** Longest message; systemd's limit. **Units**: bytes. */
export const MAX_MESSAGE_BYTES = 4096;
/** Longest name of a stored descriptor. */
const MAX_NAME_LENGTH = 255;
/** Name of a descriptor that has none, or no valid one. */
const DEFAULT_NAME = "stored";
const PRINTABLE = /^[ -9;-~]+$/;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Assignments that are passed to a manager as they are. */
const PASSED_ON = [
  /^STATUS=/,
  /^WATCHDOG=(1|trigger)$/,
  /^EXTEND_TIMEOUT_USEC=\d{1,20}$/,
  /^RELOADING=1$/,
  /^MONOTONIC_USEC=\d{1,20}$/,
];

/** A message, as far as it is understood. */
export interface ManagerMessage {
  /** Order about the store. */
  readonly store: "keep" | "drop" | undefined;
  /** Name of what is stored or dropped. */
  readonly name: string;
  /** True if the service serves now. */
  readonly isReady: boolean;
  /** True if the service has begun to end. */
  readonly isStopping: boolean;
  /** The rest that is passed to a manager: no MAINPID, for example. */
  readonly passedOn: readonly string[];
}

/** Reads a message; undefined if it is not one. */
export function readManagerMessage(
  bytes: Uint8Array,
): ManagerMessage | undefined {
  if (bytes.length > MAX_MESSAGE_BYTES) return undefined;
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return undefined;
  }
  const lines = text.split("\n");
  const name = lines.find((line) => line.startsWith("FDNAME="))?.slice(7) ?? "";
  const isName = name.length <= MAX_NAME_LENGTH && PRINTABLE.test(name);
  return {
    store: lines.includes("FDSTOREREMOVE=1")
      ? "drop"
      : lines.includes("FDSTORE=1")
      ? "keep"
      : undefined,
    name: isName ? name : DEFAULT_NAME,
    isReady: lines.includes("READY=1"),
    isStopping: lines.includes("STOPPING=1"),
    passedOn: lines.filter((line) =>
      PASSED_ON.some((pattern) => pattern.test(line))
    ),
  };
}
