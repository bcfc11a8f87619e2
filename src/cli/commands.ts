/**
 * The commands of gpioagg: what `--help` lists and where each one lives. Each
 * is loaded when it is called, so that `gpioagg get` never loads a server.
 *
 * @module
 */

/** One command's program: arguments and the name it was called by, to an exit status. */
export type Main = (
  args: readonly string[],
  programName: string,
) => number | Promise<number>;

/** A command in the table. */
export interface Command {
  summary: string;
  load: () => Promise<{ main: Main }>;
}

/** All commands, in the order of `--help`. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    summary: "serve lines to virtual machines as virtio-gpio controllers",
    load: () => import("./serve.ts"),
  },
  reload: {
    summary: "have a running serve read its configuration file again",
    load: () => import("./reload.ts"),
  },
  check: {
    summary: "say what is wrong with a configuration file",
    load: () => import("./check.ts"),
  },
  schema: {
    summary: "print the JSON Schema of a configuration file, for editors",
    load: () => import("./schema.ts"),
  },
  run: {
    summary: "run a VM with its lines, again and again if need be",
    load: () => import("./run.ts"),
  },
  create: {
    summary: "make an aggregator in a running service, as long as this lives",
    load: () => import("./create.ts"),
  },
  list: {
    summary: "list the aggregators of a running service",
    load: () => import("./list.ts"),
  },
  show: {
    summary: "show an aggregator of a running service and its lines",
    load: () => import("./show.ts"),
  },
  watch: {
    summary: "tell what happens in a running service",
    load: () => import("./watch.ts"),
  },
  remove: {
    summary: "end an aggregator of a running service",
    load: () => import("./remove.ts"),
  },
  cdi: {
    summary: "describe aggregators to container engines (CDI)",
    load: () => import("./cdi.ts"),
  },
  safe: {
    summary: "put lines into their safe state",
    load: () => import("./safe.ts"),
  },
  demo: {
    summary: "see the main job done, on simulated lines",
    load: () => import("./demo.ts"),
  },
  probe: {
    summary: "show what a guest would see at a vhost-user socket",
    load: () => import("../tools/probe.ts"),
  },
  sim: {
    summary: "show and pull the simulated lines of a running serve",
    load: () => import("./sim.ts"),
  },
  kernel: {
    summary: "make chips of the host's own kernel out of lines",
    load: () => import("./kernel.ts"),
  },
  detect: {
    summary: "list the GPIO chips of this host (gpiodetect)",
    load: () => import("../tools/detect.ts"),
  },
  info: {
    summary: "show the lines of chips (gpioinfo)",
    load: () => import("../tools/info.ts"),
  },
  get: {
    summary: "read lines (gpioget)",
    load: () => import("../tools/get.ts"),
  },
  set: {
    summary: "drive lines (gpioset)",
    load: () => import("../tools/set.ts"),
  },
  mon: {
    summary: "watch lines for edges (gpiomon)",
    load: () => import("../tools/mon.ts"),
  },
  notify: {
    summary: "watch lines being requested and released (gpionotify)",
    load: () => import("../tools/notify.ts"),
  },
  "install-tools": {
    summary: "make gpiodetect, gpioget, … in a directory",
    load: () => import("../tools/install_tools.ts"),
  },
};

/** The libgpiod names under which the same program answers. */
export const TOOL_NAMES: Readonly<Record<string, string>> = {
  gpiodetect: "detect",
  gpioinfo: "info",
  gpioget: "get",
  gpioset: "set",
  gpiomon: "mon",
  gpionotify: "notify",
};
