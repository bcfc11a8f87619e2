/**
 * A configuration file's text to a specification, or to everything that is
 * wrong with it.
 *
 * @module
 */
import { identityText } from "../chip_identity.ts";
import { printableError } from "../../text/printable.ts";
import { ConfigError, type ConfigPosition } from "../document/config_error.ts";
import { ConfigNode } from "../document/config_node.ts";
import { crossCheck } from "../checks/cross_checks.ts";
import { readApi, readExposure } from "./exposure_values.ts";
import {
  type AggregatorReading,
  type DefaultsReading,
  FILE,
  type InterlocksReading,
  type LineFields,
  type LineReading,
  type RecordReading,
} from "../schema/file_schema.ts";
import { SOURCE_KEYS } from "../schema/source_schema.ts";
import { makeLines, type SpecReading } from "../spec/line_spec.ts";
import { Problems } from "../document/problems.ts";
import { toRecordSpec } from "../values/record.ts";
import { toPolling } from "../values/polling.ts";
import {
  findContradictions,
  RULE_KEYS,
  type RuleValues,
} from "../values/rules.ts";
import {
  MAX_LINES,
  type RecordSpecification,
  type SourceSpecification,
  type Specification,
} from "../specification.ts";
import type {
  DraftAggregator,
  DraftConfig,
  DraftInterlock,
  DraftLine,
} from "../checks/draft.ts";

/** A specification, or all errors of the file in the order of its text. */
export type ConfigResult =
  | { specification: Specification }
  | { errors: readonly ConfigError[] };

/**
 * Reads a configuration. Looks at no hardware and opens nothing.
 *
 * @param text The file's text: one YAML document.
 * @param file What errors call the file.
 */
export function parseConfig(text: string, file: string): ConfigResult {
  try {
    return read(text, file);
  } catch (error) {
    // A text must not end a service that runs, whatever is wrong with us.
    if (error instanceof ConfigError) return { errors: [error] };
    const problem = `cannot be read: ${printableError(error)}`;
    return { errors: [new ConfigError(problem, { path: file, cause: error })] };
  }
}

function read(text: string, file: string): ConfigResult {
  const problems = new Problems();
  const root = ConfigNode.parse(text, file, problems);
  const reading = root && FILE.read(root, problems);
  if (reading === undefined) return { errors: problems.sorted() };
  const { values, keys, suggestedKeys, position } = reading;
  const given = [...keys.keys(), ...suggestedKeys];
  if (!given.includes("aggregators") && !given.includes("api")) {
    problems.add(
      position,
      'the key "aggregators" is missing',
      "aggregators: the aggregators, by name",
    );
  }
  const defaults = {
    rules: readDefaults(values.defaults?.value),
    isolate: values.isolate?.value ?? "none",
    pollUs: values.poll?.value,
    pollShare: values["poll-share"]?.value,
  };
  const aggregators = (values.aggregators?.value ?? []).map((member) =>
    readAggregator(
      member.key,
      member.keyPosition,
      member.value,
      defaults,
      problems,
    )
  );
  const written: DraftConfig = {
    aggregators,
    interlocks: [
      ...readInterlocks("", values.interlocks?.value),
      ...(values.aggregators?.value ?? []).flatMap(({ key, value }) =>
        readInterlocks(key, value.values.interlocks?.value)
      ),
    ],
    brokenAggregators: namesIn(root, aggregators, keys),
    ...(values.api === undefined
      ? {}
      : { api: readApi(values.api.value, problems) }),
    ...(values.record === undefined
      ? {}
      : { record: readRecord(values.record.value, problems) }),
  };
  const specification = crossCheck(written, problems);
  return problems.count === 0
    ? { specification }
    : { errors: problems.sorted() };
}

function readRecord(
  reading: RecordReading,
  problems: Problems,
): RecordSpecification {
  if ("withInputs" in reading) return reading;
  const { keep, inputs, file, size } = reading.values;
  if (size !== undefined && !reading.keys.has("file")) {
    problems.add(
      size.position,
      "there is no file",
      "file: /var/lib/gpioagg/edges.jsonl",
    );
  }
  return toRecordSpec({
    keep: keep?.value,
    inputs: inputs?.value,
    file: file?.value,
    size: size?.value,
  });
}

/** Aggregators that the file names but that could not be read. */
function namesIn(
  root: ConfigNode | undefined,
  read: readonly DraftAggregator[],
  keys: ReadonlyMap<string, ConfigPosition>,
): Set<string> {
  if (!keys.has("aggregators")) return new Set();
  const node = root?.entries().find(({ key }) => key === "aggregators")?.node;
  const names = new Set(node?.entries().map(({ key }) => key));
  for (const { name } of read) names.delete(name);
  return names;
}

function readInterlocks(
  aggregator: string,
  reading: InterlocksReading | undefined,
): DraftInterlock[] {
  return (reading ?? []).flatMap(({ value, position }) => {
    const exclusive = value.values.exclusive?.value;
    return exclusive === undefined ? [] : [{ aggregator, position, exclusive }];
  });
}

