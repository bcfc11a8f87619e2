/**
 * Messages of the control API: one table, from which the service's checks, the
 * client's checks and the OpenAPI document come. The types in `protocol.ts` are
 * the same messages for users of the library; the compiler refuses a table that
 * differs from them.
 *
 * @module
 */
import { USB_DEVICE } from "../config/values/values.ts";
import {
  type Describes,
  either,
  enumeration,
  flag,
  integer,
  list,
  mark,
  number,
  object,
  optional,
  reference,
  text,
  word,
} from "./message_schema.ts";
import { microseconds, time } from "./time_schema.ts";
import type { PlayState } from "./play.ts";
import {
  CAUSES,
  DIRECTION,
  EDGE,
  EDGES,
  HISTORY,
  HISTORY_LINE,
  LINE_NUMBER,
} from "./edge_messages.ts";
import type { ForcedState } from "./force.ts";
import {
  AGGREGATOR_EVENTS,
  type AggregatorState,
  type ApiErrorBody,
  type ApiEvent,
  type ConfigProblem,
  type KernelChipState,
  type LeaseMessage,
  type Line,
  type LineChangeState,
  type LineOrigin,
  type LineRules,
  type PendingRuleState,
  type QemuPinsState,
  type ReloadState,
  type ServiceLine,
  type UsbredirState,
  type VfioUserState,
} from "./protocol.ts";
import { CREATE_REQUEST } from "./requests.ts";

const words = (description: string, examples?: readonly string[]) =>
  text({ description, ...(examples === undefined ? {} : { examples }) });

const PENDING_RULE = object({
  rule: words("Line state that the rule wants", ["safe value 0"]),
  reason: words("Cause of the last failure", ["remote I/O error (EREMOTEIO)"]),
  since: time("Time of the first failure, in milliseconds since 1970"),
}, {
  notes: {
    description: "Rule that could not be applied to a line, and is retried; " +
      "absent if there is none",
  },
}) satisfies Describes<PendingRuleState>;

const pendingRule = optional(reference("PendingRule", PENDING_RULE));

const level = (description: string) =>
  optional(enumeration([0, 1], { description }));

const LINE_ORIGIN = object({
  kind: enumeration(
    ["chip", "line-name", "sim", "wire", "copy", "invert", "const"],
    { description: "Kind; line-name: a chip's line by its name" },
  ),
  chip: optional(words("Chip, as the SPEC names it", ["gpiochip0"])),
  offset: optional(integer({
    minimum: 0,
    description: "Number of the line on its chip",
  })),
  lineName: optional(words("Own name of the line on the host")),
  of: optional(words("Line that this one follows", ["crane.READY"])),
  value: level("Value of a constant"),
}, {
  notes: { description: "Source of a line" },
}) satisfies Describes<LineOrigin>;

const LINE_RULES = object({
  direction: optional(enumeration(["input", "output"], {
    description: "The only direction",
  })),
  activeLow: optional(mark()),
  bias: optional(enumeration(["disabled", "pull-up", "pull-down"])),
  drive: optional(enumeration(["push-pull", "open-drain", "open-source"])),
  debounceUs: microseconds("Debounce period"),
  initial: optional(enumeration([0, 1, "as-is"], {
    description: "Value at the start",
  })),
  safe: level("Value while there is no guest, or it is silent"),
  onDisconnect: optional(enumeration(["safe", "input", "release"], {
    description: "State without a guest; absent: as the guest left it",
  })),
  safeAfterUs: microseconds("Time without a request until the line is safe"),
  minIntervalUs: microseconds("Least time between two changes"),
  shared: optional(mark()),
  combine: optional(enumeration(["or", "and"])),
}, {
  notes: { description: "Rules of a line that differ from the defaults" },
}) satisfies Describes<LineRules>;

const FORCED = object({
  value: enumeration([0, 1], { description: "Value that the line is held at" }),
  otherwise: level(
    "Value that it would have without: what the guest of an output asked for " +
      "last, or the value of an input; absent if it is not known",
  ),
  until: time("Time at which it ends, in milliseconds since 1970"),
  reason: words("Reason, as the operator gave it"),
  by: integer({ description: "User id of the operator" }),
}, {
  notes: {
    description: "Force of a line: a value that an operator holds it at",
  },
}) satisfies Describes<ForcedState>;

/** Keys of a line in the order of the OpenAPI document. */
const LINE_FIELDS = {
  lineNumber: LINE_NUMBER,
  name: words("Name that the guest sees; may be empty"),
  source: words("Source of the line, in words"),
  origin: optional(reference("LineOrigin", LINE_ORIGIN)),
  rules: optional(reference("LineRules", LINE_RULES)),
  interlocks: optional(list(text(), {
    description: "Lines that exclude this one, at most 32 of them",
  })),
  drivenBy: optional(enumeration(CAUSES, {
    description: "Cause of the last recorded change; absent if there is none",
  })),
  since: optional(
    time("Time of that change, in milliseconds since 1970"),
  ),
  direction: DIRECTION,
  value: optional(integer({
    enum: [0, 1],
    description: "1 is active; absent if it cannot be read without waiting",
  })),
  pendingRule,
  forced: optional(reference("Forced", FORCED)),
};

