/**
 * Requests of the control API, by the same table as its other messages
 * (`messages.ts`).
 *
 * @module
 */
import { readPeriodUs } from "../text/period.ts";
import { PIN } from "../config/values/pin.ts";
import {
  AGGREGATOR_NAME,
  anyText,
  choice,
  DEFAULT_QEMU_DEVICE,
  DEFAULT_USB_DEVICE,
  DEVICE_INDEX,
  ISOLATE,
  LINE_NAME,
  LONGER_PERIOD,
  MODE,
  PAUSED_FOR,
  QEMU_DEVICE,
  SOCKET_PATH,
  type TextKind,
  USB_DEVICE,
} from "../config/values/values.ts";
import {
  type Describes,
  enumeration,
  hinted,
  integer,
  keyed,
  list,
  nullable,
  object,
  optional,
  parsed,
  parsedInteger,
  text,
  word,
} from "./message_schema.ts";
import type { ForceRequest } from "./force.ts";
import type { PlayRequest } from "./play.ts";
import type {
  CreateRequest,
  KernelChipRequest,
  LeaseRequest,
  QemuPinsRequest,
  RuleChangeState,
  RulesRequest,
  SocketAccess,
  UsbredirRequest,
} from "./protocol.ts";

/**
 * Lines of a client's aggregator. Opening them is one turn of the reactor, in
 * which no guest is served: about 10 us for each. (The service's own
 * aggregators may have the 65535 of a virtio-gpio device.)
 */
export const MAX_CREATED_LINES = 4096;

const MODE_WORDS = optional(parsed(MODE, {
  description: "Permission bits, in octal",
  examples: ["660"],
}));
const USER = optional(parsed(anyText("a user's name or number"), {
  description: "User name or number",
}));
const GROUP = optional(parsed(anyText("a group's name or number"), {
  description: "Group name or number",
}));
const ACCESS = { mode: MODE_WORDS, owner: USER, group: GROUP };
const MISTAKEN = { user: "owner" };

const socketAccess = (description: string) =>
  object(ACCESS, {
    isClosed: true,
    mistaken: MISTAKEN,
    notes: { description },
  }) satisfies Describes<SocketAccess>;

const KERNEL_CHIP_REQUEST = object({
  interface: optional(word(choice("configfs", "sysfs", "usb"), {
    description: "Interface of the kernel: those of its aggregator, or its " +
      "drivers of USB adapters, with rules; absent: what the lines need",
  })),
  device: optional(word(USB_DEVICE, {
    description: "Model of the USB adapters; absent: what the kernel has",
  })),
  ...ACCESS,
}, {
  isClosed: true,
  mistaken: MISTAKEN,
  notes: {
    description:
      "Present it as a chip of the host's kernel: access to its device " +
      "node, and the interface of the kernel",
  },
}) satisfies Describes<KernelChipRequest>;

const QEMU_PINS_REQUEST = object({
  qtest: parsed(SOCKET_PATH, { description: "QEMU's qtest socket" }),
  qmp: parsed(SOCKET_PATH, { description: "QEMU's QMP socket" }),
  device: optional(parsed(QEMU_DEVICE, {
    description: "A QOM type, or a QOM path",
    default: DEFAULT_QEMU_DEVICE,
  })),
  index: optional(parsedInteger(DEVICE_INDEX, {
    description: "Index among several devices of that type",
  })),
  pins: optional(hinted(
    keyed(PIN, parsed(LINE_NAME), {
      description:
        "Pin to line name; absent: pin 0 is the first line, and so on",
    }, { least: 1 }),
    'Send {"0": "START", "1": "STOP"}, or leave it out: pin 0 is the first line',
  )),
}, {
  isClosed: true,
  notes: {
    description: "Present it as the pins of a controller inside the QEMU " +
      "behind these sockets. No other aggregator uses them, and they are below " +
      "a directory that the service allows to clients (--api-qemu-sockets)",
  },
}) satisfies Describes<QemuPinsRequest>;

