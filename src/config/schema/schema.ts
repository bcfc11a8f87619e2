/**
 * Shapes of a configuration: they read nodes, report invalid ones, and describe
 * themselves as JSON Schema.
 *
 * @module
 */
import type { ConfigPosition } from "../document/config_error.ts";
import type { ConfigEntry, ConfigNode } from "../document/config_node.ts";
import { keyHint, suggestedKey } from "../../text/arguments.ts";
import type { Located, Problems } from "../document/problems.ts";
import { type JsonSchema, readValue, type TextKind } from "../values/values.ts";

/** Shape of a node that means a `T`. */
export interface Shape<T> {
  /** Expected text, for "expected …". */
  readonly expected: string;
  /** Its written form, for a hint. */
  readonly example?: string | undefined;
  /** The node's meaning; undefined if it has none, and then it is reported. */
  read(node: ConfigNode, problems: Problems): T | undefined;
  schema(): JsonSchema;
}

/** Result of reading a shape. */
export type Read<S> = S extends Shape<infer T> ? T : never;

function mismatch(
  shape: Shape<unknown>,
  node: ConfigNode,
  problems: Problems,
): undefined {
  problems.add(
    node.position,
    `expected ${shape.expected}, found ${node.description}`,
    blankHint(node.text) ??
      (shape.example === undefined ? "" : `Write ${shape.example}`),
  );
  return undefined;
}

/** Returns the hint for a key and its value that YAML takes for one text. */
function blankHint(text: string): string | undefined {
  const [, key, value] = /^([a-z][a-z-]*):(\S{1,60})/.exec(text) ?? [];
  return key === undefined
    ? undefined
    : `A blank is missing behind the colon: ${key}: ${value}`;
}

/**
 * Reports a text that its next line continues: the settings of a file have one
 * line each, and YAML joins what is indented one column too far.
 */
export function isContinued(node: ConfigNode, problems: Problems): boolean {
  if (!node.isContinued) return false;
  problems.add(
    node.position,
    `${node.description} is written in more than one line`,
    "YAML joins lines that are indented further than the first; write this " +
      "in one line, and begin each element of a list in the same column",
  );
  return true;
}

/** A single value. */
export function single<T>(kind: TextKind<T>, example?: string): Shape<T> {
  const shape: Shape<T> = {
    expected: kind.expected,
    example,
    read(node, problems) {
      if (node.kind !== "text") return mismatch(shape, node, problems);
      if (isContinued(node, problems)) return undefined;
      return readValue(kind, node.text, problems.at(node.position));
    },
    schema: () => kind.schema,
  };
  return shape;
}

/** A list of at least `least` members. */
export function list<T>(
  expected: string,
  item: Shape<T>,
  least = 0,
  example?: string,
): Shape<Located<T>[]> {
  const shape: Shape<Located<T>[]> = {
    expected,
    example,
    read(node, problems) {
      if (node.kind !== "list") return mismatch(shape, node, problems);
      const items = node.items();
      const values = items.flatMap((member) => {
        const value = item.read(member, problems);
        return value === undefined
          ? []
          : [{ value, position: member.position }];
      });
      if (items.length >= least) return values;
      problems.add(
        node.position,
        `expected ${expected}, found ${
          items.length === 0 ? "an empty list" : `only ${items.length}`
        }`,
      );
      return undefined;
    },
    schema: () => ({
      type: "array",
      items: item.schema(),
      ...(least === 0 ? {} : { minItems: least }),
    }),
  };
  return shape;
}

/** The same, but without meaning if one of its members has none. */
export function wholeList<T>(
  expected: string,
  item: Shape<T>,
  least = 0,
): Shape<Located<T>[]> {
  const inner = list(expected, item, least);
  return {
    ...inner,
    read(node, problems) {
      const values = inner.read(node, problems);
      return values?.length === node.items().length ? values : undefined;
    },
  };
}

