/**
 * Structure of a configuration file: one table, from which both the validation
 * and the JSON Schema come.
 *
 * @module
 */
import {
  EDGE_COUNT,
  RECORD,
  RECORD_PATH,
  RECORD_SIZE,
} from "../values/record.ts";
import { readSpec, type SpecReading } from "../spec/line_spec.ts";
import type { ConfigNode } from "../document/config_node.ts";
import type { Problems } from "../document/problems.ts";
import {
  API,
  CONTROL,
  KERNEL_CHIP,
  QEMU_PINS,
  USBREDIR,
  VFIO_USER,
  VHOST_USER,
} from "./exposure_schema.ts";
import {
  AGGREGATOR_NAME,
  FLAG,
  ISOLATE,
  type JsonSchema,
  LINE_NAME,
  PAUSED_FOR,
  type TextKind,
} from "../values/values.ts";
import type { RecordSpecification } from "../specification.ts";
import { POLL, POLL_SHARE } from "../values/polling.ts";
import { RULE_KEYS, type RuleKey, RULES } from "../values/rules.ts";
import {
  either,
  type Field,
  field,
  isContinued,
  list,
  mapping,
  named,
  type Read,
  required,
  type Shape,
  single,
  wholeList,
} from "./schema.ts";
import { nameLike, REFERENCE, SOURCE_FIELDS } from "./source_schema.ts";

type RuleFields<K extends RuleKey> = {
  [R in K]: typeof RULES[R] extends { kind: TextKind<infer T> } ? Field<T>
    : never;
};

/** The fields of some rules. */
function ruleFields<K extends RuleKey>(keys: readonly K[]): RuleFields<K> {
  return Object.fromEntries(
    keys.map((key) => [
      key,
      field(RULES[key].help, single(RULES[key].kind as TextKind<unknown>)),
    ]),
  ) as RuleFields<K>;
}

const DEFAULT_KEYS = RULE_KEYS.filter((key) => RULES[key].isDefault);

const DEFAULTS = mapping(
  "rules for lines that do not say otherwise",
  ruleFields(DEFAULT_KEYS),
  { example: "{ debounce: 5ms }" },
);

const INTERLOCKS = list(
  "a list of interlocks",
  mapping("an interlock such as { exclusive: [UP, DOWN] }", {
    exclusive: required(
      "lines of which at most one may be active",
      list("at least two lines", single(REFERENCE), 2, "[UP, DOWN]"),
    ),
  }),
  0,
  "- exclusive: [UP, DOWN]",
);

const LINE_FIELDS = mapping(
  "a line: a SPEC, or a mapping with chip, line, sim, wire, const, copy or " +
    "invert",
  {
    ...SOURCE_FIELDS,
    ...ruleFields(RULE_KEYS),
    as: field(
      RULES.as.help,
      either(
        "a name, or a list of names",
        nameLike(LINE_NAME),
        wholeList("names", nameLike(LINE_NAME), 1),
        "list",
      ),
    ),
  },
  {
    schema: {
      oneOf: [
        {
          required: ["chip"],
          oneOf: [
            { required: ["offset"] },
            { required: ["offsets"] },
            { required: ["line"] },
          ],
        },
        { required: ["line"], not: { required: ["chip"] } },
        ...["sim", "wire", "const", "copy", "invert"].map((key) => ({
          required: [key],
        })),
      ],
    },
  },
);

/** A line as it is written: in one string, in keys, or not to be understood. */
export type LineReading =
  | { kind: "spec"; text: string; spec: SpecReading }
  | { kind: "keys"; fields: Read<typeof LINE_FIELDS> }
  | { kind: "broken" };

/**
 * Texts that YAML takes for a number, a truth value or nothing: hardly a name.
 */
const NO_SPEC =
  /^(?:[-+]?(?:0x|0o)?[\d.]+(?:e[-+]?\d+)?|~|null|true|false|yes|no|on|off|[-+]?\.inf|\.nan)$/i;

const LINE: Shape<LineReading> = {
  expected: LINE_FIELDS.expected,
  read(node: ConfigNode, problems: Problems): LineReading {
    if (node.kind === "text") {
      const before = problems.count;
      if (!node.isQuoted && NO_SPEC.test(node.text)) {
        problems.add(
          node.position,
          `${node.text} is not a line`,
          `For a line of that name, write it in quotes: "${node.text}"`,
        );
        return { kind: "broken" };
      }
      if (isContinued(node, problems)) return { kind: "broken" };
      const spec = readSpec(
        node.text,
        (problem, hint) => problems.add(node.position, problem, hint),
      );
      return problems.count > before
        ? { kind: "broken" }
        : { kind: "spec", text: node.text, spec };
    }
    if (node.kind === "list" && node.items().length > 0) {
      // YAML's list, where a name such as [PMU0_SSI] was meant.
      problems.add(
        node.position,
        `expected ${LINE_FIELDS.expected}, found a list`,
        "A name that begins with [ is written in quotes: '[SDA0]'",
      );
      return { kind: "broken" };
    }
    const fields = LINE_FIELDS.read(node, problems);
    return fields === undefined ? { kind: "broken" } : { kind: "keys", fields };
  },
  schema: () => ({
    anyOf: [
      {
        type: "string",
        minLength: 1,
        description: "a SPEC, as for serve --line: gpiochip0/0-3,active-low",
      },
      LINE_FIELDS.schema(),
    ],
  }),
};

