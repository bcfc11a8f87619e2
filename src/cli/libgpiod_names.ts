/**
 * Names of libgpiod's tools, under which this program runs too.
 *
 * @module
 */

/** Name of the tool by the command that it is. */
export const LIBGPIOD_NAMES = {
  detect: "gpiodetect",
  get: "gpioget",
  info: "gpioinfo",
  mon: "gpiomon",
  notify: "gpionotify",
  set: "gpioset",
} as const;
