/**
 * A program for guests that sets line 0 of a chip to what line 1 has become, and
 * notes by its own clock when it did so.
 *
 * @module
 */
import { WRITABLE } from "../environment/static_program.ts";
import { assemble, type Machine } from "./assembler.ts";

/** Memory of the program. **Units**: bytes. */
const MEMORY_BYTES = 0x1000;

/**
 * Offsets in the program's page that the host looks at; times are a struct
 * timespec of CLOCK_MONOTONIC, all else are words of 32 bits.
 */
export const SHARED = {
  /** Four words by which the page is found. */
  mark: 0x00,
  /** When the last event had been read. */
  eventTime: 0x10,
  /** When the output was going to be set thereupon. */
  setTime: 0x20,
  /** When the last ping was answered. */
  pongTime: 0x30,
  /** Number of events. */
  count: 0x40,
  /**
   * Written by the host. While it is not 0, the program looks at it after the
   * next event instead of waiting for another one, and answers each new one.
   */
  ping: 0x80,
  /** The last ping that was answered. */
  pong: 0xc0,
} as const;

/** The chip's descriptor. */
const CHIP = WRITABLE + 0x44;
/** struct gpio_v2_line_request of each line. */
const INPUT = WRITABLE + 0x100;
const OUTPUT = WRITABLE + 0x400;
/** struct gpio_v2_line_event and gpio_v2_line_values. */
const EVENT = WRITABLE + 0x700;
const VALUES = WRITABLE + 0x780;

const O_RDWR = 2;
const CLOCK_MONOTONIC = 1;
const GPIO_V2_GET_LINE_IOCTL = 0xc250_b407;
const GPIO_V2_LINE_SET_VALUES_IOCTL = 0xc010_b40f;
/** Flags of a line: input with both edges, or output. */
const INPUT_FLAGS = 0x34;
const OUTPUT_FLAGS = 0x08;
/** Offsets in struct gpio_v2_line_request; that of the line's offset is 0. */
const FLAGS = 288;
const NUM_LINES = 560;
const FD = 588;
/** In struct gpio_v2_line_event. Its lowest bit is 1 for a rising edge only. */
const EVENT_ID = 8;
const EVENT_BYTES = 48;
/** Offset in struct gpio_v2_line_values. */
const MASK = 8;

/**
 * Returns the program: a static executable, which goes on until it fails.
 *
 * @param chip Path of the chip's device node.
 * @param mark Four words by which its page is found in the guest's memory.
 */
export function echoProgram(
  machine: Machine,
  chip: string,
  mark: Uint32Array,
): Uint8Array<ArrayBuffer> {
  const path = new TextEncoder().encode(`${chip}\0`);
  return assemble(machine, path, MEMORY_BYTES, (code, pathAddress) => {
    const stamp = (offset: number) =>
      code.call("clockGettime", CLOCK_MONOTONIC, WRITABLE + offset);
    const request = (memory: number, line: number, flags: number) => {
      code.store(memory, line);
      code.store(memory + FLAGS, flags);
      code.store(memory + NUM_LINES, 1);
      code.call("ioctl", { at: CHIP }, GPIO_V2_GET_LINE_IOCTL, memory);
      code.jumpIfFailed("end");
    };

    for (const [i, word] of mark.entries()) {
      code.store(WRITABLE + SHARED.mark + 4 * i, word);
    }
    code.call("openat", 0, pathAddress, O_RDWR);
    code.jumpIfFailed("end");
    code.storeResult(CHIP);
    request(INPUT, 1, INPUT_FLAGS);
    request(OUTPUT, 0, OUTPUT_FLAGS);
    code.store(VALUES + MASK, 1);

    code.label("event");
    code.call("read", { at: INPUT + FD }, EVENT, EVENT_BYTES);
    code.jumpIfFailed("end");
    stamp(SHARED.eventTime);
    code.increase(WRITABLE + SHARED.count);
    code.store(VALUES, { at: EVENT + EVENT_ID });
    stamp(SHARED.setTime);
    code.call(
      "ioctl",
      { at: OUTPUT + FD },
      GPIO_V2_LINE_SET_VALUES_IOCTL,
      VALUES,
    );
    code.jumpIfFailed("end");

    const ping = WRITABLE + SHARED.ping;
    const pong = WRITABLE + SHARED.pong;
    code.label("ping");
    code.jumpIfEqual(ping, 0, "event");
    code.jumpIfEqual(ping, { at: pong }, "ping");
    stamp(SHARED.pongTime);
    code.store(pong, { at: ping });
    code.jump("ping");

    code.label("end");
    code.call("exit", 1);
  });
}
