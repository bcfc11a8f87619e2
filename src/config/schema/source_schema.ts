/**
 * Shapes of a line's source in a configuration file: the keys that say where a
 * line comes from.
 *
 * @module
 */
import {
  IDENTITY_KEYS,
  type IdentityKey,
  isIdentity,
  parseChipIdentity,
} from "../chip_identity.ts";
import type { ChipProperties } from "../../gpio/chip_properties.ts";
import { readOffsets } from "../spec/line_spec.ts";
import {
  anyText,
  type TextKind,
  VALUE,
  wholeNumber,
} from "../values/values.ts";
import { either, field, mapping, type Shape, single } from "./schema.ts";
import { MAX_LINES } from "../specification.ts";
import { nameOfText } from "../../text/names.ts";

/** A chip as it is written: words, and perhaps an identity. */
interface ChipReading {
  chip: string;
  identity?: ChipProperties | undefined;
}

/** A line in another key's value. */
export const REFERENCE = anyText("a line such as READY or plc1.READY");

/** Texts that YAML takes for nothing or a truth value: hardly a name. */
const NO_NAME = /^(?:~|null|true|false)$/i;

/** A name, which is in quotes if YAML takes it for something else. */
export function nameLike<T>(kind: TextKind<T>): Shape<T> {
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

const WHOLE_OFFSET = wholeNumber("an offset", 0, MAX_LINES - 1);
/** An offset; several are another key's. */
const OFFSET: TextKind<number> = {
  ...WHOLE_OFFSET,
  read: (text) =>
    /^[\d, -]+[,-][\d, -]+$/.test(text)
      ? {
        problem: "is more than one offset",
        hint: `Write offsets: ${text.includes(",") ? `"${text}"` : text}`,
      }
      : WHOLE_OFFSET.read(text),
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
export const SOURCE_FIELDS = {
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
    single(OFFSET, "offsets: [0, 1, 7]"),
  ),
  offsets: field("several lines of the chip: 0-3,7", OFFSETS),
  line: field(
    "the line's own name, on any chip or on this one",
    nameLike(LINE_NAME_OF_HOST),
  ),
  sim: field(
    "this many simulated lines",
    single(
      wholeNumber("a number of simulated lines", 1, MAX_LINES),
      "sim: 2, and their names as: [START, STOP]",
    ),
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
