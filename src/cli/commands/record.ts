/**
 * `gpioagg record`.
 *
 * @module
 */
import { clockNs } from "../../../ffi/clock.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { RecordingFormat } from "../../recording/read_recording.ts";
import { recordingWriter } from "../../recording/recording_writer.ts";
import { type Timescale, TIMESCALES } from "../../recording/vcd_writer.ts";
import { readPeriodUs } from "../../text/period.ts";
import { edgeSourceOf } from "../live/edge_source.ts";
import { recordLines } from "../live/record_lines.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import type { TapeFile } from "../live/tape.ts";
import { OutputFile } from "../output/output_file.ts";
import { writeError } from "../output/output.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";

/** The command line. */
export const USAGE = {
  name: "record",
  synopsis: [
    "[NAME[.LINE]...] [--last TIME] [--follow] [--vcd|--csv|--jsonl FILE]",
  ],
  about:
    `Writes the edges of a running service's lines, those that it keeps in memory and
those that happen, to a file: of all aggregators, of some, or of single lines.
The service keeps about one million edges. Without a file it prints
comma-separated values.`,
  operands: ["served-line"],
  options: {
    last: {
      kind: "value",
      value: "TIME",
      help: "record the past from this long ago, such as 10m (default: all " +
        "that the service keeps; with --follow: nothing)",
    },
    follow: {
      kind: "flag",
      short: "f",
      help: "record what happens, until interrupted (SIGINT, SIGTERM)",
    },
    vcd: {
      kind: "value",
      value: "FILE",
      help: "write a value change dump, for GTKWave and sigrok; -: standard " +
        "output",
      completes: "file",
    },
    csv: {
      kind: "value",
      value: "FILE",
      help: "write comma-separated values, with the cause of each edge",
      completes: "file",
    },
    jsonl: {
      kind: "value",
      value: "FILE",
      help: "write a JSON object a line",
      completes: "file",
    },
    timescale: {
      kind: "value",
      value: "UNIT",
      help: "tick of the dump: 1ns, 10ns, 100ns, 1us (default), 10us, 100us " +
        "or 1ms",
      completes: Object.keys(TIMESCALES),
    },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

const FORMATS: readonly RecordingFormat[] = ["vcd", "csv", "jsonl"];

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const { follow, rest: words } = given;
  const startNs = clockNs("realtime");
  const fromNs = given.last !== undefined
    ? startNs - BigInt(readPast(given.last)) * 1000n
    : follow
    ? undefined
    : 0n;
  const timescale = readTimescale(given.timescale);
  const outputs = FORMATS.flatMap((format) => {
    const path = given[format];
    return path === undefined ? [] : [{ format, path }];
  });
  if (outputs.length === 0) outputs.push({ format: "csv", path: "-" });
  if (outputs.filter(({ path }) => path === "-").length > 1) {
    throw new ConfigError("only one format can go to standard output");
  }
  const twice = outputs.find(({ path }, i) =>
    outputs.slice(0, i).some((other) => other.path === path)
  );
  if (twice !== undefined) {
    throw new ConfigError("is the file of another format already", {
      path: `--${twice.format} ${twice.path}`,
      hint: "Name a file for each format",
    });
  }
  const client = await serviceOfLines(words, given.api, "look");
  const source = edgeSourceOf(client);
  using stack = new DisposableStack();
  const files = outputs.map(({ format, path }): TapeFile => {
    let file: OutputFile | undefined;
    return {
      writerOf: (start) => recordingWriter(format, { ...start, timescale }),
      // Only now: a file is not emptied for a line that does not exist.
      write: (text) => (file ??= stack.use(new OutputFile(path))).write(text),
    };
  });
  const ended = Promise.withResolvers<void>();
  const onSignal = () => ended.resolve();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  stack.defer(() => {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  });
  const { count, isCutShort } = await recordLines(source, {
    words,
    fromNs,
    follow,
    ended: ended.promise,
    files,
    program: "gpioagg",
    tell: writeError,
    now: () => clockNs("realtime"),
  });
  if (isCutShort) writeError("the service has ended");
  if (outputs.every(({ path }) => path !== "-")) {
    const paths = outputs.map(({ path }) => path).join(" and ");
    writeError(`${count} ${count === 1 ? "edge" : "edges"} in ${paths}`);
  }
  return isCutShort ? 1 : 0;
}

function readPast(text: string): number {
  const us = readPeriodUs(text);
  if (us === undefined || !Number.isSafeInteger(us)) {
    throw new ConfigError(`"${text}" is not a valid time`, {
      path: "--last",
      hint: "Write 500ms, 10s, 10m or 2h",
    });
  }
  return us;
}

function readTimescale(text: string | undefined): Timescale | undefined {
  if (text === undefined || Object.hasOwn(TIMESCALES, text)) {
    return text as Timescale | undefined;
  }
  throw new ConfigError(`"${text}" is not a valid tick`, {
    path: "--timescale",
    hint: `Write one of ${Object.keys(TIMESCALES).join(", ")}`,
  });
}
