/**
 * Edges as tables: comma-separated values, or a JSON object a line. Their
 * readers take the tables of `gpioagg mon` as well, and tables with a column for
 * each signal.
 *
 * @module
 */
import { CsvError, CsvReader, csvRow } from "./csv.ts";
import { printable, printableJson } from "../text/printable.ts";
import { TableComments, WideColumns } from "./wide_table.ts";
import {
  type Recording,
  RecordingBuilder,
  RecordingError,
  type Signal,
  type SignalValue,
} from "./recording.ts";
import { readTime, utcText } from "./time_text.ts";

/** An edge with everything that a table has of it. */
export interface TableEdge extends Signal {
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  readonly value: SignalValue;
  /** Cause of the change; empty for the value at the beginning. */
  readonly cause: string;
}

/** Head of a table of comma-separated values. */
export const CSV_HEAD = csvRow([
  "time",
  "aggregator",
  "line",
  "value",
  "cause",
]);

/** Longest line of a file of JSON objects. **Units**: UTF-16 code units. */
const MAX_LINE = 64 * 1024;
/** Longest name of an aggregator or a line. **Units**: UTF-16 code units. */
const MAX_NAME = 1024;
const SHOWN = 40;

/** Formats an edge as a row below {@linkcode CSV_HEAD}. */
export function csvText({ timeNs, scope, name, value, cause }: TableEdge) {
  return csvRow([
    utcText(timeNs),
    printable(scope),
    printable(name),
    value ?? "x",
    cause,
  ]);
}

/** Formats an edge as a line with a JSON object; an unknown value is null. */
export function jsonText({ timeNs, scope, name, value, cause }: TableEdge) {
  return `${
    printableJson({
      time: utcText(timeNs),
      aggregator: scope,
      line: name,
      value: value ?? null,
      ...(cause === "" ? {} : { cause }),
    })
  }\n`;
}

const VALUES: Readonly<Record<string, SignalValue>> = {
  "0": 0,
  "1": 1,
  x: undefined,
  "": undefined,
};

/** Collects the edges of a table, whose times have any beginning. */
class TableEdges {
  readonly #builder = new RecordingBuilder();
  readonly #isWanted: (signal: Signal) => boolean;
  #firstNs: bigint | undefined;
  #row = 1;

