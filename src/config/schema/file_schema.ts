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
import {
  IDENTITY_KEYS,
  type IdentityKey,
  isIdentity,
  parseChipIdentity,
} from "../chip_identity.ts";
import type { ChipProperties } from "../../gpio/chip_properties.ts";
import { readOffsets, readSpec, type SpecReading } from "../spec/line_spec.ts";
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
  anyText,
  FLAG,
  ISOLATE,
  type JsonSchema,
  LINE_NAME,
  PAUSED_FOR,
  type TextKind,
  VALUE,
  wholeNumber,
} from "../values/values.ts";
import type { RecordSpecification } from "../specification.ts";
import { POLL, POLL_SHARE } from "../values/polling.ts";
import { RULE_KEYS, type RuleKey, RULES } from "../values/rules.ts";
import {
  either,
  type Field,
  field,
  list,
  mapping,
  named,
  type Read,
  required,
  type Shape,
  single,
  wholeList,
} from "./schema.ts";
import { MAX_LINES } from "../specification.ts";
import { nameOfText } from "../../text/names.ts";

/** A chip as it is written: words, and perhaps an identity. */
export interface ChipReading {
  chip: string;
  identity?: ChipProperties | undefined;
}

const REFERENCE = anyText("a line such as READY or plc1.READY");

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
);

const INTERLOCKS = list(
  "a list of interlocks",
  mapping("an interlock such as { exclusive: [UP, DOWN] }", {
    exclusive: required(
      "lines of which at most one may be active",
      list("at least two lines", single(REFERENCE), 2),
    ),
  }),
);

/** Texts that YAML takes for nothing or a truth value: hardly a name. */
const NO_NAME = /^(?:~|null|true|false)$/i;

/** A name, which is in quotes if YAML takes it for something else. */
function nameLike<T>(kind: TextKind<T>): Shape<T> {
  const shape = single(kind);
  return {
    ...shape,
    read(node, problems) {
      if (node.isQuoted || !NO_NAME.test(node.text)) {
        return shape.read(node, problems);
      }
      problems.add(
        node.position,
        `${node.text} is not ${kind.expected}`,
        `If it is called so, write it in quotes: "${node.text}"`,
      );
      return undefined;
    },
  };
}

const CHIP_TEXT: TextKind<ChipReading> = {
  expected: "a chip's name, number, path or label",
  read: (text) => {
    if (text === "" || text.includes("\0")) {
      return { problem: "is not a valid chip", hint: "Give its name or label" };
    }
    const parsed = parseChipIdentity(text);
    if (parsed === undefined) return { value: { chip: text } };
    return "identity" in parsed
      ? { value: { chip: text, identity: parsed.identity } }
      : {
        problem: `is not a valid chip: ${parsed.problem}`,
        hint: parsed.hint,
      };
  },
  schema: { type: ["string", "integer"] },
};

const IDENTITY_FIELDS = Object.fromEntries(
  Object.entries(IDENTITY_KEYS).map(([key, identityKey]) => [
    key,
    field(identityKey.help, single(identityKind(identityKey))),
  ]),
);

function identityKind(key: IdentityKey): TextKind<string | number> {
  return {
    expected: key.expected,
    read: (text) => {
      const value = key.read(text);
      return value === undefined
        ? { problem: `is not ${key.expected}`, hint: "" }
        : { value };
    },
    schema: key.schema,
  };
}

const CHIP_FIELDS = mapping(
  `a chip's identity: ${Object.keys(IDENTITY_KEYS).join(", ")}`,
  IDENTITY_FIELDS,
);

/** A chip by all that it is known by. */
const CHIP_IDENTITY: Shape<ChipReading> = {
  expected: CHIP_FIELDS.expected,
  read(node, problems) {
    const fields = CHIP_FIELDS.read(node, problems);
    if (fields === undefined) return undefined;
    const identity: Record<string, unknown> = {};
    for (const [key, { property }] of Object.entries(IDENTITY_KEYS)) {
      const value = fields.values[key]?.value;
      if (value !== undefined) identity[property] = value;
    }
    const known = Object.keys(identity).length;
    if (!isIdentity(identity)) {
      // A key that was not understood has been reported already.
      if (known === fields.keys.size) {
        problems.add(
          node.position,
          known === 0 ? "has no key" : "has no key other than lines",
          "Add what it is known by, such as label or usb-serial",
        );
      }
      return undefined;
    }
    return { chip: "", identity };
  },
  schema: () => ({ ...CHIP_FIELDS.schema(), minProperties: 1 }),
};

/** Offsets as a text (`0-3,7`) or as a list. */
const OFFSETS: Shape<number[]> = {
  expected: "offsets such as 0-3,7 or [0, 1, 7]",
  read(node, problems) {
    const members = node.kind === "list" ? node.items() : [node];
    const texts: string[] = [];
    for (const member of members) {
      if (member.kind === "text") {
        texts.push(...member.text.split(",").map((part) => part.trim()));
        continue;
      }
      problems.add(
        member.position,
        `expected ${OFFSETS.expected}, found ${member.description}`,
      );
      return undefined;
    }
    if (texts.length === 0) {
      problems.add(node.position, "has no offset", `Write ${OFFSETS.expected}`);
      return undefined;
    }
    const before = problems.count;
    const offsets = readOffsets(
      texts,
      (problem, hint) => problems.add(node.position, problem, hint),
    );
    return problems.count === before ? offsets : undefined;
  },
  schema: () => {
    const range = { type: ["string", "integer"], minimum: 0 };
    return {
      anyOf: [range, { type: "array", minItems: 1, items: range }],
    };
  },
};

const HOST_NAME = anyText("a line's name");
/** A line's own name, in which a byte can be written `\xNN`. */
const LINE_NAME_OF_HOST: TextKind<string> = {
  ...HOST_NAME,
  read: (text) => {
    const reading = HOST_NAME.read(text);
    return "value" in reading ? { value: nameOfText(reading.value) } : reading;
  },
};

/** The keys that say where a line comes from. */
const SOURCE_FIELDS = {
  chip: field(
    "name, number, path or label of the chip, or a mapping of its identity",
    either<ChipReading, ChipReading>(
      "a chip, or a mapping of its identity",
      nameLike(CHIP_TEXT),
      CHIP_IDENTITY,
    ),
  ),
  offset: field(
    "the line's number on its chip",
    single(wholeNumber("an offset", 0, MAX_LINES - 1)),
  ),
  offsets: field("several lines of the chip: 0-3,7", OFFSETS),
  line: field(
    "the line's own name, on any chip or on this one",
    nameLike(LINE_NAME_OF_HOST),
  ),
  sim: field(
    "this many simulated lines",
    single(wholeNumber("a number of simulated lines", 1, MAX_LINES)),
  ),
  wire: field("follows this output of an aggregator", single(REFERENCE)),
  const: field("always this value", single(VALUE)),
  copy: field("the value of this line", single(REFERENCE)),
  invert: field("the opposite of this line", single(REFERENCE)),
} as const;

/** The names of the keys that say where a line comes from. */
export const SOURCE_KEYS = Object.keys(
  SOURCE_FIELDS,
) as readonly (keyof typeof SOURCE_FIELDS)[];

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

const AGGREGATOR = mapping("an aggregator: an exposure, and lines", {
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
    list("at least one line", LINE, 1),
  ),
  "interlocks": field("lines that exclude each other", INTERLOCKS),
});

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
      named("aggregators by name", AGGREGATOR_NAME, AGGREGATOR),
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
