/**
 * Edges of the past as text: JSON, CSV and VCD, piece by piece.
 *
 * @module
 */
import type { History } from "../../client/edges.ts";
import { stateAfter } from "../../edges/record.ts";
import type { Signal, SignalValue } from "../../recording/recording.ts";
import {
  type RecordingWriter,
  recordingWriter,
} from "../../recording/recording_writer.ts";
import { printable, printableJson } from "../../text/printable.ts";
import type { RecordedLine } from "./edge_source.ts";
import type { Beginning } from "./history.ts";
import {
  causeText,
  decodeEdge,
  decodeLevel,
  decodeValue,
  isEdge,
  type StoredEdge,
  wallTime,
} from "./stored_edge.ts";

/** End of an answer. */
interface Ending {
  readonly lost: number;
  /** Begin of the next request; absent if there is nothing more. */
  readonly next: string | undefined;
  /** Remarks on what could not be read. */
  readonly notes?: readonly string[];
}

/** Text of a span of edges. */
interface HistoryText {
  /** The text before the edges. */
  head(beginning: Beginning, to: bigint): string;
  /** The text of some edges. */
  edges(edges: readonly StoredEdge[]): string;
  /** The text after the edges. */
  tail(ending: Ending): string;
}

/** Content types by the name of a format. */
export const HISTORY_TYPES = {
  json: "application/json",
  csv: "text/csv",
  vcd: "application/x-vcd",
} as const;
/** A format of the history. */
export type HistoryFormat = keyof typeof HISTORY_TYPES;

/** Returns the text of a format; times are `offset` later than monotonic ones. */
export function historyText(
  format: HistoryFormat,
  offset: bigint,
  program: string,
): HistoryText {
  switch (format) {
    case "json":
      return new JsonText(offset);
    default:
      return new RecordingText(format, offset, program);
  }
}

class JsonText implements HistoryText {
  readonly #offset: bigint;
  #isFirst = true;

  constructor(offset: bigint) {
    this.#offset = offset;
  }

  head({ from, lines }: Beginning, to: bigint): string {
    const head: Omit<History, "edges" | "lost"> = {
      from: String(wallTime(from, this.#offset)),
      to: String(to),
      lines: lines.map(({ line, state, later, begins, ends }) => ({
        ...decodeLevel(line, later ?? state),
        ...this.#moment("begins", begins),
        ...this.#moment("ends", ends),
      })),
    };
    return `${printableJson(head).slice(0, -1)},"edges":[`;
  }

  #moment<K extends string>(key: K, time: number | undefined) {
    return time === undefined
      ? {}
      : { [key]: String(wallTime(time, this.#offset)) } as Record<K, string>;
  }

  edges(edges: readonly StoredEdge[]): string {
    const texts = edges.filter(isEdge)
      .map((edge) => printableJson(decodeEdge(edge, this.#offset)));
    if (texts.length === 0) return "";
    const comma = this.#isFirst ? "" : ",";
    this.#isFirst = false;
    return comma + texts.join(",\n");
  }

  tail({ lost, next, notes = [] }: Ending): string {
    return `],"lost":${lost}` +
      (notes.length === 0 ? "" : `,"notes":${printableJson(notes)}`) +
      (next === undefined ? "" : `,"next":"${next}"`) + "}";
  }
}

/** A table, or a dump with a scope for each aggregator. */
class RecordingText implements HistoryText {
  readonly #format: "csv" | "vcd";
  readonly #offset: bigint;
  readonly #program: string;
  readonly #signals = new Map<RecordedLine, number>();
  /** Signals by the names of their lines. */
  readonly #names = new Map<string, number>();
  readonly #values: SignalValue[] = [];
  #writer: RecordingWriter | undefined;
  #to = 0n;

  constructor(format: "csv" | "vcd", offset: bigint, program: string) {
    this.#format = format;
    this.#offset = offset;
    this.#program = program;
  }

  head({ from, lines }: Beginning, to: bigint): string {
    this.#to = to;
    const signals: Signal[] = [];
    const known = this.#names;
    for (const { line, state, later } of lines) {
      const { aggregator, title } = line;
      // A line that came again goes on as the same signal.
      const key = signalName(line);
      let signal = known.get(key);
      if (signal === undefined) {
        signal = signals.push({ scope: aggregator, name: title }) - 1;
        known.set(key, signal);
        this.#values.push(undefined);
      }
      // One that is there later only says nothing of the begin.
      if (later === undefined) this.#values[signal] = decodeValue(state);
      this.#signals.set(line, signal);
    }
    this.#writer = recordingWriter(this.#format, {
      signals,
      values: this.#values.slice(),
      startNs: wallTime(from, this.#offset),
      program: this.#program,
      timescale: "1ns",
    });
    return this.#writer.head();
  }

  edges(edges: readonly StoredEdge[]): string {
    let text = "";
    for (const edge of edges) {
      const { line, bits } = edge;
      const signal = this.#findSignal(line);
      const value = decodeValue(stateAfter(bits));
      if (signal === undefined || this.#values[signal] === value) continue;
      this.#values[signal] = value;
      const time = wallTime(edge.time, this.#offset);
      text += this.#writer!.edge(signal, value, time, causeText(bits));
    }
    return text;
  }

  tail({ lost, notes = [] }: Ending): string {
    // Readers of tables know no comments.
    const all = this.#format !== "vcd"
      ? []
      : lost > 0
      ? [`${lost} edges are not kept any more`, ...notes]
      : notes;
    const comments = all.map((note) =>
      `$comment ${printable(note).replaceAll("$", "_")} $end\n`
    );
    return comments.join("") + this.#writer!.end(this.#to);
  }

  /** Lines of a file are others than those in memory of the same name. */
  #findSignal(line: RecordedLine): number | undefined {
    const known = this.#signals.get(line);
    if (known !== undefined) return known;
    const signal = this.#names.get(signalName(line));
    if (signal !== undefined) this.#signals.set(line, signal);
    return signal;
  }
}

function signalName({ aggregator, title }: RecordedLine): string {
  // No name of an aggregator has a slash.
  return `${aggregator}/${title}`;
}
