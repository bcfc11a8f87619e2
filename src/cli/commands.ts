/**
 * The commands of gpioagg: the table of `--help`, and their modules. Each is
 * loaded when it is called, so that `gpioagg get` never loads a server.
 *
 * @module
 */
import { TOOL_COMMANDS } from "./tool_commands.ts";
import type { Commands } from "./usage/command.ts";

/** All commands, in the order of `--help`. */
export const COMMANDS: Commands = {
  serve: {
    summary: "serve lines to virtual machines as virtio-gpio controllers",
    load: () => import("./commands/serve.ts"),
  },
  reload: {
    summary: "make a running serve read its configuration file again",
    load: () => import("./commands/reload.ts"),
  },
  check: {
    summary: "validate a configuration file",
    load: () => import("./commands/check.ts"),
  },
  schema: {
    summary: "print the JSON Schema of a configuration file, for editors",
    load: () => import("./commands/schema.ts"),
  },
  run: {
    summary: "run a VM with its lines, and restart it if requested",
    load: () => import("./commands/run.ts"),
  },
  create: {
    summary: "create an aggregator in a running service while this runs",
    load: () => import("./commands/create.ts"),
  },
  list: {
    summary: "list the aggregators of a running service",
    load: () => import("./commands/list.ts"),
  },
  show: {
    summary: "show an aggregator of a running service and its lines",
    load: () => import("./commands/show.ts"),
  },
  watch: {
    summary: "print the events of a running service",
    load: () => import("./commands/watch.ts"),
  },
  wait: {
    summary: "wait until lines of a running service have values",
    load: () => import("./commands/wait.ts"),
  },
  top: {
    summary: "show the lines of a running service as they change",
    load: () => import("./commands/top.ts"),
  },
  record: {
    summary: "record the edges of a running service's lines",
    load: () => import("./commands/record.ts"),
  },
  play: {
    summary: "play a recording into simulated lines of a running service",
    load: () => import("./commands/play.ts"),
  },
  ui: {
    summary: "show a running service in a browser",
    load: () => import("./commands/ui.ts"),
  },
  remove: {
    summary: "end an aggregator of a running service",
    load: () => import("./commands/remove.ts"),
  },
  force: {
    summary: "hold lines of a running service at values for a time",
    load: () => import("./commands/force.ts"),
  },
  "set-rule": {
    summary: "change rules of a created aggregator's lines under its guest",
    load: () => import("./commands/set_rule.ts"),
  },
  cdi: {
    summary: "describe aggregators to container engines (CDI)",
    load: () => import("./commands/cdi.ts"),
  },
  safe: {
    summary: "put lines into their safe state",
    load: () => import("./commands/safe.ts"),
  },
  doctor: {
    summary: "show which exposures this host and a guest can use",
    load: () => import("./commands/doctor.ts"),
  },
  demo: {
    summary: "show the main job, on simulated lines",
    load: () => import("./commands/demo.ts"),
  },
  probe: {
    summary: "show what a guest would see at a vhost-user socket",
    load: () => import("./commands/probe.ts"),
  },
  sim: {
    summary: "show and pull the simulated lines of a running serve",
    load: () => import("./commands/sim.ts"),
  },
  kernel: {
    summary: "make chips of the host's own kernel from lines",
    load: () => import("./commands/kernel.ts"),
  },
  ...TOOL_COMMANDS,
  man: {
    summary: "show a manual page, or write all of them",
    load: () => import("./commands/man.ts"),
  },
  completions: {
    summary: "print the completion of bash, zsh or fish",
    load: () => import("./commands/completions.ts"),
  },
  "complete-words": {
    summary: "print words for a shell's completion",
    isHidden: true,
    load: () => import("./commands/complete_words.ts"),
  },
  "serve-isolated": {
    summary: "serve one aggregator of a service that started this",
    isHidden: true,
    load: () => import("./commands/serve_isolated.ts"),
  },
  "serve-standby": {
    summary: "serve once the service's keeper says so",
    isHidden: true,
    load: () => import("./commands/serve_standby.ts"),
  },
  "usb-relay": {
    summary: "relay between the kernel's USB host controller and a service",
    isHidden: true,
    load: () => import("./commands/usb_relay.ts"),
  },
  version: {
    summary: "print the version",
    load: () => import("./commands/version.ts"),
  },
  "install-tools": {
    summary: "make gpiodetect, gpioget, … in a directory",
    load: () => import("./commands/install_tools.ts"),
  },
};
