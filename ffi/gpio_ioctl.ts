/**
 * The ioctls of the GPIO character device, version 2: one function each.
 *
 * Every function takes an open fd and the struct to hand over, answers 0 or
 * -errno, and neither throws nor allocates. A positive answer, which no GPIO
 * ioctl gives, counts as EBADE. Calls that a signal interrupts are repeated.
 *
 * Source: `linux/gpio.h` and Documentation/userspace-api/gpio/chardev.rst.
 *
 * @module
 */
import { EBADE, EINTR } from "./errno.ts";
import {
  GPIOCHIP_INFO,
  LINE_CONFIG,
  LINE_INFO,
  LINE_REQUEST,
  LINE_VALUES,
} from "./gpio_v2.ts";
import { lastErrno, libc } from "./libc.ts";

// asm-generic/ioctl.h: direction in the top two bits, then 14 bits of size.
const READ = 2;
const WRITE = 1;
const GPIO_TYPE = 0xb4;

function request(direction: number, number: number, size: number): number {
  return ((direction << 30) | (size << 16) | (GPIO_TYPE << 8) | number) >>> 0;
}

const GET_CHIPINFO = request(READ, 0x01, GPIOCHIP_INFO.size);
const GET_LINEINFO = request(READ | WRITE, 0x05, LINE_INFO.size);
const GET_LINEINFO_WATCH = request(READ | WRITE, 0x06, LINE_INFO.size);
const GET_LINE = request(READ | WRITE, 0x07, LINE_REQUEST.size);
const GET_LINEINFO_UNWATCH = request(READ | WRITE, 0x0c, 4);
const LINE_SET_CONFIG = request(READ | WRITE, 0x0d, LINE_CONFIG.size);
const LINE_GET_VALUES = request(READ | WRITE, 0x0e, LINE_VALUES.size);
const LINE_SET_VALUES = request(READ | WRITE, 0x0f, LINE_VALUES.size);

/**
 * Numbers of the ioctls by their names in `linux/gpio.h`, for tests.
 *
 * **Safety**: plain data.
 */
export const GPIO_IOCTLS: Readonly<Record<string, number>> = Object.freeze({
  GPIO_GET_CHIPINFO_IOCTL: GET_CHIPINFO,
  GPIO_V2_GET_LINEINFO_IOCTL: GET_LINEINFO,
  GPIO_V2_GET_LINEINFO_WATCH_IOCTL: GET_LINEINFO_WATCH,
  GPIO_V2_GET_LINE_IOCTL: GET_LINE,
  GPIO_GET_LINEINFO_UNWATCH_IOCTL: GET_LINEINFO_UNWATCH,
  GPIO_V2_LINE_SET_CONFIG_IOCTL: LINE_SET_CONFIG,
  GPIO_V2_LINE_GET_VALUES_IOCTL: LINE_GET_VALUES,
  GPIO_V2_LINE_SET_VALUES_IOCTL: LINE_SET_VALUES,
});

function call(
  fd: number,
  number: number,
  argument: Uint8Array<ArrayBuffer>,
): number {
  const { ioctl } = libc();
  for (;;) {
    const result = ioctl(fd, number, argument);
    if (result === 0) return 0;
    if (result > 0) return -EBADE;
    const errno = lastErrno();
    if (errno !== EINTR) return -errno;
  }
}

/**
 * Asks a chip who it is: fills a {@linkcode GPIOCHIP_INFO}.
 *
 * @param chipFd The open gpiochip device file.
 * @returns 0 or -errno (-ENODEV: the chip is gone).
 *
 * **Safety**: `info` has the struct's size. **Source**:
 * GPIO_GET_CHIPINFO_IOCTL.
 */
export function getChipInfo(
  chipFd: number,
  info: Uint8Array<ArrayBuffer>,
): number {
  return call(chipFd, GET_CHIPINFO, info);
}

/**
 * Asks about the line whose offset is in the struct: fills a
 * {@linkcode LINE_INFO}.
 *
 * @param chipFd The open gpiochip device file.
 * @param info All zero but for the offset.
 * @returns 0 or -errno (-EINVAL: no such line).
 *
 * **Safety**: `info` has the struct's size. **Source**:
 * GPIO_V2_GET_LINEINFO_IOCTL.
 */
export function getLineInfo(
  chipFd: number,
  info: Uint8Array<ArrayBuffer>,
): number {
  return call(chipFd, GET_LINEINFO, info);
}

