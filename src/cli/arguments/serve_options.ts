/**
 * Options of `gpioagg serve`, with their help.
 *
 * @module
 */
import { HELP_OPTION, type Options } from "../usage/usage.ts";

/** Options that begin an aggregator, and those that describe it. */
export const AGGREGATOR_OPTIONS = {
  "socket-path": {
    kind: "value",
    value: "PATH",
    help: "listen there; PATH.control is for gpioagg sim",
    completes: "socket",
  },
  fd: {
    kind: "value",
    value: "N",
    help:
      "use the inherited socket N instead, listening or connected; when a " +
      "connected one ends, so does serve",
  },
  "qemu-pins": {
    kind: "value",
    value: "qtest=PATH,qmp=PATH[,device=TYPE][,index=N][,PIN=NAME...]",
    help: "present the lines as pins of a controller (pl061) that a QEMU " +
      "emulates; PIN is a number, or gpioB0 on an Aspeed, and gets the line " +
      "NAME (default: pin 0 the first line, …). Both are sockets of QEMU: " +
      "-qtest unix:PATH,server=on,wait=off -qtest-log none " +
      "-qmp unix:PATH,server=on,wait=off; access to them is full control of " +
      "the VM: keep them private",
  },
  "vfio-user": {
    kind: "value",
    value: "PATH",
    help: "present the lines as a PCI card (ML7213 IOH, up to 109 lines) to " +
      "QEMU 10.1 and newer, which connects there",
    completes: "socket",
  },
  usbredir: {
    kind: "value",
    value: "PATH[,device=ljca|cp2112][,connect]",
    help: "present the lines as GPIO adapters on USB to any QEMU (-device " +
      "usb-redir), which connects there, or with connect listens there; ljca " +
      "(Linux 6.7 and newer, x86-64): up to 64 lines; cp2112: 8 lines each, at " +
      "PATH, PATH.1, …",
    completes: "adapter-socket",
  },
  line: {
    kind: "values",
    value: "SPEC",
    help: "add lines, in the order of the guest's line numbers",
    completes: "spec",
  },
  name: {
    kind: "value",
    value: "NAME",
    help: "its name in messages (default: the socket's name)",
  },
  isolate: {
    kind: "flag",
    help: "serve this aggregator in a process of its own; before any " +
      "--socket-path: each of them",
  },
  poll: {
    kind: "value",
    value: "PERIOD",
    help: "look at a vhost-user guest's rings for this long after a request, " +
      "instead of waiting for its next one: 50us (0: never); before any " +
      "--socket-path: of each",
  },
  "poll-share": {
    kind: "value",
    value: "PERCENT",
    help: "part of a CPU that --poll takes at most (50%)",
  },
  "paused-for": {
    kind: "value",
    value: "PERIOD",
    help:
      "time that a stopped vhost-user driver counts as paused; after that " +
      "its guest counts as gone (3s); keep: no limit",
    completes: ["keep"],
  },
} as const satisfies Options;

/** Options of `serve`. */
export const SERVE_OPTIONS = {
  ...AGGREGATOR_OPTIONS,
  "socket-path": {
    ...AGGREGATOR_OPTIONS["socket-path"],
    heading:
      `Every --socket-path, --fd, --qemu-pins, --vfio-user or --usbredir begins another
aggregator:`,
  },
  config: {
    kind: "value",
    value: "FILE",
    help:
      "serve the aggregators of FILE (gpioagg check FILE, gpioagg schema); " +
      "SIGHUP or gpioagg reload reads it again; its api: is overridden by the " +
      "options below",
    heading: "Or with a configuration file:",
    completes: "file",
  },
  json: {
    kind: "flag",
    help: "one JSON object a line on standard output: ready, connected, " +
      "disconnected, started, stopped, gone, waiting, fault, refused, silent, " +
      "enforced, unplugged, plugged, reloaded, problem, lost (count)",
    heading: "Anywhere:",
  },
  api: {
    kind: "value",
    value: "PATH",
    help: "serve a control API: gpioagg create, list, watch, …",
    completes: "socket",
  },
  "api-look": {
    kind: "value",
    value: "PATH",
    help: "a second, read-only socket of it",
    completes: "socket",
  },
  "api-sockets": {
    kind: "value",
    value: "DIR",
    help: "directory of created aggregators' sockets (beside the API's)",
    completes: "directory",
  },
  "api-qemu-sockets": {
    kind: "values",
    value: "DIR",
    help:
      "allow clients to use QEMU sockets below DIR, as create --qemu-pins " +
      "and --usbredir connect= do (none); may be repeated",
    completes: "directory",
  },
  "audit-log": {
    kind: "value",
    value: "FILE",
    help:
      "append all changes through the API, as JSON lines (standard error; " +
      "also when FILE cannot be written)",
    completes: "file",
  },
  record: {
    kind: "value",
    value: "WHAT",
    help: "edges that the control API can tell of later: off, a number " +
      "(1000000), inputs (those that no guest watches too), or NUMBER,inputs",
    completes: ["off", "inputs", "1000000", "1000000,inputs"],
  },
  standby: {
    kind: "flag",
    help: "keep a spare process that takes over soon when this " +
      "restarts (SIGUSR1) or crashes; costs the memory of two more processes",
  },
  "print-capabilities": {
    kind: "flag",
    help: "print the vhost-user capabilities, as JSON",
  },
  help: HELP_OPTION,
} as const satisfies Options;