const AGGREGATOR_FIELDS = {
  "vhost-user": field(
    "present it to a virtual machine as a virtio-gpio controller",
    VHOST_USER,
  ),
  "qemu-pins": field(
    "present it as the pins of a controller that QEMU emulates",
    QEMU_PINS,
  ),
  "vfio-user": field(
    "present it to a virtual machine as a PCI card (ML7213 IOH)",
    VFIO_USER,
  ),
  "usbredir": field(
    "present it to a QEMU as GPIO adapters on USB",
    USBREDIR,
  ),
  "kernel-chip": field(
    "present it as a chip of the host's own kernel",
    KERNEL_CHIP,
  ),
  "control": field(
    "the socket where gpioagg sim is heard, and who may use it",
    CONTROL,
  ),
  "paused-for": field(
    "how long a stopped vhost-user driver counts as paused; keep: for ever (3s)",
    single(PAUSED_FOR),
  ),
  "poll": field(
    "how long a vhost-user guest's rings are looked at after a request, instead of waiting for its next one; 0: not at all (0)",
    single(POLL),
  ),
  "poll-share": field(
    "part of a CPU that this takes at most (50%)",
    single(POLL_SHARE),
  ),
  "isolate": field(
    "the process that serves it: process: one of its own; none: the service's",
    single(ISOLATE),
  ),
  "defaults": field("rules for lines that do not say otherwise", DEFAULTS),
  "lines": required(
    "its lines, in the order in which the guest counts them",
    list(
      "at least one line",
      LINE,
      1,
      'a list: lines: [sim/8], or each line behind a "- " of its own',
    ),
  ),
  "interlocks": field("lines that exclude each other", INTERLOCKS),
} as const;

const AGGREGATOR = mapping(
  "an aggregator: an exposure, and lines",
  AGGREGATOR_FIELDS,
  {
    example: "{ vhost-user: /run/gpioagg/press.sock, lines: [sim/8] }",
    misplaced: (key) =>
      Object.hasOwn(RULES, key)
        ? `"${key}" is a key of a line, or of defaults for all lines`
        : undefined,
  },
);

/** Returns the hint for what only an option of `serve` can say. */
function optionHint(key: string): string | undefined {
  return key === "standby"
    ? "It is an option: gpioagg serve --standby --config FILE"
    : undefined;
}

/** Returns the hint for an aggregator's key that stands outside of it. */
function aggregatorKeyHint(key: string): string | undefined {
  return Object.hasOwn(AGGREGATOR_FIELDS, key)
    ? `"${key}" is a key of an aggregator: indent it below the ` +
      "aggregator's name, which is indented below aggregators"
    : undefined;
}

const RECORD_KEYS = mapping("a record of edges: file, size, keep, inputs", {
  file: field("file that edges are written to", single(RECORD_PATH)),
  size: field(
    "size of that file and the older one beside it together (64MB)",
    single(RECORD_SIZE),
  ),
  keep: field("number of edges in memory (1000000)", single(EDGE_COUNT)),
  inputs: field("record inputs that no guest watches too", single(FLAG)),
});

/** The whole file: without aggregators, clients of its API make them all. */
export const FILE = mapping(
  "a configuration: a mapping with aggregators",
  {
    aggregators: field(
      "the aggregators, by name",
      named("aggregators by name", AGGREGATOR_NAME, AGGREGATOR, {
        example: "each with its name as its key, without a dash: press: " +
          "{ vhost-user: /run/gpioagg/press.sock, lines: [sim/8] }",
        misplaced: aggregatorKeyHint,
      }),
    ),
    defaults: field("rules for lines that do not say otherwise", DEFAULTS),
    isolate: field(
      "the process that serves each aggregator that does not say otherwise",
      single(ISOLATE),
    ),
    poll: field(
      "the same of each aggregator that does not say otherwise",
      single(POLL),
    ),
    "poll-share": field(
      "the same of each aggregator that does not say otherwise",
      single(POLL_SHARE),
    ),
    interlocks: field("lines that exclude each other", INTERLOCKS),
    api: field("the service's control API", API),
    record: field(
      "edges that the control API can tell of later: off, a number of them " +
        "(1000000), inputs to record inputs that no guest watches too, or both: " +
        "2000000,inputs; or a mapping, to write them to a file too",
      either(
        "off, a number of edges, inputs, or a mapping",
        single(RECORD),
        RECORD_KEYS,
      ),
    ),
  },
  {
    misplaced: (key) => aggregatorKeyHint(key) ?? optionHint(key),
    schema: { anyOf: [{ required: ["aggregators"] }, { required: ["api"] }] },
  },
);

/** A record of edges as the shape reads it. */
export type RecordReading = RecordSpecification | Read<typeof RECORD_KEYS>;
/** An aggregator in a file, as the shape reads it. */
export type AggregatorReading = Read<typeof AGGREGATOR>;
/** A line's keys, as the shape reads them. */
export type LineFields = Read<typeof LINE_FIELDS>;
/** Rules in a `defaults` mapping, as the shape reads them. */
export type DefaultsReading = Read<typeof DEFAULTS>;
/** Interlocks, as the shape reads them. */
export type InterlocksReading = Read<typeof INTERLOCKS>;

/** The JSON Schema of a configuration file, for editors. */
export function configSchema(): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "gpioagg configuration",
    ...FILE.schema(),
  };
}