/**
 * The same as {@linkcode getLineInfo}, and from here on changes to the line are
 * reported by reads from the chip's fd.
 *
 * @param chipFd The open gpiochip device file.
 * @param info All zero but for the offset.
 * @returns 0 or -errno (-EBUSY: under watch already).
 *
 * **Safety**: `info` has the struct's size. **Source**:
 * GPIO_V2_GET_LINEINFO_WATCH_IOCTL.
 */
export function watchLineInfo(
  chipFd: number,
  info: Uint8Array<ArrayBuffer>,
): number {
  return call(chipFd, GET_LINEINFO_WATCH, info);
}

/**
 * Ends {@linkcode watchLineInfo}.
 *
 * @param chipFd The open gpiochip device file, the one that watches.
 * @param offset A u32: the line's offset.
 * @returns 0 or -errno (-EBUSY: not under watch).
 *
 * **Safety**: `offset` has 4 bytes. **Source**:
 * GPIO_GET_LINEINFO_UNWATCH_IOCTL, since Linux 5.7.
 */
export function unwatchLineInfo(
  chipFd: number,
  offset: Uint8Array<ArrayBuffer>,
): number {
  return call(chipFd, GET_LINEINFO_UNWATCH, offset);
}

/**
 * Requests lines: reads a {@linkcode LINE_REQUEST} and puts the new fd into it.
 *
 * @param chipFd The open gpiochip device file.
 * @returns 0 or -errno (-EBUSY: one of them is in use; -EINVAL: no such line,
 * or settings that contradict each other).
 *
 * **Ownership**: the fd in the struct is the caller's after 0. **Safety**:
 * `lines` has the struct's size. **Source**: GPIO_V2_GET_LINE_IOCTL.
 */
export function getLine(
  chipFd: number,
  lines: Uint8Array<ArrayBuffer>,
): number {
  return call(chipFd, GET_LINE, lines);
}

/**
 * Changes the settings of all lines of a request: reads a
 * {@linkcode LINE_CONFIG}.
 *
 * Lines that are outputs in it and have no output value are set inactive; a
 * line with neither direction flag is left as it is.
 *
 * @param requestFd The fd that {@linkcode getLine} gave.
 * @returns 0 or -errno.
 *
 * **Safety**: `config` has the struct's size. **Source**:
 * GPIO_V2_LINE_SET_CONFIG_IOCTL.
 */
export function setLineConfig(
  requestFd: number,
  config: Uint8Array<ArrayBuffer>,
): number {
  return call(requestFd, LINE_SET_CONFIG, config);
}

/**
 * Reads the lines of the mask: fills the bits of a {@linkcode LINE_VALUES}.
 *
 * @param requestFd The fd that {@linkcode getLine} gave.
 * @returns 0 or -errno.
 *
 * **Blocking**: milliseconds on chips behind a slow bus (I2C, USB). **Safety**:
 * `values` has the struct's size. **Source**: GPIO_V2_LINE_GET_VALUES_IOCTL.
 */
export function getLineValues(
  requestFd: number,
  values: Uint8Array<ArrayBuffer>,
): number {
  return call(requestFd, LINE_GET_VALUES, values);
}

/**
 * Sets the lines of the mask to the bits of a {@linkcode LINE_VALUES}.
 *
 * @param requestFd The fd that {@linkcode getLine} gave.
 * @returns 0 or -errno (-EPERM: one of them is not an output).
 *
 * **Blocking**: milliseconds on chips behind a slow bus (I2C, USB). **Safety**:
 * `values` has the struct's size. **Source**: GPIO_V2_LINE_SET_VALUES_IOCTL.
 */
export function setLineValues(
  requestFd: number,
  values: Uint8Array<ArrayBuffer>,
): number {
  return call(requestFd, LINE_SET_VALUES, values);
}

/**
 * Reads events from a chip's or a request's fd into `target`.
 *
 * @param fd The open gpiochip device file (gives {@linkcode
 * LINE_INFO_CHANGED}s) or a request's fd (gives {@linkcode LINE_EVENT}s).
 * @param target Room for one event at least; the kernel writes whole ones.
 * @param length Bytes of `target` to use.
 * @returns Bytes read or -errno (-EAGAIN: none there, -ENODEV: the chip is
 * gone).
 *
 * **Blocking**: on a blocking fd until there is one. **Safety**: `target` has
 * `length` bytes. **Source**: gpio-v2-line-event-read.rst.
 */
export function readEvents(
  fd: number,
  target: Uint8Array<ArrayBuffer>,
  length: number,
): number {
  const { read } = libc();
  for (;;) {
    const count = read(fd, target, length);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno !== EINTR) return -errno;
  }
}
