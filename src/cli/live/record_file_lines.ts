/**
 * Records lines out of a service's file of edges, with or without the service.
 *
 * @module
 */
import { errnoText } from "../../../ffi/errno.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import {
  type EdgeLine,
  type FileClock,
  readEdgeLines,
} from "../../recording/edge_lines.ts";
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
import { listSplits } from "./line_names.ts";
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
  readonly damage: Damage;
}

/** Entries of files that are not valid, as after a loss of power. */
interface Damage {
  count: number;
  /** The first, in words. */
  first: string;
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
  const { signals, indices, values, startNs, lost, damage } = survey(
    path,
    words,
    fromNs,
    toNs,
  );
  const start = { signals, values: [...values], startNs, program };
  const writers: [RecordingWriter, RecordingFile["write"]][] = files.map((
    { createWriter, write },
  ) => [createWriter(start), write]);
  const writeAll = (text: (writer: RecordingWriter) => string) => {
    for (const [writer, write] of writers) write(text(writer));
  };
  writeAll((writer) => writer.head());
  let count = 0;
  let lastNs = startNs;
  for (const entry of readEntries(path, { count: 0, first: "" })) {
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
    const signal = indices.get(signalKey(entry));
    if (signal === undefined || values[signal] === value) continue;
    values[signal] = value;
    // Edges of several records may be some microseconds out of order.
    if (entry.timeNs > lastNs) lastNs = entry.timeNs;
    writeAll((writer) => writer.edge(signal, value, lastNs, cause));
    count++;
  }
  writeAll((writer) => writer.end(lastNs));
  if (lost > 0) tell(`${lost} edges are missing in the file`);
  if (damage.count > 0) {
    const what = damage.count === 1
      ? "1 entry is not valid and is"
      : `${damage.count} entries are not valid and are`;
    tell(`${what} left out, the first in ${damage.first}`);
  }
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
  const damage = { count: 0, first: "" };
  for (const entry of readEntries(path, damage)) {
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
    const word = findWord(words, entry);
    if (word === undefined) continue;
    found.add(word);
    const key = signalKey(entry);
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
    damage,
  };
}

/** An entry of a line, missing edges, or the begin of another run. */
type FileEntry = Exclude<EdgeLine, { setting: bigint }>;

/**
 * The older file first; of the begins only those of another run. Times are by
 * the wall clock as it was set last in their boot.
 *
 * @throws {Error} If a file cannot be read, or has entries and no valid one.
 */
function* readEntries(
  path: string,
  damage: Damage,
): Generator<FileEntry, void> {
  const settings = new Map<string, bigint>();
  for (const { clock } of clocked(path, { count: 0, first: "" }, isEvent)) {
    if (clock !== undefined) settings.set(clock.boot, clock.setting);
  }
  let run: string | undefined;
  for (const { entry, clock } of clocked(path, damage)) {
    if ("setting" in entry) continue;
    if ("run" in entry) {
      if (entry.run === run) continue;
      ({ run } = entry);
    }
    if (clock === undefined || "lost" in entry) yield entry;
    else {
      const step = (settings.get(clock.boot) ?? 0n) - clock.setting;
      yield { ...entry, timeNs: entry.timeNs + step };
    }
  }
}

/** Events tell of the clock, and are few. */
function isEvent(line: string): boolean {
  return line.startsWith('{"event":');
}

/** Entries of both files with the wall clock of then, if it is known. */
function* clocked(
  path: string,
  damage: Damage,
  isWanted?: (line: string) => boolean,
): Generator<{ entry: EdgeLine; clock: FileClock | undefined }, void> {
  const older = `${path}.1`;
  const paths = fileStatus(older) === undefined ? [path] : [older, path];
  let clock: FileClock | undefined;
  for (const one of paths) {
    let isValid = false;
    let first: RecordingError | undefined;
    const onDamage = (error: RecordingError) => {
      first ??= error;
      if (damage.count++ === 0) damage.first = `${one}, ${error.message}`;
    };
    try {
      const pieces = readPieces(one);
      for (const entry of readEdgeLines(pieces, onDamage, isWanted)) {
        isValid = true;
        if ("run" in entry) ({ clock } = entry);
        else if ("setting" in entry) clock = clock && { ...clock, ...entry };
        yield { entry, clock };
      }
      // A file of something else.
      const isAll = isWanted === undefined;
      if (isAll && !isValid && first !== undefined) throw first;
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

function signalKey({ scope, name }: Signal): string {
  // No name of an aggregator has a slash.
  return `${scope}/${name}`;
}

/** Returns the word that selects a line; undefined if none does. */
function findWord(
  words: readonly string[],
  { scope, name }: Signal,
): string | undefined {
  if (words.length === 0) return "";
  return words.find((word) =>
    word === scope ||
    listSplits(word).some(([aggregator, line]) =>
      aggregator === scope && line === name
    )
  );
}

function absent(word: string, scopes: ReadonlySet<string>): NotThereError {
  const near = nearest(listSplits(word)[0]?.[0] ?? word, scopes);
  return new NotThereError(
    `The file has no line of "${word}"`,
    "Without names, all lines of the file are written",
    near === word ? undefined : near,
  );
}
