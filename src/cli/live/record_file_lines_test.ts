import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { recordingWriter } from "../../recording/recording_writer.ts";
import type { RecordingFormat } from "../../recording/read_recording.ts";
import { jsonText } from "../../recording/table.ts";
import { recordFileLines } from "./record_file_lines.ts";

const START_NS = 1_764_429_000_000_000_000n;

/** An entry so many milliseconds after the start. */
function entry(
  ms: number,
  signal: string,
  value: 0 | 1 | undefined,
  cause = "",
): string {
  const [scope, name] = signal.split("/") as [string, string];
  const timeNs = START_NS + BigInt(ms) * 1_000_000n;
  return jsonText({ timeNs, scope, name, value, cause });
}

const OLDER = entry(0, "press/A", 0) + entry(0, "crane/B", 1) +
  entry(10, "press/A", 1, "guest");
const NEWER = entry(10, "press/A", 1) + entry(10, "crane/B", 1) +
  entry(20, "press/A", 0, "operator") +
  `{"event":"lost","count":3,"at":"2025-11-29T15:10:00Z"}\n` +
  entry(19, "crane/B", 0, "world") + entry(30, "press/A", 1, "rule (start)") +
  '{"time":"2025';

/** Records out of files with these contents. */
function record(
  words: readonly string[],
  {
    older = OLDER,
    newer = NEWER,
    from = 0,
    to = undefined as number | undefined,
    format = "csv" as RecordingFormat,
  } = {},
) {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/edges.jsonl`;
  try {
    Deno.writeTextFileSync(path, newer);
    if (older !== "") Deno.writeTextFileSync(`${path}.1`, older);
    let text = "";
    const told: string[] = [];
    const at = (ms: number) => START_NS + BigInt(ms) * 1_000_000n;
    const count = recordFileLines(path, {
      words,
      fromNs: from === 0 ? 0n : at(from),
      toNs: to === undefined ? undefined : at(to),
      files: [{
        createWriter: (start) => recordingWriter(format, start),
        write: (more) => text += more,
      }],
      program: "test",
      tell: (text) => told.push(text),
    });
    const rows = text.trim().split("\n").slice(1).map((row) =>
      row.replace(/^\S*?:\d\d\.(\d{3})\d*Z,/, "$1 ")
    );
    return { count, rows, text, told };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("a file of edges is read with the older one, and without what a crash left", () => {
  const { count, rows, told } = record([]);
  assertEquals(rows, [
    "000 press,A,x,",
    "000 crane,B,x,",
    "000 press,A,0,",
    "000 crane,B,1,",
    "010 press,A,1,guest",
    "020 press,A,0,operator",
    "020 crane,B,0,world",
    "030 press,A,1,rule (start)",
  ]);
  assertEquals([count, told], [6, ["3 edges are missing in the file"]]);
});

Deno.test("a part of a file begins with the values of that time", () => {
  assertEquals(record([], { from: 15, to: 25 }).rows, [
    "015 press,A,1,",
    "015 crane,B,1,",
    "020 press,A,0,operator",
    "020 crane,B,0,world",
  ]);
  assertEquals(record(["crane"], { from: 15 }).rows, [
    "015 crane,B,1,",
    "019 crane,B,0,world",
  ]);
  assertEquals(record(["press.A"], { from: 25, older: "" }).rows, [
    "025 press,A,0,",
    "030 press,A,1,rule (start)",
  ]);
  const { text } = record(["press.A"], { format: "vcd" });
  assertStringIncludes(text, "$scope module press $end");
});

Deno.test("what lines were ends with the run of a service, however that ended", () => {
  const record1 =
    `{"event":"record","version":2,"run":"a","at":"2025-11-29T15:10:00Z"}\n`;
  const record2 = record1.replace('"a"', '"b"');
  const older = record1 + entry(0, "press/A", 1) + entry(10, "press/B", 1);
  // All states are repeated at the begin of a file, and within.
  const newer = record1 + entry(10, "press/A", 1) + entry(10, "press/B", 1) +
    record1 + entry(20, "press/B", 0, "guest") + record2 +
    entry(40, "press/A", 1);
  assertEquals(record([], { older, newer }).rows.slice(2), [
    "000 press,A,1,",
    "010 press,B,1,",
    "020 press,B,0,guest",
    "020 press,A,x,",
    "020 press,B,x,",
    "040 press,A,1,",
  ]);
});

Deno.test("entries that are not valid are left out, and counted", () => {
  const newer = entry(0, "press/A", 0) + "\0\0\0\0\n" +
    `{"time":"2025${"x".repeat(300_000)}\n` + entry(10, "press/A", 1) +
    '{"event":5}\n' + entry(20, "press/A", 0);
  const { rows, told } = record([], { newer, older: "" });
  assertEquals(rows.slice(1), [
    "000 press,A,0,",
    "010 press,A,1,",
    "020 press,A,0,",
  ]);
  assertEquals(told.length, 1);
  assertStringIncludes(told[0]!, "2 entries are not valid and are left out");
  assertStringIncludes(told[0]!, "/edges.jsonl, row 2: ");
});

Deno.test("times are by the wall clock as it was set last", () => {
  const clock = (boot: string, ms: number, run: string, atMs: number) => {
    const at = new Date(Number(START_NS / 1_000_000n) + atMs).toISOString();
    return `{"event":"record","version":2,"run":"${run}","boot":"${boot}",` +
      `"clock":"${ms * 1e6}","at":"${at}"}\n`;
  };
  // It is set back by 100 ms, and by 20 ms before the next run of this boot.
  const older = clock("a", 1000, "1", 150) + entry(150, "press/A", 0) +
    entry(160, "press/A", 1, "guest") +
    '{"event":"clock","clock":"900000000","at":"2025-11-29T15:10:00Z"}\n' +
    entry(70, "press/A", 0, "guest") + clock("a", 880, "2", 60) +
    entry(60, "press/A", 0) + entry(65, "press/A", 1, "guest");
  const newer = clock("b", 5, "3", 600) + entry(600, "press/A", 1);
  assertEquals(record([], { older, newer }).rows.slice(1), [
    "030 press,A,0,",
    "040 press,A,1,guest",
    "050 press,A,0,guest",
    "050 press,A,x,",
    "060 press,A,0,",
    "065 press,A,1,guest",
    "065 press,A,x,",
    "600 press,A,1,",
  ]);
});

Deno.test("a file that is not one of edges, or has no such line, is refused", () => {
  const cases: [words: string[], newer: string, says: string][] = [
    [["pres"], NEWER, 'no line of "pres"'],
    [["press.C"], NEWER, 'no line of "press.C"'],
    [[], "{}\n", "row 1: it has no valid time"],
    [[], "\nno\n", "row 2: no is not valid JSON"],
    [[], "5\n", "row 1: it is not an object"],
    [
      [],
      `{"time":"2025-11-29T15:10:00Z","aggregator":"a","line":"b","value":2}\n`,
      "row 1: it has no line with a value",
    ],
    [[], "x".repeat(70_000), "it is too long"],
  ];
  for (const [words, newer, says] of cases) {
    const { message } = assertThrows(
      () => record(words, { newer, older: "" }),
      Error,
    );
    assertStringIncludes(message, says);
  }
  assertEquals(record([], { newer: "", older: "" }).count, 0);
});
