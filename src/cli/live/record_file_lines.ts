/**
 * Records lines out of a service's file of edges, with or without the service.
 *
 * @module
 */
import { errnoText } from "../../../ffi/errno.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { type EdgeLine, readEdgeLines } from "../../recording/edge_lines.ts";
import {
  MAX_SIGNALS,
  RecordingError,
  type Signal,
  type SignalValue,
} from "../../recording/recording.ts";
import type { RecordingWriter } from "../../recording/recording_writer.ts";
import { nearest } from "../../text/nearest.ts";
import { NotThereError } from "../not_there.ts";
import { readPieces } from "./read_pieces.ts";
import { splitsOf } from "./line_names.ts";
import type { RecordingFile } from "./line_recorder.ts";

const FILE_HINT =
  "It must be the file that record: { file: PATH } has a service write";

/** Options of a recording out of a file. */
interface FileRecordOptions {
  /** Aggregators and lines; none: all. */
  readonly words: readonly string[];
  /** Begin. **Units**: nanoseconds since 1970; 0: that of the file. */
  readonly fromNs: bigint;
  /** End; absent: that of the file. **Units**: nanoseconds since 1970. */
  readonly toNs: bigint | undefined;
  readonly files: readonly RecordingFile[];
  readonly program: string;
  /** Receives messages about what is missing. */
  readonly tell: (text: string) => void;
}

/** Signals of a span of a file, and its bounds. */
interface Survey {
  readonly signals: Signal[];
  /** Index of a signal by its scope and name. */
  readonly indices: Map<string, number>;
  /** Values at the begin. */
  readonly values: SignalValue[];
  readonly startNs: bigint;
  readonly lost: number;
}

/**
 * Writes the edges of a file, and of the older one beside it (`FILE.1`).
 *
 * @returns The number of edges.
 * @throws {RecordingError} If a file is not valid.
 * @throws {NotThereError} If it has no such line.
 * @throws {Error} If a file cannot be read or written.
 */
export function recordFileLines(
  path: string,
  { words, fromNs, toNs, files, program, tell }: FileRecordOptions,
): number {
  const { signals, indices, values, startNs, lost } = survey(
    path,
    words,
    fromNs,
    toNs,
  );
  const start = { signals, values: [...values], startNs, program };
  const writers: [RecordingWriter, RecordingFile["write"]][] = files.map((
    { writerOf, write },
  ) => [writerOf(start), write]);
  const writeAll = (text: (writer: RecordingWriter) => string) => {
    for (const [writer, write] of writers) write(text(writer));
  };
  writeAll((writer) => writer.head());
  let count = 0;
  let lastNs = startNs;
  for (const entry of entriesOf(path)) {
    if ("lost" in entry || entry.timeNs < startNs) continue;
    if (toNs !== undefined && entry.timeNs > toNs) continue;
    if ("run" in entry) {
      // A service that was killed could not tell the end of its lines.
      for (const [signal, value] of values.entries()) {
        if (value === undefined) continue;
        values[signal] = undefined;
        writeAll((writer) => writer.edge(signal, undefined, lastNs, ""));
        count++;
      }
      continue;
    }
    const { value, cause } = entry;
    const signal = indices.get(keyOf(entry));
    if (signal === undefined || values[signal] === value) continue;
    values[signal] = value;
    // Edges of several records may be some microseconds out of order.
    if (entry.timeNs > lastNs) lastNs = entry.timeNs;
    writeAll((writer) => writer.edge(signal, value, lastNs, cause));
    count++;
  }
  writeAll((writer) => writer.end(lastNs));
  if (lost > 0) tell(`${lost} edges are missing in the file`);
  return count;
}

/** Looks for the signals, and their values at the begin. */
function survey(
  path: string,
  words: readonly string[],
  fromNs: bigint,
  toNs: bigint | undefined,
): Survey {
  const signals: Signal[] = [];
  const indices = new Map<string, number>();
  const values: SignalValue[] = [];
  const scopes = new Set<string>();
  const found = new Set<string>();
  let startNs: bigint | undefined;
  let lost = 0;
  for (const entry of entriesOf(path)) {
    if ("lost" in entry) {
      lost += entry.lost;
      continue;
    }
    if ("run" in entry) {
      if (entry.timeNs < fromNs) values.fill(undefined);
      continue;
    }
    const { timeNs, scope, name } = entry;
    scopes.add(scope);
    if (toNs !== undefined && timeNs > toNs) continue;
    if (timeNs >= fromNs) startNs ??= timeNs;
    const word = wordOf(words, entry);
    if (word === undefined) continue;
    found.add(word);
    const key = keyOf(entry);
    let index = indices.get(key);
    if (index === undefined) {
      if (signals.length >= MAX_SIGNALS) {
        throw new RecordingError(`it has more than ${MAX_SIGNALS} lines`);
      }
      index = signals.push({ scope, name }) - 1;
      indices.set(key, index);
      values.push(undefined);
    }
    if (timeNs < fromNs) values[index] = entry.value;
  }
  for (const word of words) if (!found.has(word)) throw absent(word, scopes);
  return {
    signals,
    indices,
    values,
    startNs: fromNs > 0n ? fromNs : startNs ?? 0n,
    lost,
  };
}

/** The older file first; of the begins only those of another run. */
function* entriesOf(
  path: string,
): Generator<Exclude<EdgeLine, { setting: bigint }>, void> {
  const older = `${path}.1`;
  const paths = fileStatus(older) === undefined ? [path] : [older, path];
  let run: string | undefined;
  for (const one of paths) {
    try {
      for (const entry of readEdgeLines(readPieces(one))) {
        if ("run" in entry) {
          if (entry.run === run) continue;
          ({ run } = entry);
        }
        // Times are those that the clock showed.
        if (!("setting" in entry)) yield entry;
      }
    } catch (error) {
      if (isOsError(error)) {
        throw new Error(
          `Cannot read ${one}: ${errnoText(error.errno)} (${error.code})`,
          { cause: error },
        );
      }
      if (!(error instanceof RecordingError)) throw error;
      throw Object.assign(
        new Error(`Cannot read ${one}: ${error.message}`, { cause: error }),
        { hint: FILE_HINT },
      );
    }
  }
}

function keyOf({ scope, name }: Signal): string {
  // No name of an aggregator has a slash.
  return `${scope}/${name}`;
}

/** Returns the word that selects a line; undefined if none does. */
function wordOf(
  words: readonly string[],
  { scope, name }: Signal,
): string | undefined {
  if (words.length === 0) return "";
  return words.find((word) =>
    word === scope ||
    splitsOf(word).some(([aggregator, line]) =>
      aggregator === scope && line === name
    )
  );
}

function absent(word: string, scopes: ReadonlySet<string>): NotThereError {
  const near = nearest(splitsOf(word)[0]?.[0] ?? word, scopes);
  return new NotThereError(
    `The file has no line of "${word}"`,
    "Without names, all lines of the file are written",
    near === word ? undefined : near,
  );
}