/** Further properties of a mapping. */
interface FormOptions {
  /** Its written form, for a hint. */
  readonly example?: string | undefined;
  /** Returns the hint for a key that belongs somewhere else. */
  readonly misplaced?: ((key: string) => string | undefined) | undefined;
}

/** A member of a mapping whose keys are free. */
interface Named<T> extends Located<T> {
  readonly key: string;
  readonly keyPosition: ConfigPosition;
}

/** A mapping whose keys are names. */
export function named<T>(
  expected: string,
  key: TextKind<unknown>,
  value: Shape<T>,
  { example, misplaced }: FormOptions = {},
): Shape<Named<T>[]> {
  const shape: Shape<Named<T>[]> = {
    expected,
    example,
    read(node, problems) {
      if (node.kind !== "map") return mismatch(shape, node, problems);
      const entries = node.entries();
      if (entries.length === 0) {
        problems.add(node.position, `expected ${expected}, found none`);
      }
      return entries.flatMap((entry) => {
        if (entry.isNullKey) {
          problems.add(
            entry.position,
            `expected ${key.expected}, found null`,
            `If it is the name, write it in quotes: "${entry.key}"`,
          );
          return [];
        }
        const hint = entry.node.kind === "map"
          ? undefined
          : misplaced?.(entry.key);
        if (hint !== undefined) {
          const problem = `"${entry.key}" is not ${key.expected}`;
          problems.add(entry.position, problem, hint);
          return [];
        }
        readValue(key, entry.key, problems.at(entry.position));
        const read = value.read(entry.node, problems);
        return read === undefined ? [] : [{
          key: entry.key,
          keyPosition: entry.position,
          value: read,
          position: entry.node.position,
        }];
      });
    },
    schema: () => ({
      type: "object",
      minProperties: 1,
      additionalProperties: value.schema(),
    }),
  };
  return shape;
}

/** A key of a mapping with fixed keys. */
export interface Field<T> {
  readonly help: string;
  readonly shape: Shape<T>;
  readonly required?: true;
}

/** A key that may be given. */
export function field<T>(help: string, shape: Shape<T>): Field<T> {
  return { help, shape };
}

/** A key that must be given. */
export function required<T>(help: string, shape: Shape<T>): Field<T> & {
  required: true;
} {
  return { help, shape, required: true };
}

/** Result of reading a mapping with fixed keys. */
interface Fields<F> {
  readonly position: ConfigPosition;
  /** Each key that was given and understood. */
  readonly values: { readonly [K in keyof F]?: Located<FieldValue<F[K]>> };
  /** Places of the keys that were given, understood or not. */
  readonly keys: ReadonlyMap<string, ConfigPosition>;
  /** Known keys that unknown ones were probably slips of. */
  readonly suggestedKeys: ReadonlySet<string>;
}

type FieldValue<F> = F extends Field<infer T> ? T : never;

/** A mapping with fixed keys. `mayBeEmpty`: nothing at all stands for `{}`. */
export function mapping<
  const F extends Readonly<Record<string, Field<unknown>>>,
>(
  expected: string,
  fields: F,
  options: FormOptions & { mayBeEmpty?: boolean; schema?: JsonSchema } = {},
): Shape<Fields<F>> {
  const names = Object.keys(fields);
  const required = names.filter((name) => fields[name]!.required === true);
  const shape: Shape<Fields<F>> = {
    expected,
    example: options.example,
    read(node, problems) {
      const isEmpty = node.kind === "empty" && options.mayBeEmpty === true;
      if (node.kind !== "map" && !isEmpty) {
        return mismatch(shape, node, problems);
      }
      const keys = new Map<string, ConfigPosition>();
      const suggestedKeys = new Set<string>();
      const values: Record<string, Located<unknown>> = {};
      for (const entry of node.entries()) {
        keys.set(entry.key, entry.position);
        if (!Object.hasOwn(fields, entry.key)) {
          const key = unknownKey(
            entry,
            names,
            problems,
            options.misplaced?.(entry.key) ?? commaHint(entry, node),
          );
          if (key !== undefined) suggestedKeys.add(key);
          continue;
        }
        const value = fields[entry.key]!.shape.read(entry.node, problems);
        if (value === undefined) continue;
        values[entry.key] = { value, position: entry.node.position };
      }
      for (const name of required) {
        if (keys.has(name) || suggestedKeys.has(name)) continue;
        problems.add(
          node.position,
          `the key "${name}" is missing`,
          `${name}: ${fields[name]!.help}`,
        );
      }
      return { position: node.position, values, keys, suggestedKeys } as Fields<
        F
      >;
    },
    schema: () => ({
      type: options.mayBeEmpty === true ? ["object", "null"] : "object",
      additionalProperties: false,
      properties: Object.fromEntries(
        names.map((name) => [name, {
          description: fields[name]!.help,
          ...fields[name]!.shape.schema(),
        }]),
      ),
      ...(required.length === 0 ? {} : { required }),
      ...options.schema,
    }),
  };
  return shape;
}

