/**
 * The commands that are libgpiod's tools as well.
 *
 * @module
 */
import { LIBGPIOD_NAMES } from "./libgpiod_names.ts";
import type { Commands } from "./usage/command.ts";

/** The tools, in the order of `--help`. */
export const TOOL_COMMANDS: Commands = {
  detect: {
    summary: "list the GPIO chips of this host (gpiodetect)",
    toolName: LIBGPIOD_NAMES.detect,
    load: () => import("../tools/detect.ts"),
  },
  info: {
    summary: "show the lines of chips (gpioinfo)",
    toolName: LIBGPIOD_NAMES.info,
    load: () => import("./commands/info.ts"),
  },
  get: {
    summary: "read lines (gpioget)",
    toolName: LIBGPIOD_NAMES.get,
    load: () => import("./commands/get.ts"),
  },
  set: {
    summary: "drive lines (gpioset)",
    toolName: LIBGPIOD_NAMES.set,
    load: () => import("../tools/set.ts"),
  },
  mon: {
    summary: "watch lines for edges (gpiomon)",
    toolName: LIBGPIOD_NAMES.mon,
    load: () => import("./commands/mon.ts"),
  },
  notify: {
    summary: "watch lines being requested and released (gpionotify)",
    toolName: LIBGPIOD_NAMES.notify,
    load: () => import("../tools/notify.ts"),
  },
};

/** The commands by the tools' libgpiod names. */
export const TOOL_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(TOOL_COMMANDS).map(([name, { toolName }]) => [toolName, name]),
);
