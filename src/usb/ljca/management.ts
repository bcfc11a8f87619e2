/**
 * Commands of an LJCA that concern the adapter as a whole.
 *
 * @module
 */
import { HEADER, ManagementCommand } from "./protocol.ts";

const RESET_BYTES = 4;

/**
 * Writes the answer to a command behind the header of `reply`.
 *
 * @param data The message, with `length` bytes behind its header.
 * @param enumeration Answer to the question for lines.
 * @returns Length of the answer; -1 if the command is invalid.
 */
export function answerManagement(
  command: number,
  data: Uint8Array,
  length: number,
  enumeration: Uint8Array,
  reply: Uint8Array,
): number {
  switch (command) {
    case ManagementCommand.Reset:
      if (length !== RESET_BYTES) return -1;
      for (let i = 0; i < length; i++) {
        reply[HEADER.size + i] = data[HEADER.size + i]!;
      }
      return length;
    case ManagementCommand.EnumerateGpio:
      for (let i = 0; i < enumeration.length; i++) {
        reply[HEADER.size + i] = enumeration[i]!;
      }
      return enumeration.length;
    case ManagementCommand.EnumerateI2c:
    case ManagementCommand.EnumerateSpi:
      reply[HEADER.size] = 0;
      return 1;
    default:
      return -1;
  }
}
