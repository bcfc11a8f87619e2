/**
 * Numbers of the kernel's GPIO v2 uAPI, for the programs that answer in guests.
 *
 * @module
 */

/** Memory for two requests, an event and the values. **Units**: bytes. */
export const MEMORY_BYTES = 0x1000;

/** GPIO_V2_GET_LINE_IOCTL. */
export const GET_LINE = 0xc250_b407;
/** GPIO_V2_LINE_SET_VALUES_IOCTL. */
export const SET_VALUES = 0xc010_b40f;

/** Flags of a line: input with both edges. */
export const INPUT = 0x34;
/** Flag of a line: output. */
export const OUTPUT = 0x08;

/** Offset in struct gpio_v2_line_request of the flags. */
export const FLAGS = 288;
/** Offset in struct gpio_v2_line_request of the number of lines. */
export const NUM_LINES = 560;
/** Offset in struct gpio_v2_line_request of the descriptor. */
export const FD = 588;
