/**
 * Schemas of JSON messages. One description of a message yields its TypeScript
 * type, its check, its meaning and its OpenAPI schema.
 *
 * @module
 */
import {
  type JsonSchema,
  readValue,
  type TextKind,
} from "../config/values/values.ts";
import { describe, keyHint, suggestedKey } from "../text/arguments.ts";

/** A problem of a message. */
export interface Finding {
  /** Path of the value from the root: `qemuPins.pins.0`. */
  readonly path: string;
  /** Set for an unknown key of the object at `path`. */
  readonly key?: string;
  /** Problem, to be read after the path: `must be a string, not 5`. */
  readonly problem: string;
  /** One line that says what to do; may be empty. */
  readonly hint: string;
}

/** Receives problems. */
type ReportFinding = (finding: Finding) => void;

/** Schema of any value. */
export interface AnySchema {
  /** OpenAPI schema. */
  readonly json: JsonSchema;
  /** One line that says what to do if the value is missing. */
  readonly hint?: string;
  /**
   * Reports values of another type, missing keys and unknown keys.
   *
   * @returns true if nothing was reported.
   */
  check(value: unknown, path: string, report: ReportFinding): boolean;
  /**
   * Returns the meaning of a value that {@linkcode AnySchema.check} accepts; it
   * has none if a problem is reported.
   */
  read(value: unknown, path: string, report: ReportFinding): unknown;
}

/** Schema of messages that are sent as a `W`. */
export interface Describes<W> {
  /** Never set: makes the type of a schema depend on `W` and nothing else. */
  readonly sent?: (value: W, all: Required<W>) => [W, Required<W>];
}

/** Schema of a value that is sent as a `W` and means a `V`. */
export interface Schema<W, V = W> extends AnySchema, Describes<W> {
  read(value: unknown, path: string, report: ReportFinding): V;
}

/** Type of a message as it is sent. */
type Sent<S> = S extends Describes<infer W> ? W : never;
/** Type of the meaning of a message. */
export type Meaning<S> = S extends { read(...given: never): infer V } ? V
  : never;

/** Schema of a key that may be absent. */
export type Optional<S> = S & { readonly isOptional: true };

type Fields = Readonly<Record<string, AnySchema>>;
type OptionalKeys<F> = {
  [K in keyof F]: F[K] extends { isOptional: true } ? K : never;
}[keyof F];
type Flat<T> = { [K in keyof T]: T[K] };
type SentFields<F> = Flat<
  & { [K in Exclude<keyof F, OptionalKeys<F>>]: Sent<F[K]> }
  & { [K in OptionalKeys<F>]?: Sent<F[K]> }
>;
type MeaningFields<F> = Flat<
  & { [K in Exclude<keyof F, OptionalKeys<F>>]: Meaning<F[K]> }
  & { [K in OptionalKeys<F>]?: Meaning<F[K]> }
>;

/** Makes a key optional. */
export function optional<S extends AnySchema>(schema: S): Optional<S> {
  return { ...schema, isOptional: true };
}

/**
 * The same schema with a hint for values that are missing or have another type.
 */
export function hinted<S extends AnySchema>(schema: S, hint: string): S {
  return {
    ...schema,
    hint,
    check: (value, path, report) =>
      schema.check(value, path, withHint(hint, path, report)),
    read: (value: unknown, path: string, report: ReportFinding) =>
      schema.read(value, path, withHint(hint, path, report)),
  };
}

/** Completes findings of the value itself and of its elements. */
function withHint(
  hint: string,
  at: string,
  report: ReportFinding,
): ReportFinding {
  return (finding) => {
    const isOwn = finding.path === at || finding.path.startsWith(`${at}[`);
    report(isOwn && finding.hint === "" ? { ...finding, hint } : finding);
  };
}

/** Returns a schema of values that are checked by `typeof`. */
function primitive<W>(
  type: "string" | "number" | "boolean",
  expected: string,
  json: JsonSchema,
): Schema<W> {
  return {
    json,
    check(value, path, report) {
      const isValid = typeof value === type && !Number.isNaN(value);
      if (!isValid) reportType(value, path, expected, report);
      return isValid;
    },
    read: (value) => value as W,
  };
}

function reportType(
  value: unknown,
  path: string,
  expected: string,
  report: ReportFinding,
): void {
  report({
    path,
    problem: `must be ${expected}, not ${describe(value)}`,
    hint: "",
  });
}

/** A string. @param notes Further keywords of its JSON Schema. */
export function text(notes: JsonSchema = {}): Schema<string> {
  return primitive("string", "a string", { type: "string", ...notes });
}

/** A number. */
export function number(notes: JsonSchema = {}): Schema<number> {
  return primitive("number", "a number", { type: "number", ...notes });
}