/** Keys of other programs' files, and those of this one. */
const KEYS_MEANT: Readonly<Record<string, string>> = {
  name: "as",
  pull: "bias",
  pin: "offset",
  value: "initial",
  default: "initial",
  socket: "vhost-user",
  "socket-path": "vhost-user",
  path: "socket",
  user: "owner",
};

/** Reports an unknown key, and returns the one that was probably meant. */
function unknownKey(
  { key, position, node }: ConfigEntry,
  names: readonly string[],
  problems: Problems,
  elsewhere: string | undefined,
): string | undefined {
  const problem = `unknown key "${key}"`;
  const blank = node.kind === "empty" ? blankHint(key) : undefined;
  if (blank !== undefined) {
    problems.add(position, problem, blank);
    return key.slice(0, key.indexOf(":"));
  }
  const suggestion = problems.isSuggesting
    ? suggestedKey(key, names, meantAmong(names))
    : undefined;
  problems.add(
    position,
    problem,
    suggestion === undefined || /^\d/.test(key)
      ? elsewhere ?? keyHint(suggestion, names)
      : keyHint(suggestion, names),
  );
  return suggestion;
}

/** Returns the hint for a value within { } that a comma has cut in two. */
function commaHint(entry: ConfigEntry, mapping: ConfigNode) {
  return mapping.isFlow && entry.node.kind === "empty"
    ? "A comma ends a value within { }; quotes keep it whole, and several " +
      "values are a list: [A, B]"
    : undefined;
}

/** Returns the keys of other programs that mean one of these. */
function meantAmong(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(KEYS_MEANT).filter(([, meant]) => names.includes(meant)),
  );
}

/** A mapping whose keys mean something, such as pins; `pattern` is for editors. */
export function keyed<K, T>(
  expected: string,
  key: TextKind<K>,
  pattern: string,
  value: Shape<T>,
  example?: string,
): Shape<{ key: K; keyPosition: ConfigPosition; value: Located<T> }[]> {
  const inner = named(expected, key, value, { example });
  return {
    expected,
    example,
    read: (node, problems) =>
      inner.read(node, problems)?.flatMap((member) => {
        const reading = key.read(member.key);
        return "value" in reading
          ? [{
            key: reading.value,
            keyPosition: member.keyPosition,
            value: member,
          }]
          : [];
      }),
    schema: () => ({
      type: "object",
      minProperties: 1,
      additionalProperties: false,
      patternProperties: { [pattern]: value.schema() },
    }),
  };
}

/** One of several shapes: which one, the kind of the node says. */
export function either<A, B>(
  expected: string,
  text: Shape<A>,
  other: Shape<B>,
  otherKind: "map" | "list" = "map",
  example?: string,
): Shape<A | B> {
  const shape: Shape<A | B> = {
    expected,
    example,
    read(node, problems) {
      if (node.kind === "text") return text.read(node, problems);
      if (node.kind === otherKind) return other.read(node, problems);
      return mismatch(shape, node, problems);
    },
    schema: () => ({ anyOf: [text.schema(), other.schema()] }),
  };
  return shape;
}
