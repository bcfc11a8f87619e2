/**
 * Messages of an Intel La Jolla Cove Adapter.
 *
 * **Source**: Linux, `drivers/usb/misc/usb-ljca.c` and
 * `drivers/gpio/gpio-ljca.c` (6.7 and newer).
 *
 * @module
 */

/** Header of a message: type, command, flags, length of what follows. */
export const HEADER = { type: 0, command: 1, flags: 2, length: 3, size: 4 };

/** Flags of a message. */
export const Flag = { Acknowledge: 1 } as const;

/** Types of messages. */
export const MessageType = { Management: 1, Gpio: 3 } as const;

/** Commands of the management type. */
export const ManagementCommand = {
  Reset: 2,
  EnumerateGpio: 4,
  EnumerateI2c: 5,
  EnumerateSpi: 8,
} as const;

/** Commands of the GPIO type. */
export const GpioCommand = {
  Config: 1,
  Read: 2,
  Write: 3,
  Event: 4,
  Mask: 5,
  Unmask: 6,
} as const;

/** Makes an event of one line; the line and its level are yet to be set. */
export function newEvent(): Uint8Array {
  return Uint8Array.of(MessageType.Gpio, GpioCommand.Event, 0, 3, 1, 0, 0);
}

/** Bits of a configuration. */
export const Config = {
  Disable: 1 << 0,
  Input: 1 << 1,
  Output: 1 << 2,
  /** Pull-up, and of an interrupt: rising edge, or high level. */
  Up: 1 << 3,
  /** Pull-down, and of an interrupt: falling edge, or low level. */
  Down: 1 << 4,
  Interrupt: 1 << 6,
  /** Of an interrupt: one edge. */
  Edge: 1 << 7,
} as const;

/** Lines of one bank at most. */
const BANK_LINES = 32;

/**
 * Returns the answer to the question for lines: pins of a bank, banks, and of
 * each bank its number, its pins and the valid ones. The driver multiplies the
 * first two; of an odd number above 32, one line at the end is not valid.
 */
export function encodeEnumeration(lineCount: number): Uint8Array {
  const banks = lineCount > BANK_LINES ? 2 : 1;
  const pins = Math.ceil(lineCount / banks);
  const answer = new Uint8Array(2 + 6 * banks);
  const view = new DataView(answer.buffer);
  answer[0] = pins;
  answer[1] = banks;
  for (let bank = 0; bank < banks; bank++) {
    answer[2 + 6 * bank] = bank;
    answer[3 + 6 * bank] = pins;
    // The driver lays the words of the banks end to end, 32 lines each.
    const valid = Math.max(
      0,
      Math.min(BANK_LINES, lineCount - bank * BANK_LINES),
    );
    view.setUint32(4 + 6 * bank, 2 ** valid - 1, true);
  }
  return answer;
}
