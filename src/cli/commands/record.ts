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
import { serviceEdges } from "../live/edge_source.ts";
import { recordFileLines } from "../live/record_file_lines.ts";
import { recordLines } from "../live/record_lines.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";
import type { RecordingFile } from "../live/line_recorder.ts";
import { OutputFile } from "../output/output_file.ts";
import { writeError } from "../output/output.ts";
import { API_OPTION, type CommandUsage, HELP_OPTION } from "../usage/usage.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { readMoment, readPast } from "../arguments/moment.ts";

/** The command line. */
export const USAGE = {
  name: "record",
  synopsis: [
    "[NAME[.LINE]...] [--last TIME] [--follow] [--vcd|--csv|--jsonl FILE]",
    "[NAME[.LINE]...] --file FILE [--from TIME] [--to TIME] [...]",
  ],
  about:
    `Writes the edges of a running service's lines, those that it keeps and those that
happen, to a file: of all aggregators, of some, or of single lines. The service
keeps about one million edges in memory, and more in the file that it writes
(record: { file } of its configuration). Without a file it prints
comma-separated values.

With --file, out of such a file, and of the older one beside it, also after a
crash and without the service.`,
  operands: ["served-line"],
  options: {
    last: {
      kind: "value",
      value: "TIME",
      help: "record the past from this long ago, such as 10m (default: all " +
        "that the service keeps; with --follow: nothing)",
    },
    from: {
      kind: "value",
      value: "TIME",
      help: "begin at this time: 15:00, 2026-11-29T15:00, with Z for UTC; " +
        "--from=-10m: ten minutes ago",
    },
    to: {
      kind: "value",
      value: "TIME",
      help: "end the past at this time, written in the same way",
    },
    file: {
      kind: "value",
      value: "FILE",
      help: "read a service's file of edges, not a service",
      completes: "file",
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
      help:
        "tick of the dump (--vcd): 1ns, 10ns, 100ns, 1us (default), 10us, " +
        "100us or 1ms",
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
  const { follow, rest: words, file } = given;
  const { fromNs, toNs } = readSpan(given);
  const timescale = readTimescale(given.timescale);
  const outputs = FORMATS.flatMap((format) => {
    const path = given[format];
    return path === undefined ? [] : [{ format, path }];
  });
  if (timescale !== undefined && given.vcd === undefined) {
    throw new ConfigError("is the tick of a dump, and none is written", {
      path: "--timescale",
      hint: "Write --vcd FILE too; tables have nanoseconds",
    });
  }
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
  if (file !== undefined && (follow || given.api !== undefined)) {
    throw new ConfigError(
      `--file cannot be combined with ${follow ? "--follow" : "--api"}`,
      { hint: "It is read without a service" },
    );
  }
  const same = outputs.find(({ path }) =>
    file !== undefined && isSameFile(path, file)
  );
  if (same !== undefined) {
    throw new ConfigError("is the file that is read", {
      path: `--${same.format} ${same.path}`,
      hint: "Write to another one",
    });
  }
  const source = file === undefined
    ? serviceEdges(await serviceOfLines(words, given.api, "look"))
    : undefined;
  using stack = new DisposableStack();
  const files = outputs.map(({ format, path }): RecordingFile => {
    let file: OutputFile | undefined;
    return {
      createWriter: (start) => recordingWriter(format, { ...start, timescale }),
      // Only now: a file is not emptied for a line that does not exist.
      write: (text) => (file ??= stack.use(new OutputFile(path))).write(text),
    };
  });
  const program = "gpioagg";
  if (source === undefined) {
    const options = { words, fromNs: fromNs ?? 0n, toNs, files, program };
    tellCount(
      recordFileLines(file!, { ...options, tell: writeError }),
      outputs,
    );
    return 0;
  }
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
    ...(toNs === undefined ? {} : { toNs }),
    follow,
    ended: ended.promise,
    files,
    program,
    tell: writeError,
    now: () => clockNs("realtime"),
  });
  if (isCutShort) writeError("the service has ended");
  tellCount(count, outputs);
  return isCutShort ? 1 : 0;
}

/** Returns true if a file is the file of edges, or the older one beside it. */
function isSameFile(path: string, file: string): boolean {
  const real = (one: string) => {
    try {
      return Deno.realPathSync(one);
    } catch {
      return undefined;
    }
  };
  const at = path === "-" ? undefined : real(path);
  return at !== undefined &&
    [file, `${file}.1`].some((one) => real(one) === at);
}

/** Says what files have by now. */
function tellCount(count: number, outputs: readonly { path: string }[]): void {
  if (outputs.some(({ path }) => path === "-")) return;
  const paths = outputs.map(({ path }) => path).join(" and ");
  writeError(`${count} ${count === 1 ? "edge" : "edges"} in ${paths}`);
}

/** Returns the begin and the end of the past, in nanoseconds since 1970. */
function readSpan(
  { last, from, to, follow }: {
    last: string | undefined;
    from: string | undefined;
    to: string | undefined;
    follow: boolean;
  },
): { fromNs: bigint | undefined; toNs: bigint | undefined } {
  if (last !== undefined && from !== undefined) {
    throw new ConfigError("--last cannot be combined with --from", {
      hint: "Write one of the two",
    });
  }
  if (follow && to !== undefined) {
    throw new ConfigError("--follow cannot be combined with --to", {
      hint: "It ends with SIGINT or SIGTERM",
    });
  }
  const nowNs = clockNs("realtime");
  const fromNs = last !== undefined
    ? nowNs - readPast(last, "--last")
    : from !== undefined
    ? readMoment(from, "--from", nowNs)
    : follow
    ? undefined
    : 0n;
  const toNs = to === undefined ? undefined : readMoment(to, "--to", nowNs);
  if (fromNs !== undefined && toNs !== undefined && fromNs > toNs) {
    throw new ConfigError("--from is later than --to");
  }
  return { fromNs, toNs };
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