const USBREDIR_REQUEST = object({
  device: optional(word(USB_DEVICE, {
    description: "ljca: up to 64 lines; cp2112: 8 lines each",
    default: DEFAULT_USB_DEVICE,
  })),
  connect: optional(parsed(SOCKET_PATH, {
    description: "Socket that QEMU listens at, to connect to; absent: the " +
      "service listens at a socket of its own",
  })),
  ...ACCESS,
}, {
  isClosed: true,
  mistaken: MISTAKEN,
  notes: {
    description: "Present it as GPIO adapters on USB, at usbredir sockets of " +
      "the service or of a QEMU; those of a QEMU are below a directory that " +
      "the service allows to clients (--api-qemu-sockets)",
  },
}) satisfies Describes<UsbredirRequest>;

const CREATE_HINT =
  'Send {"name": "plc0", "lines": ["gpiochip0/0-7", "sim/4"]}';

/** Request to create an aggregator. */
export const CREATE_REQUEST = hinted(
  object({
    name: hinted(parsed(AGGREGATOR_NAME), CREATE_HINT),
    lines: hinted(
      list(
        text({
          description: "A SPEC, as gpioagg serve --line takes it",
          examples: ["gpiochip0/0-7,direction=output,safe=0", "sim/4"],
        }),
        { description: `At most ${MAX_CREATED_LINES} lines in all` },
        { least: 1 },
      ),
      CREATE_HINT,
    ),
    // No "default" here: generators of typed clients make it a required field.
    lease: optional(word(choice("stream", "none"), {
      description: "Absent: stream",
    })),
    socket: optional(socketAccess(
      "Present it at a vhost-user socket, the default: access to that socket",
    )),
    pausedFor: optional(parsed(PAUSED_FOR, {
      description: "At a vhost-user socket: time for which a stopped driver " +
        "counts as paused, not as gone; keep: no limit. Absent: 3s",
    })),
    isolate: optional(word(ISOLATE, {
      description: "process: served by a process of its own, so that its VMM " +
        "cannot affect other aggregators. Absent: none",
    })),
    kernelChip: optional(KERNEL_CHIP_REQUEST),
    qemuPins: optional(QEMU_PINS_REQUEST),
    usbredir: optional(USBREDIR_REQUEST),
    vfioUser: optional(socketAccess(
      "Present it as a PCI card (ML7213 IOH) at a vfio-user socket: access to " +
        "that socket",
    )),
  }, {
    isClosed: true,
    mistaken: {
      line: "lines",
      specs: "lines",
      id: "name",
      socketPath: "socket",
      vhostUser: "socket",
      kernel: "kernelChip",
      chip: "kernelChip",
      pins: "qemuPins",
      qemu: "qemuPins",
      vfio: "vfioUser",
      pci: "vfioUser",
      usb: "usbredir",
      ...MISTAKEN,
    },
    exclusive: {
      keys: ["socket", "kernelChip", "qemuPins", "vfioUser", "usbredir"],
      problem: (first) =>
        `the aggregator is presented by ${first} already, and a line has one ` +
        "master",
      hint: "Make two aggregators",
    },
  }),
  CREATE_HINT,
) satisfies Describes<CreateRequest>;

/** Request to take a lease back after a restart. */
export const LEASE_REQUEST = hinted(
  object({
    token: text({ description: "Token of the lease's first message" }),
  }, { isClosed: true }),
  'Send {"token": TOKEN}, with the token of the lease\'s first message',
) satisfies Describes<LeaseRequest>;

const ANY_LINE: TextKind<string> = {
  expected: "a line",
  read: (value) => ({ value }),
  schema: { type: "string" },
};

const PLAY_HINT = 'Send {"from": "1764429039000000000", "steps": ' +
  '[{"afterNs": 0, "line": "START", "value": 1}]}';

/** Request to play values into simulated lines. */
export const PLAY_REQUEST = hinted(
  object({
    from: text({
      description:
        "Time 0 of the steps, in nanoseconds since 1970. Steps with " +
        "the same one follow those that wait; another one begins another play",
      pattern: "^\\d{1,19}$",
    }),
    steps: list(
      object({
        afterNs: integer({
          minimum: 0,
          description: "Time after from, in nanoseconds",
        }),
        line: text({ description: "Name or number of a simulated line" }),
        value: enumeration([0, 1], {}, "0 or 1 (active)"),
      }, { isClosed: true }),
      { description: "In order of time" },
      { least: 1 },
    ),
  }, { isClosed: true }),
  PLAY_HINT,
) satisfies Describes<PlayRequest>;