const LINE = object(LINE_FIELDS) satisfies Describes<Line>;

const SERVICE_LINE = object({
  aggregator: words("Name of the aggregator"),
  ...LINE_FIELDS,
}) satisfies Describes<ServiceLine>;

/** A line after a change. */
export const LINE_CHANGE = object({
  lineNumber: LINE_NUMBER,
  name: text(),
  direction: DIRECTION,
  value: optional(integer({ enum: [0, 1] })),
  pendingRule,
  changes: integer({
    description: "Times that the value, direction or presence changed since " +
      "the line's last event",
  }),
}) satisfies Describes<LineChangeState>;

const moment = optional(
  time("Time of the event, in milliseconds since 1970"),
);
const KERNEL_CHIP = object({
  path: words("Device node", ["/dev/gpiochip5"]),
  label: words("Label that the kernel gave it", ["gpio-aggregator.0"]),
  present: flag({ description: "False if another process has removed it" }),
  lostChips: optional(list(text(), {
    description: "Chips that it has lost, by name: their lines fail until it " +
      "is made again",
  })),
  paths: optional(list(text(), {
    description: "Device nodes, if the lines are in several chips",
  })),
}, {
  notes: { description: "A chip of the host's own kernel" },
}) satisfies Describes<KernelChipState>;

const QEMU_PINS = object({
  qtest: words("QEMU's qtest socket"),
  qmp: words("QEMU's QMP socket"),
  device: words("A QOM type, or a QOM path"),
  index: optional(integer({
    minimum: 0,
    maximum: 255,
    description: "Index among several devices of that type",
  })),
}, {
  notes: { description: "Pins of a controller that a QEMU emulates" },
}) satisfies Describes<QemuPinsState>;

const VFIO_USER = object({
  socketPath: words("The vfio-user socket, for a VMM"),
}, {
  notes: { description: "A PCI card (ML7213 IOH)" },
}) satisfies Describes<VfioUserState>;

const USBREDIR = object({
  sockets: list(text(), {
    description: "A usbredir socket for each adapter, in the order of lines",
  }),
  device: word(USB_DEVICE, {
    description: "ljca: up to 64 lines; cp2112: 8 lines each",
  }),
  connects: optional(mark({
    description: "Set if QEMU listens at the sockets, and the service connects",
  })),
}, {
  notes: { description: "GPIO adapters on USB" },
}) satisfies Describes<UsbredirState>;

/** Keys of an aggregator in the order of the OpenAPI document. */
const AGGREGATOR_FIELDS = {
  name: text(),
  lease: enumeration(["stream", "none", "service"], {
    description: "Lifetime: tied to its creator's stream, to nothing, or to " +
      "the service's own command line or configuration",
  }),
  presentation: words("Exposure, in words"),
  socketPath: optional(words("The vhost-user socket, for a VMM")),
  controlPath: optional(words("The control socket, for gpioagg sim")),
  kernelChip: optional(reference("KernelChip", KERNEL_CHIP)),
  qemuPins: optional(reference("QemuPins", QEMU_PINS)),
  vfioUser: optional(reference("VfioUser", VFIO_USER)),
  usbredir: optional(reference("Usbredir", USBREDIR)),
  secondOf: optional(words(
    "Aggregator that this is the second exposure of; both end together",
  )),
  ending: optional(mark({
    description: "Set while it is being removed: it has no guest, and waits " +
      "for a line to reach its declared state",
  })),
  pid: optional(integer({
    description: "Process that serves it, if it has its own",
  })),
  connected: flag({
    description:
      "True if a VMM is connected; of a kernel chip, if one of its " +
      "lines is in use",
  }),
  servedSince: optional(
    time("Time when it was created, in milliseconds since 1970"),
  ),
  connectedSince: optional(
    time("Time when the VMM connected, in milliseconds since 1970"),
  ),
  startedSince: optional(
    time("Time when the guest's driver started, in milliseconds since 1970"),
  ),
  lines: list(reference("Line", LINE)),
};

const AGGREGATOR = object(AGGREGATOR_FIELDS) satisfies Describes<
  AggregatorState
>;

const { lease: _lease, ...described } = AGGREGATOR_FIELDS;

/** An aggregator as its reactor knows it: the API knows its lease. */
export const DESCRIPTION = object(described) satisfies Describes<
  Omit<AggregatorState, "lease">
>;

const aggregator = reference("Aggregator", AGGREGATOR);

