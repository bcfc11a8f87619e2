/**
 * The command line of `gpioagg kernel`.
 *
 * @module
 */
import { HOLD_S } from "../../kernel_chip/suspend.ts";
import {
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
  LINE_OPTION,
  type OptionUsage,
} from "../usage/usage.ts";

const DIRECTORY_OPTION = {
  kind: "value",
  value: "DIR",
  help: "use this directory instead of /run/gpioagg, such as that of a " +
    "container. Each container has a directory of its own, and its contents " +
    "are the container's claims",
  completes: "directory",
} as const satisfies OptionUsage;

/** The command line. */
export const USAGE = {
  name: "kernel",
  synopsis: [
    "create --line SPEC... [--name NAME] [OPTION...]",
    "list [--json] [--directory DIR]",
    "remove NAME... [--force] [--json]",
    "gc [--json] [--directory DIR]",
    "suspend [--json] [--directory DIR]",
    "resume [--directory DIR]",
  ],
  about:
    `Makes a chip of this host, /dev/gpiochipN, from lines of its other chips: for one
user, one container, or a VMM that opens a GPIO chip itself. It is made with the
kernel's gpio-aggregator; or, where the kernel has none or a line has rules, with
the kernel's drivers of USB adapters (interface usb). Requires root.`,
  actions: {
    create: {
      about:
        "makes the chip and holds it until SIGTERM or SIGINT. When gpioagg " +
        "dies in any other way, SIGKILL included, the chip is removed.",
      operands: [],
      options: {
        line: {
          ...LINE_OPTION,
          help: "add lines: gpiochip0/0-7,9 or LINE_NAME, with as=NAME to " +
            "rename. Interface usb has all sources and rules of gpioagg " +
            "serve, and no names.",
        },
        name: {
          kind: "value",
          value: "NAME",
          help: "its name in remove and list (agg0, agg1, …)",
        },
        owner: {
          kind: "value",
          value: "USER",
          help: "give the device node to this user",
          completes: "user",
        },
        group: {
          kind: "value",
          value: "GROUP",
          help: "… and to this group",
          completes: "group",
        },
        mode: {
          kind: "value",
          value: "MODE",
          help: "… with these permissions, such as 660",
        },
        detach: {
          kind: "flag",
          help: "make the chip and exit: only remove removes it",
        },
        interface: {
          kind: "value",
          value: "NAME",
          help: "configfs (Linux 6.16 and newer), sysfs (5.8 and newer, no " +
            "names) or usb (needs the module vhci-hcd); default: the first " +
            "that is there and has what the lines need",
          completes: ["configfs", "sysfs", "usb"],
        },
        device: {
          kind: "value",
          value: "MODEL",
          help:
            "with usb: ljca (Linux 6.7 and newer: 64 lines, one such chip) " +
            "or cp2112 (a chip for each 8 lines); default: ljca where the " +
            "kernel has it",
          completes: ["ljca", "cp2112"],
        },
        "attach-fd": {
          kind: "value",
          value: "N",
          help: "with usb, not as root: the open descriptor N is " +
            "/sys/devices/platform/vhci_hcd.0/attach, opened for writing by root",
        },
        json: JSON_OPTION,
      },
    },
    list: {
      about:
        'shows all chips of the kernel\'s gpio-aggregator; "foreign" ones ' +
        "were not made by a gpioagg whose records this user can read",
      operands: [],
      options: { directory: DIRECTORY_OPTION, json: JSON_OPTION },
    },
    remove: {
      about: "removes chips, and prints each",
      operands: ["kernel-chip"],
      options: {
        force: { kind: "flag", help: "even while a process holds them" },
        json: JSON_OPTION,
      },
    },
    gc: {
      about:
        "removes the chips that dead processes left, and prints each, or " +
        "that no chip was left over; status 1 if one cannot be removed. create " +
        "does so too",
      operands: [],
      options: { directory: DIRECTORY_OPTION, json: JSON_OPTION },
    },
    suspend: {
      about: "detaches the adapters of all chips by usb, in containers too, " +
        "and prints each: the kernel does not suspend this host while one is " +
        `attached. They are made again after resume, or after ${HOLD_S} s`,
      operands: [],
      options: { directory: DIRECTORY_OPTION, json: JSON_OPTION },
    },
    resume: {
      about: "has the chips by usb made again now",
      operands: [],
      options: { directory: DIRECTORY_OPTION },
    },
  },
  options: { help: HELP_OPTION },
} as const satisfies CommandUsage;