/** A whole number. */
export function integer(notes: JsonSchema = {}): Schema<number> {
  return primitive("number", "a number", { type: "integer", ...notes });
}

/** A boolean. */
export function flag(notes: JsonSchema = {}): Schema<boolean> {
  return primitive("boolean", "true or false", { type: "boolean", ...notes });
}

/** The value `true`, of a key that is absent otherwise. */
export function mark(notes: JsonSchema = {}): Schema<true> {
  return primitive("boolean", "true", {
    type: "boolean",
    const: true,
    ...notes,
  });
}

/** A string with the meaning that it has in a configuration file. */
export function parsed<V>(
  kind: TextKind<V>,
  notes: JsonSchema = {},
): Schema<string, V> {
  const base = text({ ...kind.schema, type: "string", ...notes });
  return {
    json: base.json,
    check: (value, path, report) => base.check(value, path, report),
    read: (value, path, report) => readText(kind, String(value), path, report),
  };
}

/** One of some words. */
export function word<V extends string>(
  kind: TextKind<V>,
  notes: JsonSchema = {},
): Schema<V> {
  return parsed(kind, notes) as AnySchema as Schema<V>;
}

/** A whole number with the limits that it has in a configuration file. */
export function parsedInteger(
  kind: TextKind<number>,
  notes: JsonSchema = {},
): Schema<number> {
  const base = integer({ ...kind.schema, ...notes });
  return {
    ...base,
    read: (value, path, report) =>
      readText(kind, String(value), path, report, String(value)),
  };
}

function readText<V>(
  kind: TextKind<V>,
  text: string,
  path: string,
  report: ReportFinding,
  shown?: string,
): V {
  const reportText = (problem: string, hint = "") =>
    report({ path, problem, hint });
  return readValue(kind, text, reportText, shown) as V;
}

/** One of some values. @param expected Those in words, for messages. */
export function enumeration<const T extends readonly (string | number)[]>(
  values: T,
  notes: JsonSchema = {},
  expected = values.map((value) => JSON.stringify(value)).join(" or "),
): Schema<T[number]> {
  return {
    json: {
      ...deriveType(values),
      enum: values,
      ...notes,
    },
    check(value, path, report) {
      const isValid = values.some((each) => each === value);
      if (!isValid) reportType(value, path, expected, report);
      return isValid;
    },
    read: (value) => value as T[number],
  };
}

/** Returns the type of values; none if they have several. */
function deriveType(values: readonly unknown[]): JsonSchema {
  if (values.every((value) => typeof value === "number")) {
    return { type: "integer" };
  }
  return values.every((value) => typeof value === "string")
    ? { type: "string" }
    : {};
}

/** A list. */
export function list<W, V>(
  item: Schema<W, V>,
  notes: JsonSchema = {},
  options: { least?: number } = {},
): Schema<W[], V[]> {
  const { least = 0 } = options;
  return {
    json: {
      type: "array",
      items: item.json,
      ...(least === 0 ? {} : { minItems: least }),
      ...notes,
    },
    check(value, path, report) {
      if (!Array.isArray(value)) {
        reportType(value, path, "an array", report);
        return false;
      }
      return value.map((each, i) => item.check(each, `${path}[${i}]`, report))
        .every(Boolean);
    },
    read(value, path, report) {
      const items = value as unknown[];
      if (items.length < least) {
        const problem = `must have at least ${least} element`;
        report({ path, problem, hint: "" });
      }
      return items.map((each, i) => item.read(each, `${path}[${i}]`, report));
    },
  };
}

/** A member of an object whose keys are free. */
interface Entry<K, V> {
  readonly key: K;
  /** Path of the value. */
  readonly path: string;
  readonly value: V;
}

/** An object whose keys are free, in its order. */
export function keyed<W, K, V>(
  key: TextKind<K>,
  member: Schema<W, V>,
  notes: JsonSchema = {},
  options: { least?: number } = {},
): Schema<Record<string, W>, Entry<K, V>[]> {
  const { least = 0 } = options;
  return {
    json: {
      type: "object",
      ...(least === 0 ? {} : { minProperties: least }),
      additionalProperties: member.json,
      ...notes,
    },
    check(value, path, report) {
      return isObject(value, path, report) &&
        Object.entries(value)
          .map(([key, each]) => member.check(each, join(path, key), report))
          .every(Boolean);
    },
    read(value, path, report) {
      const entries = Object.entries(value as object);
      if (entries.length < least) {
        report({ path, problem: `must have at least ${least} key`, hint: "" });
      }
      return entries.map(([name, each]) => {
        const at = join(path, name);
        return {
          key: readText(key, name, at, report),
          path: at,
          value: member.read(each, at, report),
        };
      });
    },
  };
}