/** Lists of aggregators and of lines. */
export const ANSWERS = {
  aggregators: object({ aggregators: list(aggregator) }),
  lines: object({ lines: list(reference("Line", LINE)) }),
  allLines: object({ lines: list(reference("ServiceLine", SERVICE_LINE)) }),
};

/** Rules that do not hold, with their lines. */
export const PENDING_LINES = list(
  object({ aggregator: text(), line: text(), ...PENDING_RULE.fields }),
  { description: "Rules that could not be applied, and are retried" },
);

const HEALTH = object({
  status: enumeration(["ok", "rules-pending"]),
  pending: PENDING_LINES,
});

const names = (description?: string) =>
  list(text(), description === undefined ? {} : { description });

const RELOAD = object({
  added: names(),
  removed: names(),
  replaced: names("Created again, since they had no guest"),
  changed: names("With other rules, without a restart of their guests"),
  refused: list(object({ aggregator: text(), reasons: names() })),
}) satisfies Describes<ReloadState>;

/** State of a play. */
export const PLAY = object({
  waiting: integer({ description: "Number of steps that wait for their time" }),
  played: integer({ description: "Number of steps that were played" }),
  medianLateUs: number({
    description:
      "Median of the lateness of the last 1024 steps, in microseconds",
  }),
  worstLateUs: number({
    description: "Greatest lateness, in microseconds",
  }),
}) satisfies Describes<PlayState>;

const LEASE_MESSAGE = either([
  object({
    aggregator,
    token: optional(words(
      "Secret by which the client takes its lease back after a restart of the " +
        "service; absent: the aggregator ends with the service",
    )),
  }),
  object({ ended: text() }),
]) satisfies Describes<LeaseMessage>;

/** Events by the name of their schema, distinguished by `event`. */
const EVENTS = {
  SnapshotEvent: object({
    event: enumeration(["snapshot"]),
    time: moment,
    aggregators: list(aggregator),
  }),
  AggregatorEvent: object({
    event: enumeration(AGGREGATOR_EVENTS),
    time: moment,
    aggregator: text(),
    detail: words("In words; may be empty"),
  }),
  LinesEvent: object({
    event: enumeration(["lines"]),
    time: moment,
    aggregator: text(),
    lines: list(reference("LineChange", LINE_CHANGE)),
  }),
  LostEvent: object({
    event: enumeration(["lost"]),
    time: moment,
    count: integer({ description: "Number of events or edges that were lost" }),
  }),
  EdgesEvent: object({
    event: enumeration(["edges"]),
    time: moment,
    edges: EDGES,
  }),
};

const EVENT = either(
  Object.entries(EVENTS).map(([name, schema]) =>
    reference(name, schema as typeof EVENTS[keyof typeof EVENTS])
  ),
  {
    discriminator: {
      propertyName: "event",
      mapping: Object.fromEntries(
        Object.entries(EVENTS).flatMap(([name, { fields }]) =>
          (fields.event.json["enum"] as readonly string[]).map((event) => [
            event,
            `#/components/schemas/${name}`,
          ])
        ),
      ),
    },
  },
) satisfies Describes<ApiEvent>;

const CONFIG_PROBLEM = object({
  file: text(),
  line: integer({
    minimum: 0,
    description: "First line is 1; 0 if the file could not be read",
  }),
  column: integer({ minimum: 0, description: "First column is 1" }),
  path: words("Keys from the root", ["aggregators.plc0.lines[2].safe"]),
  problem: words("Problem, without the position"),
  hint: words("One line that says what to do; may be empty"),
}) satisfies Describes<ConfigProblem>;

const ERROR = object({
  error: object({
    message: text(),
    hint: optional(text()),
    path: optional(words(
      "Invalid value, by its path in the body or as --line SPEC; the message " +
        "begins with it",
      ["socket.mode"],
    )),
    errors: optional(list(reference("ConfigProblem", CONFIG_PROBLEM), {
      description: "Errors of the service's configuration file: the first 100",
    })),
  }),
}) satisfies Describes<ApiErrorBody>;

/** Messages by their names in the OpenAPI document. */
export const MESSAGES = {
  Aggregator: AGGREGATOR,
  KernelChip: KERNEL_CHIP,
  QemuPins: QEMU_PINS,
  VfioUser: VFIO_USER,
  Usbredir: USBREDIR,
  Line: LINE,
  ServiceLine: SERVICE_LINE,
  LineOrigin: LINE_ORIGIN,
  LineRules: LINE_RULES,
  LineChange: LINE_CHANGE,
  PendingRule: PENDING_RULE,
  Forced: FORCED,
  Edge: EDGE,
  HistoryLine: HISTORY_LINE,
  History: HISTORY,
  Health: HEALTH,
  CreateRequest: CREATE_REQUEST,
  Reload: RELOAD,
  Play: PLAY,
  LeaseMessage: LEASE_MESSAGE,
  Event: EVENT,
  ...EVENTS,
  ConfigProblem: CONFIG_PROBLEM,
  Error: ERROR,
};
