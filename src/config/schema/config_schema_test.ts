import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";
import { configSchema } from "./file_schema.ts";
import { IDENTITY_KEYS } from "../chip_identity.ts";
import { RULE_KEYS } from "../values/rules.ts";

type Schema = Readonly<Record<string, unknown>>;
type Keyword = (argument: never, value: unknown, schema: Schema) => boolean;

/** The part of JSON Schema that the schema uses; anything else throws. */
function isValid(schema: Schema, value: unknown): boolean {
  return Object.entries(schema).every(([keyword, argument]) => {
    const check: Keyword | undefined = KEYWORDS[keyword];
    if (check === undefined) throw new Error(`unknown keyword ${keyword}`);
    return check(argument as never, value, schema);
  });
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  integer: Number.isInteger,
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
};

/**
 * Returns true if a check holds of every member of an object; of anything else,
 * true.
 */
function everyMember(
  value: unknown,
  check: (key: string, member: unknown) => boolean,
): boolean {
  return !isObject(value) ||
    Object.entries(value).every(([key, member]) => check(key, member));
}

const KEYWORDS: Readonly<Record<string, Keyword>> = {
  $schema: () => true,
  title: () => true,
  description: () => true,
  type: (types: string | string[], value) =>
    [types].flat().some((type) => TYPES[type]!(value)),
  enum: (members: unknown[], value) => members.includes(value),
  pattern: (pattern: string, value) =>
    typeof value !== "string" || new RegExp(pattern).test(value),
  minLength: (least: number, value) =>
    typeof value !== "string" || value.length >= least,
  maxLength: (most: number, value) =>
    typeof value !== "string" || value.length <= most,
  minimum: (least: number, value) =>
    typeof value !== "number" || value >= least,
  maximum: (most: number, value) => typeof value !== "number" || value <= most,
  minItems: (least: number, value) =>
    !Array.isArray(value) || value.length >= least,
  items: (schema: Schema, value) =>
    !Array.isArray(value) || value.every((item) => isValid(schema, item)),
  minProperties: (least: number, value) =>
    !isObject(value) || Object.keys(value).length >= least,
  required: (names: string[], value) =>
    !isObject(value) || names.every((name) => Object.hasOwn(value, name)),
  properties: (properties: Record<string, Schema>, value) =>
    everyMember(
      value,
      (key, member) =>
        !Object.hasOwn(properties, key) || isValid(properties[key]!, member),
    ),
  patternProperties: (patterns: Record<string, Schema>, value) =>
    everyMember(
      value,
      (key, member) =>
        Object.entries(patterns).every(([pattern, schema]) =>
          !new RegExp(pattern).test(key) || isValid(schema, member)
        ),
    ),
  additionalProperties: (
    rest: false | Schema,
    value,
    { properties, patternProperties },
  ) =>
    everyMember(value, (key, member) =>
      Object.hasOwn(properties ?? {}, key) ||
      Object.keys(patternProperties ?? {}).some((pattern) =>
        new RegExp(pattern).test(key)
      ) || (rest !== false && isValid(rest, member))),
  anyOf: (schemas: Schema[], value) =>
    schemas.some((schema) => isValid(schema, value)),
  oneOf: (schemas: Schema[], value) =>
    schemas.filter((schema) => isValid(schema, value)).length === 1,
  not: (schema: Schema, value) => !isValid(schema, value),
};

/** As an editor sees a file: with YAML's own types. */
function editorAccepts(text: string): boolean {
  return isValid(configSchema(), parse(text, { schema: "core" }));
}