function readDefaults(reading: DefaultsReading | undefined): RuleValues {
  return Object.fromEntries(
    RULE_KEYS.flatMap((key) => {
      const located = reading?.values[key];
      return located === undefined ? [] : [[key, located.value]];
    }),
  );
}

/** Defaults of a file for all aggregators. */
interface FileDefaults {
  readonly rules: RuleValues;
  readonly isolate: "process" | "none";
  readonly pollUs: number | undefined;
  readonly pollShare: number | undefined;
}

function readAggregator(
  name: string,
  position: ConfigPosition,
  reading: AggregatorReading,
  fileDefaults: FileDefaults,
  problems: Problems,
): DraftAggregator {
  const { values, keys } = reading;
  // Its lines have rules only by USB, which may be chosen by one that a line has.
  const isKernelChip = keys.has("kernel-chip") &&
    values["kernel-chip"]?.value.values.interface?.value !== "usb";
  if (isKernelChip && keys.has("defaults")) {
    problems.add(
      keys.get("defaults")!,
      "a kernel chip has no rules, and so no defaults",
      "Present this aggregator by vhost-user instead, or leave them out",
    );
  }
  const defaults = isKernelChip
    ? {}
    : { ...fileDefaults.rules, ...readDefaults(values.defaults?.value) };
  const lines: DraftLine[] = [];
  let isComplete = true;
  let simCount = 0;
  for (const { value, position } of values.lines?.value ?? []) {
    const made = readLine(value, position, defaults, simCount, problems);
    if (made.length === 0) isComplete = false;
    if (made[0]?.line.source.kind === "sim") simCount += made.length;
    for (const line of made) lines.push(line);
  }
  if (lines.length > MAX_LINES) {
    problems.add(
      values.lines?.position ?? position,
      `has ${lines.length} lines, but a controller has at most ${MAX_LINES}`,
    );
    // Comparing them with each other costs more than it shows.
    lines.length = 0;
    isComplete = false;
  }
  const { exposure, positions } = readExposure(
    name,
    reading,
    lines,
    isComplete,
    problems,
  );
  const { pollUs, pollShare } = fileDefaults;
  const polling = toPolling(
    values.poll?.value ?? pollUs,
    values["poll-share"]?.value ?? pollShare,
  );
  // Defaults of the file concern those that can be polled.
  const isPollable = exposure.vhostUser !== undefined || keys.has("poll") ||
    keys.has("poll-share");
  // The kernel serves its own chips, whatever the file says of the others.
  const isolate = values.isolate?.value ??
    (isKernelChip ? "none" : fileDefaults.isolate);
  return {
    name,
    position,
    positions,
    exposure: {
      ...exposure,
      ...(isolate === "process" ? { isolate } : {}),
      ...(isPollable ? polling : {}),
    },
    lines,
    isComplete: isComplete && values.lines !== undefined,
  };
}

/** The lines of one entry; none if it cannot be understood. */
function readLine(
  reading: LineReading,
  position: ConfigPosition,
  defaults: RuleValues,
  simCount: number,
  problems: Problems,
): DraftLine[] {
  if (reading.kind === "broken") return [];
  const isSpec = reading.kind === "spec";
  const spec = isSpec
    ? reading.spec
    : readKeys(reading.fields, position, problems);
  const kind = spec?.sources[0]?.kind;
  if (spec === undefined || kind === undefined) return [];
  const keys: ReadonlyMap<string, ConfigPosition> = isSpec
    ? new Map(Object.keys(spec.values).map((key) => [key, position]))
    : reading.fields.keys;
  const valuePlaces: ReadonlyMap<string, ConfigPosition> = isSpec
    ? keys
    : new Map(
      Object.entries(reading.fields.values).map((
        [key, { position }],
      ) => [key, position]),
    );
  const contradictions = findContradictions(spec.values, kind);
  for (const { key, problem, hint } of contradictions) {
    problems.add(keys.get(key) ?? position, problem, hint);
  }
  const values = contradictions.length > 0 ? {} : spec.values;
  const isSound = contradictions.length === 0 &&
    (isSpec ||
      RULE_KEYS.every((key) =>
        !reading.fields.keys.has(key) ||
        reading.fields.values[key] !== undefined
      ));
  const asPlace = valuePlaces.get("as") ?? position;
  return makeLines(
    { origin: isSpec ? reading.text : position.path, position },
    {
      sources: spec.sources,
      values: { ...values, ...withoutName(spec.values) },
    },
    defaults,
    simCount,
    (problem, hint) => problems.add(asPlace, problem, hint),
    isSpec ? undefined : readNames(reading.fields, spec.sources, problems),
  ).map((line) => ({ line, position, keys, values: valuePlaces, isSound }));
}

function withoutName(values: RuleValues): RuleValues {
  return values.as === undefined ? {} : { as: values.as };
}