/** Options of an object. */
interface ObjectOptions {
  /** Further keywords of its JSON Schema. */
  readonly notes?: JsonSchema;
  /** Set for requests: other keys are refused. Answers may have more. */
  readonly isClosed?: boolean;
  /** Keys that are often written for others, and those. */
  readonly mistaken?: Readonly<Record<string, string>>;
  /** Keys of which at most one may be given, with the reason. */
  readonly exclusive?: {
    readonly keys: readonly string[];
    readonly problem: (first: string) => string;
    readonly hint: string;
  };
}

/** An object with fixed keys. */
export function object<const F extends Fields>(
  fields: F,
  options: ObjectOptions = {},
): Schema<SentFields<F>, MeaningFields<F>> & { readonly fields: F } {
  const { isClosed = false, exclusive, notes } = options;
  const names = Object.keys(fields);
  const required = names.filter((name) => !("isOptional" in fields[name]!));
  return {
    fields,
    json: {
      type: "object",
      ...(required.length === 0 ? {} : { required }),
      ...(isClosed ? { additionalProperties: false } : {}),
      properties: Object.fromEntries(
        names.map((name) => [name, fields[name]!.json]),
      ),
      ...(exclusive === undefined ? {} : { not: { anyOf: pairs(exclusive) } }),
      ...notes,
    },
    check(value, path, report) {
      if (!isObject(value, path, report)) return false;
      let isValid = true;
      const checkKey = (name: string) => {
        const each = value[name];
        const at = join(path, name);
        if (each !== undefined) {
          isValid = fields[name]!.check(each, at, report) && isValid;
        } else if (required.includes(name)) {
          const { hint = "" } = fields[name]!;
          report({ path: at, problem: "is missing", hint });
          isValid = false;
        }
      };
      for (const key of Object.keys(value)) {
        if (names.includes(key) || !isClosed) continue;
        reportKey(key, path, names, options, report);
        isValid = false;
      }
      names.forEach(checkKey);
      return isValid;
    },
    read(value, path, report) {
      const given = value as Readonly<Record<string, unknown>>;
      if (exclusive !== undefined) checkExclusive(given, path, options, report);
      return Object.fromEntries(
        names.filter((name) => given[name] !== undefined).map((name) => [
          name,
          fields[name]!.read(given[name], join(path, name), report),
        ]),
      ) as MeaningFields<F>;
    },
  };
}

function isObject(
  value: unknown,
  path: string,
  report: ReportFinding,
): value is Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return true;
  }
  reportType(value, path, "an object", report);
  return false;
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function reportKey(
  key: string,
  path: string,
  names: readonly string[],
  { mistaken = {} }: ObjectOptions,
  report: ReportFinding,
): void {
  report({
    path,
    key,
    problem: `unknown key ${JSON.stringify(key)}`,
    hint: keyHint(suggestedKey(key, names, mistaken), names),
  });
}

function pairs(
  { keys }: NonNullable<ObjectOptions["exclusive"]>,
): JsonSchema[] {
  return keys.flatMap((key, i) =>
    keys.slice(i + 1).map((other) => ({ required: [key, other] }))
  );
}

function checkExclusive(
  given: Readonly<Record<string, unknown>>,
  path: string,
  { exclusive }: ObjectOptions,
  report: ReportFinding,
): void {
  const { keys, problem, hint } = exclusive!;
  const [first, second] = keys.filter((key) => given[key] !== undefined);
  if (first === undefined || second === undefined) return;
  report({ path: join(path, second), problem: problem(first), hint });
}

/** One of several messages that differ in their keys. */
export function either<const S extends readonly AnySchema[]>(
  schemas: S,
  notes: JsonSchema = {},
): Schema<Sent<S[number]>, Meaning<S[number]>> {
  const matching = (value: unknown) =>
    schemas.find((schema) => schema.check(value, "", () => {}));
  return {
    json: { oneOf: schemas.map(({ json }) => json), ...notes },
    check(value, path, report) {
      const isValid = matching(value) !== undefined;
      if (!isValid) reportType(value, path, "one of several messages", report);
      return isValid;
    },
    read: (value, path, report) =>
      matching(value)!.read(value, path, report) as Meaning<S[number]>,
  };
}

/** A schema of values that may be null. */
export function nullable<W, V>(
  schema: Schema<W, V>,
): Schema<W | null, V | null> {
  return {
    json: { anyOf: [schema.json, { type: "null" }] },
    check: (value, path, report) =>
      value === null || schema.check(value, path, report),
    read: (value, path, report) =>
      value === null ? null : schema.read(value, path, report),
  };
}

/** The same schema, described once among the components of the API. */
export function reference<S extends AnySchema>(name: string, schema: S): S {
  return { ...schema, json: { $ref: `#/components/schemas/${name}` } };
}
