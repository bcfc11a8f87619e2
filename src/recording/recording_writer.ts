/**
 * Text of edges of aggregators' lines, in any format, as they happen.
 *
 * @module
 */
import type { Signal, SignalValue } from "./recording.ts";
import type { RecordingFormat } from "./read_recording.ts";
import { CSV_HEAD, csvText, jsonText, type TableEdge } from "./table.ts";
import { utcText } from "./time_text.ts";
import { type Timescale, VcdWriter } from "./vcd_writer.ts";

/** Beginning of a file of edges. */
export interface RecordingStart {
  readonly signals: readonly Signal[];
  /** Values at the beginning, in the same order. */
  readonly values: readonly SignalValue[];
  /** Time of the beginning. **Units**: nanoseconds since 1970. */
  readonly startNs: bigint;
  /** Name of the program that writes the file. */
  readonly program: string;
  /** Tick of a dump; absent: one microsecond. */
  readonly timescale?: Timescale | undefined;
}

/** Converts edges to text. Each result is a whole number of lines. */
export interface RecordingWriter {
  /** Returns the beginning of the file. */
  head(): string;
  /** Returns the entry of an edge. */
  edge(
    signal: number,
    value: SignalValue,
    timeNs: bigint,
    cause: string,
  ): string;
  /** Returns the entry of the end: nothing else has changed up to `timeNs`. */
  end(timeNs: bigint): string;
}

/** Returns the writer of a file. */
export function recordingWriter(
  format: RecordingFormat,
  start: RecordingStart,
): RecordingWriter {
  return format === "vcd" ? new Dump(start) : new Table(format, start);
}

class Dump implements RecordingWriter {
  readonly #start: RecordingStart;
  readonly #writer: VcdWriter;

  constructor(start: RecordingStart) {
    const { signals, values, startNs, timescale = "1us" } = start;
    this.#start = start;
    this.#writer = new VcdWriter(
      signals.map(({ scope, name }, i) => ({ scope, name, value: values[i] })),
      startNs,
      timescale,
    );
  }

  head(): string {
    const { startNs, program } = this.#start;
    const date = new Date(Number(startNs / 1_000_000n));
    return this.#writer.header(program, date, `#0 is ${utcText(startNs)}`);
  }

  edge(signal: number, value: SignalValue, timeNs: bigint): string {
    return this.#writer.change(signal, value, timeNs);
  }

  end(timeNs: bigint): string {
    // For some readers a change at the very end is not part of a dump.
    return this.#writer.end(timeNs) + this.#writer.tail();
  }
}

class Table implements RecordingWriter {
  readonly #start: RecordingStart;
  readonly #head: string;
  readonly #text: (edge: TableEdge) => string;

  constructor(format: "csv" | "jsonl", start: RecordingStart) {
    this.#start = start;
    this.#head = format === "csv" ? CSV_HEAD : "";
    this.#text = format === "csv" ? csvText : jsonText;
  }

  head(): string {
    const { signals, values, startNs } = this.#start;
    return this.#head +
      signals.map(({ scope, name }, i) =>
        this.#text({
          timeNs: startNs,
          scope,
          name,
          value: values[i],
          cause: "",
        })
      ).join("");
  }

  edge(
    signal: number,
    value: SignalValue,
    timeNs: bigint,
    cause: string,
  ): string {
    const { scope, name } = this.#start.signals[signal]!;
    return this.#text({ timeNs, scope, name, value, cause });
  }

  end(): string {
    return "";
  }
}