  constructor(isWanted: (signal: Signal) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Counts a row, whether it is an edge or not. */
  count(): void {
    this.#row++;
  }

  add(time: string | bigint, signal: Signal, value: SignalValue): void {
    const ns = typeof time === "bigint" ? time : readTime(time);
    this.at(ns, String(time));
    this.change(signal, value);
  }

  /** Advances to a time read from a text; undefined if it is not valid. */
  at(ns: bigint | undefined, text: string): void {
    if (ns === undefined) {
      this.fail(`"${printable(text, SHOWN)}" is not a valid time`);
    }
    this.#firstNs ??= ns!;
    const relative = ns! - this.#firstNs;
    if (relative > Number.MAX_SAFE_INTEGER) {
      this.fail("it lasts longer than 104 days");
    }
    // Edges of several chips may be some microseconds out of order.
    this.#builder.advance(Number(relative));
  }

  change(signal: Signal, value: SignalValue): void {
    if (!this.#isWanted(signal)) return;
    if (signal.scope.length > MAX_NAME || signal.name.length > MAX_NAME) {
      this.fail("a name is too long");
    }
    this.#builder.change(this.#builder.signal(signal), value);
  }

  fail(why: string): never {
    throw new RecordingError(`row ${this.#row}: ${why}`);
  }

  recording(): Recording {
    return this.#builder.recording();
  }
}

/** Reads one table of comma-separated values. */
export class CsvTableReader {
  readonly #decoder = new TextDecoder();
  readonly #edges: TableEdges;
  readonly #rows = new CsvReader((fields) => this.#row(fields));
  #columns: ReadonlyMap<string, number> | undefined;
  readonly #comments = new TableComments();
  #wide: WideColumns | undefined;
  /** Rows of a wide table so far, and its last one. */
  #wideRows = 0;
  #lastValues: readonly string[] = [];

  /** Begins; signals for which `isWanted` returns false are passed over. */
  constructor(isWanted: (signal: Signal) => boolean = () => true) {
    this.#edges = new TableEdges(isWanted);
  }

  /**
   * Reads a piece of the table.
   *
   * @throws {RecordingError} If it is not a valid table, or too large.
   */
  push(bytes: Uint8Array): void {
    this.#read(() =>
      this.#rows.push(this.#decoder.decode(bytes, { stream: true }))
    );
  }

  /**
   * Returns the whole recording.
   *
   * @throws {RecordingError} If it has no head.
   */
  end(): Recording {
    this.#read(() => {
      this.#rows.push(this.#decoder.decode());
      this.#rows.end();
    });
    if (this.#columns === undefined && this.#wide === undefined) {
      this.#edges.fail("it is empty");
    }
    return this.#edges.recording();
  }

  #read(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      this.#edges.fail(error.message);
    }
  }

  #row(fields: readonly string[]): void {
    if (this.#wide !== undefined) return this.#wideRow(this.#wide, fields);
    if (this.#columns === undefined) return this.#head(fields);
    this.#edges.count();
    const cell = (name: string) => fields[this.#columns!.get(name) ?? -1];
    const time = cell("time") ?? cell("timestamp");
    const value = cell("value");
    if (time === undefined || value === undefined) {
      this.#edges.fail("it has too few fields");
    }
    const name = cell("line") ?? (cell("name") || undefined);
    this.#edges.add(time!, {
      scope: cell("aggregator") ?? "",
      name: name ?? `${cell("chip")}/${cell("offset")}`,
    }, this.#parseValue(value!));
  }

  #head(fields: readonly string[]): void {
    if (this.#comments.take(fields)) return this.#edges.count();
    const heads = fields.map((name) => name.trim());
    const columns = new Map(heads.map((name, i) => [name, i]));
    const has = (name: string) => columns.has(name);
    const isKnown = (has("time") || has("timestamp")) && has("value") &&
      (has("line") || has("name") || has("chip") && has("offset"));
    if (isKnown) {
      this.#columns = columns;
      return;
    }
    const isPart = has("aggregator") || has("value");
    this.#wide = isPart ? undefined : WideColumns.of(heads, this.#comments);
    if (this.#wide !== undefined) return;
    this.#edges.fail(
      "the head has no columns time, aggregator, line and value, nor a time, " +
        "or sigrok's sample rate, and a column for each line",
    );
  }

  /** Reads the values of all signals at a time. */
  #wideRow(wide: WideColumns, fields: readonly string[]): void {
    this.#edges.count();
    if (fields[0]!.startsWith(";")) return;
    const { names, first } = wide;
    if (fields.length < names.length + first) {
      this.#edges.fail("it has too few fields");
    }
    this.#edges.at(wide.rowTime(fields, this.#wideRows++), fields[0]!);
    for (const [i, name] of names.entries()) {
      const value = fields[i + first]!;
      if (value === this.#lastValues[i + first]) continue;
      this.#edges.change({ scope: "", name }, this.#parseValue(value));
    }
    this.#lastValues = fields;
  }

  #parseValue(text: string): SignalValue {
    if (Object.hasOwn(VALUES, text)) return VALUES[text];
    this.#edges.fail(`"${printable(text, SHOWN)}" is not a valid value`);
  }
}

/** Reads one file of JSON objects, each in a line. */
export class JsonTableReader {
  readonly #decoder = new TextDecoder();
  readonly #edges: TableEdges;
  #rest = "";

  /** Begins; signals for which `isWanted` returns false are passed over. */
  constructor(isWanted: (signal: Signal) => boolean = () => true) {
    this.#edges = new TableEdges(isWanted);
  }

  /**
   * Reads a piece of the file.
   *
   * @throws {RecordingError} If it is not valid, or too large.
   */
  push(bytes: Uint8Array): void {
    this.#text(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * Returns the whole recording.
   *
   * @throws {RecordingError} If the last line is not valid.
   */
  end(): Recording {
    this.#text(`${this.#decoder.decode()}\n`);
    return this.#edges.recording();
  }

  #text(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line.length > MAX_LINE) this.#edges.fail("it is too long");
      if (line.trim() !== "") this.#line(line);
      this.#edges.count();
    }
    if (this.#rest.length > MAX_LINE) this.#edges.fail("it is too long");
  }

  #line(line: string): void {
    let object: Record<string, unknown>;
    try {
      object = JSON.parse(line);
    } catch {
      this.#edges.fail(`${printable(line, SHOWN)} is not valid JSON`);
    }
    if (typeof object! !== "object" || object === null) {
      this.#edges.fail("it is not an object");
    }
    const { time, timestampNs, aggregator = "", line: name, value } = object!;
    // Events of other kinds, such as lost ones.
    if (time === undefined && timestampNs === undefined) return;
    if (
      typeof name !== "string" || typeof aggregator !== "string" ||
      value !== 0 && value !== 1 && value !== null
    ) {
      this.#edges.fail("it has no line with a value");
    }
    const at = Number.isInteger(timestampNs)
      ? BigInt(timestampNs as number)
      : String(time);
    const signal = { scope: aggregator as string, name: name as string };
    this.#edges.add(at, signal, (value ?? undefined) as SignalValue);
  }
}
