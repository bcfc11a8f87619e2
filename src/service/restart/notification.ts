/**
 * Messages to a service manager: one `NAME=value` assignment a line.
 *
 * **Source**: sd_notify(3).
 *
 * @module
 */
import { checkProtocolText } from "../../../ffi/protocol_text.ts";

const encoder = new TextEncoder();

/**
 * Returns the message that consists of these assignments.
 *
 * @throws {RangeError} If one has a control character: after a line feed a new
 * assignment would begin, such as MAINPID=.
 */
export function encodeNotification(
  ...assignments: readonly string[]
): Uint8Array {
  const lines = assignments.map((text) =>
    checkProtocolText(text, "the service manager")
  );
  return encoder.encode(lines.join("\n"));
}
