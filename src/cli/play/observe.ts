/**
 * Collects what lines of a service did during a play, out of its history.
 *
 * @module
 */
import {
  type Recording,
  RecordingBuilder,
  type SignalValue,
} from "../../recording/recording.ts";
import type {
  RecordingStart,
  RecordingWriter,
} from "../../recording/recording_writer.ts";
import type { EdgeSource } from "../live/edge_source.ts";
import { recordLines } from "../live/record_lines.ts";
import type { RecordingFile } from "../live/line_recorder.ts";

/** Part of the past of a service. */
export interface Observed {
  /** Lines, as `gpioagg record` takes them. */
  readonly words: readonly string[];
  /** **Units**: nanoseconds since 1970. */
  readonly fromNs: bigint;
  /** **Units**: nanoseconds since 1970. */
  readonly toNs: bigint;
  /** Files that it is written to as well. */
  readonly files: readonly RecordingFile[];
}

/**
 * Returns what lines did.
 *
 * @throws {Error} If the service does not keep all of it, or a file cannot be
 * written.
 */
export async function observe(
  source: EdgeSource,
  { words, fromNs, toNs, files }: Observed,
): Promise<Recording> {
  const collector = new Collector();
  await recordLines(source, {
    words,
    fromNs,
    toNs,
    follow: false,
    ended: Promise.resolve(),
    files: [
      ...files,
      { createWriter: (start) => collector.begin(start), write: () => {} },
    ],
    program: "gpioagg",
    tell: (text) => {
      throw new Error(`The service does not keep the whole play: ${text}`);
    },
    now: () => toNs,
  });
  return collector.recording();
}

/** Takes edges into memory. */
class Collector implements RecordingWriter {
  readonly #builder = new RecordingBuilder();
  #signals: number[] = [];
  #startNs = 0n;

  begin({ signals, values, startNs }: RecordingStart): RecordingWriter {
    this.#startNs = startNs;
    this.#signals = signals.map((signal) => this.#builder.signal(signal));
    for (const [i, value] of values.entries()) {
      this.#builder.change(this.#signals[i]!, value);
    }
    return this;
  }

  head(): string {
    return "";
  }

  edge(signal: number, value: SignalValue, timeNs: bigint): string {
    this.#builder.advance(Number(timeNs - this.#startNs));
    this.#builder.change(this.#signals[signal]!, value);
    return "";
  }

  end(timeNs: bigint): string {
    this.#builder.advance(Number(timeNs - this.#startNs));
    return "";
  }

  recording(): Recording {
    return this.#builder.recording();
  }
}