function readNames(
  { values }: LineFields,
  sources: readonly SourceSpecification[],
  problems: Problems,
): string[] | undefined {
  const names = values.as;
  if (names === undefined || typeof names.value === "string") return undefined;
  if (names.value.length !== sources.length) {
    problems.add(
      names.position,
      `${names.value.length} names for ${sources.length} lines`,
      "Give each line its name, or one name for all to be counted",
    );
  }
  return names.value.map(({ value }) => value);
}

function readKeys(
  fields: LineFields,
  position: ConfigPosition,
  problems: Problems,
): SpecReading | undefined {
  const values: Record<string, unknown> = {};
  for (const key of RULE_KEYS) {
    const value: unknown = fields.values[key]?.value;
    if (value !== undefined && !Array.isArray(value)) values[key] = value;
  }
  const sources = readSources(fields, position, problems);
  return sources === undefined ? undefined : { sources, values };
}

/** Keys of which just one says where a line comes from. */
const ORIGIN_KEYS = SOURCE_KEYS.filter((key) =>
  key !== "offset" && key !== "offsets"
);

function readSources(
  fields: LineFields,
  position: ConfigPosition,
  problems: Problems,
): SourceSpecification[] | undefined {
  const { keys, suggestedKeys } = fields;
  const [origin, ...others] = ORIGIN_KEYS.filter((key) => keys.has(key));
  if (origin === undefined) {
    // A slip of a source's key has been reported as an unknown key.
    if (ORIGIN_KEYS.some((key) => suggestedKeys.has(key))) return undefined;
    problems.add(
      position,
      "has no source",
      `Add one of ${ORIGIN_KEYS.join(", ")}`,
    );
    return undefined;
  }
  for (const other of others) {
    // A line's name on a certain chip.
    if (origin === "chip" && other === "line") continue;
    problems.add(
      keys.get(other)!,
      `"${origin}" already gives the source of the line`,
      "Omit one of the two",
    );
  }
  return origin === "chip"
    ? readChipLines(fields, problems)
    : readOther(origin, fields, problems);
}

const LINE_OF_CHIP_KEYS = ["offset", "offsets", "line"] as const;

function readChipLines(
  { values, keys, suggestedKeys }: LineFields,
  problems: Problems,
): SourceSpecification[] | undefined {
  const [which, ...others] = LINE_OF_CHIP_KEYS.filter((key) => keys.has(key));
  if (which === undefined) {
    if (LINE_OF_CHIP_KEYS.some((key) => suggestedKeys.has(key))) {
      return undefined;
    }
    const [, chip, tail] = /^([^/]+)\/([\d,-]+)$/.exec(
      values.chip?.value.chip ?? "",
    ) ?? [];
    problems.add(
      keys.get("chip")!,
      "does not name a line of the chip",
      chip === undefined
        ? `Add one of ${LINE_OF_CHIP_KEYS.join(", ")}`
        : `Write chip: ${chip}, offsets: "${tail}"`,
    );
    return undefined;
  }
  for (const other of others) {
    problems.add(
      keys.get(other)!,
      `"${which}" already gives the line of the chip`,
      "Omit one of the two",
    );
  }
  const reading = values.chip?.value;
  if (reading === undefined) return undefined;
  const { identity } = reading;
  const chip = identity === undefined ? reading.chip : identityText(identity);
  const known = identity === undefined ? {} : { identity };
  if (which === "line") {
    const lineName = values.line?.value;
    if (lineName === undefined) return undefined;
    return [{ kind: "line-name", lineName, chip, ...known }];
  }
  const offsets = which === "offset"
    ? values.offset && [values.offset.value]
    : values.offsets?.value;
  return offsets?.map((offset) => ({ kind: "chip", chip, offset, ...known }));
}

function readOther(
  origin: Exclude<typeof ORIGIN_KEYS[number], "chip" | "offset" | "offsets">,
  { values, keys }: LineFields,
  problems: Problems,
): SourceSpecification[] | undefined {
  for (const key of ["offset", "offsets"] as const) {
    if (!keys.has(key)) continue;
    problems.add(
      keys.get(key)!,
      `"${key}" needs a chip, but there is "${origin}"`,
      "Omit one of the two",
    );
  }
  const located = values[origin];
  if (located === undefined) return undefined;
  const { value } = located;
  switch (origin) {
    case "line":
      return [{ kind: "line-name", lineName: String(value) }];
    case "sim":
      return Array.from({ length: Number(value) }, () => ({ kind: "sim" }));
    case "const":
      return [{ kind: origin, value: value === 1 ? 1 : 0 }];
    case "wire":
      return [{ kind: origin, to: unresolved(String(value)) }];
    case "copy":
    case "invert":
      return [{ kind: origin, of: unresolved(String(value)) }];
  }
}

/** A reference as it is written; the cross checks look it up. */
function unresolved(text: string) {
  return { aggregator: "", line: text };
}