const PULL_HINT = 'Send {"pull": {"START": 1}}';
const LEVEL = enumeration([0, 1], {}, "0 (low) or 1 (high)");

/** Request to set simulated lines. */
export const PULL_REQUEST = hinted(
  object({
    pull: hinted(
      keyed(ANY_LINE, LEVEL, { description: "Level by line name or number" }),
      PULL_HINT,
    ),
  }, { isClosed: true }),
  PULL_HINT,
);

const RULE_CHANGE = object({
  direction: optional(nullable(enumeration(["input", "output", "any"], {
    description:
      "Directions that the guest may choose; a limit that the line " +
      "does not have yet is refused",
  }))),
  initial: optional(nullable(enumeration([0, 1, "as-is"], {
    description: "Value at the start",
  }))),
  safe: optional(nullable(enumeration([0, 1], {
    description: "Value while there is no guest, or it is silent",
  }))),
  onDisconnect: optional(nullable(
    enumeration(["keep", "safe", "input", "release"], {
      description: "State without a guest",
    }),
  )),
  safeAfter: optional(nullable(parsed(LONGER_PERIOD, {
    description: "Time without a request until the line is safe",
    examples: ["10s"],
  }))),
  minInterval: optional(nullable(parsed(LONGER_PERIOD, {
    description: "Least time between two changes",
    examples: ["200ms"],
  }))),
}, {
  isClosed: true,
  mistaken: {
    "on-disconnect": "onDisconnect",
    "safe-after": "safeAfter",
    "min-interval": "minInterval",
    safeAfterUs: "safeAfter",
    minIntervalUs: "minInterval",
  },
  notes: { description: "New rules of a line; null: as without the rule" },
}) satisfies Describes<RuleChangeState>;

const RULES_HINT = 'Send {"rules": {"RELAY": {"safe": 1}}}';

/** Request to change rules of an aggregator's lines. */
export const RULES_REQUEST = hinted(
  object({
    rules: hinted(
      keyed(ANY_LINE, RULE_CHANGE, {
        description: "Changes by line name or number",
      }, { least: 1 }),
      RULES_HINT,
    ),
  }, { isClosed: true }),
  RULES_HINT,
) satisfies Describes<RulesRequest>;

/** Longest force. **Units**: microseconds. */
const MAX_FORCE_US = 24 * 3600e6;
/** Longest reason of a force. **Units**: UTF-16 code units. */
const MAX_REASON = 200;

/** Time until a force ends. */
export const FORCE_PERIOD: TextKind<number> = {
  expected: "a period such as 10s",
  read: (text) => {
    const value = readPeriodUs(text);
    return value === undefined || value === 0 || value > MAX_FORCE_US
      ? {
        problem: "is not a time for which a line can be forced",
        hint: "Write 500ms, 10s, 5m or 1h; at most 24h",
      }
      : { value };
  },
  schema: { type: "string" },
};

/** Reason of a force. */
export const FORCE_REASON: TextKind<string> = {
  expected: "a reason",
  read: (text) =>
    text.trim() === "" || text.length > MAX_REASON
      ? {
        problem: `is not a reason of 1 to ${MAX_REASON} characters`,
        hint: "Say why, for those who see the line",
      }
      : { value: text },
  schema: { type: "string", minLength: 1, maxLength: MAX_REASON },
};

const FORCE_HINT =
  'Send {"lines": {"VALVE": 0}, "for": "10s", "reason": "maintenance"}';

/** Request to force lines. */
export const FORCE_REQUEST = hinted(
  object({
    lines: hinted(
      keyed(ANY_LINE, enumeration([0, 1], {}, "0 or 1 (active)"), {
        description: "Values by line name or number",
      }, { least: 1 }),
      FORCE_HINT,
    ),
    for: hinted(
      parsed(FORCE_PERIOD, {
        description: "Time until it ends, at most 24h",
        examples: ["10s"],
      }),
      FORCE_HINT,
    ),
    reason: hinted(parsed(FORCE_REASON), FORCE_HINT),
    lease: optional(word(choice("stream", "none"), {
      description: "stream: it ends with the connection too. Absent: stream",
    })),
  }, {
    isClosed: true,
    mistaken: { line: "lines", time: "for", period: "for", why: "reason" },
  }),
  FORCE_HINT,
) satisfies Describes<ForceRequest>;