const ACCEPTED = `
defaults: { bias: pull-up, safe: 0, safe-after: 2s, debounce: 5 }
aggregators:
  plc0:
    vhost-user: { socket: /run/plc0.sock, mode: "0660", group: kvm }
    lines:
      - gpiochip0/0-3,active-low
      - { chip: 2, offset: 4, as: START, direction: input, active-low: true }
      - { chip: { usb-serial: 123, lines: 8 }, offsets: 0-7 }
      - { chip: soc, offsets: [1, 3-4], as: [A, B, C] }
      - { chip: { label: soc }, line: X, initial: as-is, optional: true }
      - { line: ESTOP, shared: on, debounce: 5ms }
      - { sim: 8, safe: active, min-interval: 50ms, lane: false }
      - { wire: plc1.READY }
      - { const: 1 }
      - { copy: START }
      - { invert: START, as: 7 }
      - { line: LAMP, combine: or, on-disconnect: release }
    interlocks: [{ exclusive: [A, B] }]
  plc1: { vhost-user: { fd: 3 }, lines: ["sim/1,as=READY"] }
  plc2: { vhost-user: /run/plc2.sock, lines: [sim/1] }
  pins:
    qemu-pins: { qtest: /q, qmp: /m, device: pl061, index: 1, pins: { 0: A } }
    lines: [ "sim/1,as=A" ]
  twice:
    vhost-user: /run/twice.sock
    qemu-pins: { qtest: /r, qmp: /n, device: aspeed.gpio, pins: { gpioB0: A } }
    control: { path: /run/twice.control, mode: "0600" }
    lines: [ "sim/1,as=A,direction=input" ]
  host: { kernel-chip: , lines: [a/1] }
  host2: { kernel-chip: { mode: "0660", interface: sysfs }, lines: [a/2] }
interlocks: [{ exclusive: [plc0.A, plc1.READY] }]
api:
  socket: /run/api.sock
  look: { path: /run/look.sock, group: look }
  sockets: { path: /run/vms, mode: "0660", owner: root }
  qemu-sockets: [/run/qemu, /srv/qemu]
  audit-log: /var/log/gpioagg.log
`;

Deno.test("configSchema() accepts what the program accepts", () => {
  assert(editorAccepts(ACCEPTED));
  assert(editorAccepts("api: { socket: /run/api.sock }"));
  assert(editorAccepts("api: { look: /run/l, qemu-sockets: /run/qemu }"));
  assert(!editorAccepts("defaults: { safe: 0 }"));
});

/** A line of the accepted file, and what breaks it. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["aggregators:", "agregators:"],
  ["bias: pull-up", "bias: up"],
  ["safe: 0,", "safe: 2,"],
  ["safe-after: 2s", "safe-after: soon"],
  ['mode: "0660"', "mode: rw"],
  ["socket: /run/plc0.sock", "socket: plc0.sock"],
  ["socket: /run/plc0.sock", "sock: /run/plc0.sock"],
  ["- gpiochip0/0-3,active-low", "- ''"],
  ["- gpiochip0/0-3,active-low", "- {}"],
  ["chip: 2, offset: 4", "chip: 2"],
  ["chip: 2, offset: 4", "chip: 2, offset: four"],
  ["chip: 2, offset: 4", "chip: 2, offset: 4, offsets: 1-2"],
  ["chip: 2, offset: 4", "chip: 2, offset: 4, sim: 1"],
  ["direction: input", "direction: in"],
  ["active-low: true", "active-low: maybe"],
  ["usb-serial: 123", "usb_serial: 123"],
  ["{ usb-serial: 123, lines: 8 }", "{}"],
  ["{ label: soc }", "{ i2c: here }"],
  ["as: [A, B, C]", "as: []"],
  ["initial: as-is", "initial: as-it-was"],
  ["{ const: 1 }", "{ const: 2 }"],
  ["{ wire: plc1.READY }", "{ wire: plc1.READY, copy: X }"],
  ["combine: or", "combine: xor"],
  ["{ sim: 8", "{ sim: 0"],
  ["[{ exclusive: [A, B] }]", "[{ exclusive: [A] }]"],
  ["[{ exclusive: [A, B] }]", "[{ exclude: [A, B] }]"],
  ["{ fd: 3 }", "{ fd: three }"],
  ["qtest: /q, ", ""],
  ["pins: { 0: A }", "pins: { x: A }"],
  ["interface: sysfs", "interface: ioctl"],
  ["{ gpioB0: A }", "{ gpioB8: A }"],
  ["control: { path: /run/twice.control,", "control: { file: /x,"],
  ["socket: /run/api.sock", "socket: api.sock"],
  ["{ path: /run/look.sock, group: look }", "{ group: look }"],
  ["audit-log: /var/log/gpioagg.log", "audit-log: []"],
  ["owner: root }", "user: root }"],
  ["lines: [sim/1]", "lines: []"],
];

for (const [from, to] of REFUSED) {
  Deno.test(`configSchema() refuses "${to}" for "${from}"`, () => {
    assert(ACCEPTED.includes(from));
    assertEquals(editorAccepts(ACCEPTED.replace(from, to)), false);
  });
}

Deno.test("configSchema() describes every key", () => {
  const text = JSON.stringify(configSchema());
  for (const key of [...RULE_KEYS, ...Object.keys(IDENTITY_KEYS)]) {
    assert(text.includes(`"${key}":{"description":`), key);
  }
});
