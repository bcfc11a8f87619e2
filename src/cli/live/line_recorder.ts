/**
 * A recording of a service's lines as it grows: edges of the past, then those
 * that happen, into one or several files.
 *
 * @module
 */
import type { Edge } from "../../client/edges.ts";
import type { SignalValue } from "../../recording/recording.ts";
import type {
  RecordingStart,
  RecordingWriter,
} from "../../recording/recording_writer.ts";
import type { NamedLine } from "./line_names.ts";
import { lineKey, toSignal } from "./selection.ts";

/** A file that is written. */
export interface RecordingFile {
  /** Makes the writer of its format. */
  readonly createWriter: (start: RecordingStart) => RecordingWriter;
  /** Takes text; whole lines. */
  readonly write: (text: string) => void;
}

/** Beginning of a recording. */
interface RecorderStart {
  readonly lines: readonly NamedLine[];
  /** Values at the beginning by {@linkcode lineKey}; others are unknown. */
  readonly values: ReadonlyMap<string, SignalValue>;
  /** Time of the beginning. **Units**: nanoseconds since 1970. */
  readonly startNs: bigint;
  /** Name of the program, for the head of a dump. */
  readonly program: string;
}

/** Writes edges of chosen lines to files. */
export class LineRecorder {
  readonly #indices: ReadonlyMap<string, number>;
  readonly #keysByLine = new Map<string, string[]>();
  readonly #values: SignalValue[];
  readonly #files: readonly {
    readonly writer: RecordingWriter;
    readonly write: (text: string) => void;
  }[];
  #count = 0;

  /** Begins the files. */
  constructor(
    files: readonly RecordingFile[],
    { lines, values, startNs, program }: RecorderStart,
  ) {
    const keys = lines.map(({ aggregator, line }) =>
      lineKey(aggregator, line.lineNumber)
    );
    this.#indices = new Map(keys.map((key, i) => [key, i]));
    for (const [i, { aggregator }] of lines.entries()) {
      const known = this.#keysByLine.get(aggregator);
      if (known === undefined) this.#keysByLine.set(aggregator, [keys[i]!]);
      else known.push(keys[i]!);
    }
    this.#values = keys.map((key) => values.get(key));
    const start = {
      signals: lines.map(toSignal),
      values: [...this.#values],
      startNs,
      program,
    };
    this.#files = files.map(({ createWriter, write }) => ({
      writer: createWriter(start),
      write,
    }));
    for (const { writer, write } of this.#files) write(writer.head());
  }

  /** Number of changes that were written. */
  get count(): number {
    return this.#count;
  }

  /** Writes edges; those of other lines are passed over. */
  add(edges: readonly Edge[]): void {
    const changes: Change[] = [];
    for (const edge of edges) {
      const { aggregator, lineNumber, present, value, time } = edge;
      this.#note(changes, lineKey(aggregator, lineNumber), {
        value: present ? value : undefined,
        timeNs: BigInt(time),
        cause: causeText(edge),
      });
    }
    this.#write(changes);
  }

  /** Writes values that were looked up, after edges were lost. */
  set(values: ReadonlyMap<string, SignalValue>, timeNs: bigint): void {
    const changes: Change[] = [];
    for (const [key, value] of values) {
      this.#note(changes, key, { value, timeNs, cause: "" });
    }
    this.#write(changes);
  }

  /**
   * Writes that values are not known from now on: those of all lines, or of an
   * aggregator's.
   */
  forget(timeNs: bigint, aggregator?: string): void {
    const keys = aggregator === undefined
      ? [...this.#indices.keys()]
      : this.#keysByLine.get(aggregator) ?? [];
    this.set(new Map(keys.map((key) => [key, undefined])), timeNs);
  }

  /** Ends the files: nothing else has changed up to `timeNs`. */
  end(timeNs: bigint): void {
    for (const { writer, write } of this.#files) {
      const text = writer.end(timeNs);
      if (text !== "") write(text);
    }
  }

  #note(
    changes: Change[],
    key: string,
    { value, timeNs, cause }: Omit<Change, "index">,
  ): void {
    const index = this.#indices.get(key);
    // An edge may be one of the direction only.
    if (index === undefined || this.#values[index] === value) return;
    this.#values[index] = value;
    changes.push({ index, value, timeNs, cause });
  }

  #write(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#count += changes.length;
    for (const { writer, write } of this.#files) {
      write(
        changes.map(({ index, value, timeNs, cause }) =>
          writer.edge(index, value, timeNs, cause)
        ).join(""),
      );
    }
  }
}

/** Returns the cause of an edge, with the rule that made it. */
export function causeText({ cause, rule }: Edge): string {
  return rule === undefined ? cause : `${cause} (${rule})`;
}

interface Change {
  readonly index: number;
  readonly value: SignalValue;
  readonly timeNs: bigint;
  readonly cause: string;
}
