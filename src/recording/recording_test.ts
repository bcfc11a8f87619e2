import { assertEquals, assertThrows } from "@std/assert";
import { rounds } from "../../tests/environment/rounds.ts";
import { firstDifference } from "./compare.ts";
import {
  type Recording,
  RecordingBuilder,
  RecordingError,
  signalText,
} from "./recording.ts";
import { readRecording, type RecordingFormat } from "./read_recording.ts";
import { recordingWriter } from "./recording_writer.ts";

const START_NS = 1_764_429_039_123_456_789n;
const SIGNALS = [
  { scope: "press", name: "START" },
  { scope: "press", name: "DOOR" },
  { scope: "crane", name: "START" },
];

/** Bytes of a text in pieces of this many. */
function* pieces(text: string, length = 1 << 16): Generator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += length) {
    yield bytes.subarray(at, at + length);
  }
}

function read(text: string, length?: number): Recording {
  return readRecording(pieces(text, length));
}

/** Edges as `[time, name, value]`. */
function listEdges({ signals, edges }: Recording) {
  return Array.from({ length: edges.length }, (_, i) => [
    edges.timeNs(i),
    signalText(signals[edges.signal(i)]!),
    edges.value(i) ?? "x",
  ]);
}

function written(format: RecordingFormat): string {
  const writer = recordingWriter(format, {
    signals: SIGNALS,
    values: [0, 1, undefined],
    startNs: START_NS,
    program: "gpioagg",
    timescale: "1ns",
  });
  return writer.head() +
    writer.edge(0, 1, START_NS + 1000n, "world") +
    writer.edge(2, 0, START_NS + 1000n, "guest") +
    writer.edge(1, undefined, START_NS + 5_000_000_007n, "rule") +
    writer.end(START_NS + 6_000_000_000n);
}

const EDGES = [
  [0, "press.START", 0],
  [0, "press.DOOR", 1],
  [0, "crane.START", "x"],
  [1000, "press.START", 1],
  [1000, "crane.START", 0],
  [5_000_000_007, "press.DOOR", "x"],
];

for (const format of ["vcd", "csv", "jsonl"] as const) {
  Deno.test(`a recording as ${format} is read as it was written`, () => {
    const text = written(format);
    assertEquals(listEdges(read(text)), EDGES);
    assertEquals(listEdges(read(text, 1)), EDGES, "byte by byte");
    assertEquals(listEdges(read(text.replaceAll("\n", "\r\n"))), EDGES);
    assertEquals(listEdges(read(`\ufeff${text}`)), EDGES);
  });

  const count = format === "vcd"
    ? rounds(1_000_000, 30_000)
    : rounds(100_000, 10_000);
  Deno.test(`${count} edges as ${format} are read as they were written`, () => {
    const writer = recordingWriter(format, {
      signals: SIGNALS,
      values: [0, 0, 0],
      startNs: START_NS,
      program: "gpioagg",
    });
    const parts = [writer.head()];
    let text = "";
    for (let i = 0; i < count; i++) {
      const value = Math.floor(i / 3) % 2 === 0 ? 1 : 0;
      const timeNs = START_NS + BigInt(i + 1) * 1000n;
      text += writer.edge(i % 3, value, timeNs, "guest");
      if (text.length > 1 << 20) {
        parts.push(text);
        text = "";
      }
    }
    parts.push(text, writer.end(START_NS + BigInt(count + 1) * 1000n));
    const encoder = new TextEncoder();
    const { edges } = readRecording(parts.map((part) => encoder.encode(part)));
    assertEquals(edges.length, count + SIGNALS.length);
    for (let i = 0; i < count; i++) {
      const at = i + SIGNALS.length;
      const isRight = edges.timeNs(at) === (i + 1) * 1000 &&
        edges.signal(at) === i % 3 &&
        edges.value(at) === (Math.floor(i / 3) % 2 === 0 ? 1 : 0);
      if (!isRight) throw new Error(`edge ${i} differs`);
    }
  });
}

Deno.test("files say when and why, and cannot be forged by a name", () => {
  assertEquals(
    written("csv").split("\n").slice(0, 5),
    [
      "time,aggregator,line,value,cause",
      "2025-11-29T15:10:39.123456789Z,press,START,0,",
      "2025-11-29T15:10:39.123456789Z,press,DOOR,1,",
      "2025-11-29T15:10:39.123456789Z,crane,START,x,",
      "2025-11-29T15:10:39.123457789Z,press,START,1,world",
    ],
  );
  assertEquals(
    written("jsonl").split("\n").at(-2),
    '{"time":"2025-11-29T15:10:44.123456796Z","aggregator":"press",' +
      '"line":"DOOR","value":null,"cause":"rule"}',
  );
  const hostile = { scope: "a $end", name: '\x1b[2J\n1!,"x' };
  for (const format of ["vcd", "csv", "jsonl"] as const) {
    const writer = recordingWriter(format, {
      signals: [hostile],
      values: [0],
      startNs: START_NS,
      program: "gpioagg",
    });
    const text = writer.head() + writer.edge(0, 1, START_NS + 5000n, "guest");
    assertEquals(text.includes("\x1b"), false, format);
    assertEquals(listEdges(read(text)).map(([ns, , value]) => [ns, value]), [
      [0, 0],
      [5000, 1],
    ], format);
  }
});

Deno.test("a signal that is not wanted costs nothing", () => {
  for (const format of ["vcd", "csv", "jsonl"] as const) {
    const { signals, edges } = readRecording(
      pieces(written(format)),
      ({ scope }) => scope === "crane",
    );
    assertEquals(signals, [{ scope: "crane", name: "START" }], format);
    assertEquals(edges.length, 2);
  }
});

Deno.test("dumps of simulators are read: scopes, vectors, reals, aliases", () => {
  const dump = `$date today $end $version Icarus $end
$timescale
   10ps
$end
$comment $var wire 1 # no $end
$scope module top $end
$var wire 1 ! clk $end
$var reg 8 " count [7:0] $end
$var real 64 # volt $end
$scope module dut $end
$var wire 1 ! clk $end
$var reg 1 $ q [0] $end
$upscope $end $upscope $end
$enddefinitions $end
$dumpvars x! bxxxxxxxx " r0.0 # b0 $ $end
#100 1! b101 " r3.3 #
#250
0!
1$
#300 z!
`;
  const recording = read(dump);
  assertEquals(listEdges(recording), [
    [0, "top.clk", "x"],
    [0, "top.dut.clk", "x"],
    [0, "top.dut.q", 0],
    [1, "top.clk", 1],
    [1, "top.dut.clk", 1],
    [2, "top.clk", 0],
    [2, "top.dut.clk", 0],
    [2, "top.dut.q", 1],
    [3, "top.clk", "x"],
    [3, "top.dut.clk", "x"],
  ]);
  assertEquals(recording.endNs, 3);
});

/** A dump of ModelSim's form: a bus as wires of one bit. */
const BUS = `$timescale 1 ns $end $scope module top $end
$var wire 1 ! D [1] $end $var wire 1 " D [0] $end $var wire 1 # A [0] $end
$upscope $end $scope module dut $end $var wire 1 " D [0] $end $upscope $end
$enddefinitions $end
#0 0! 1" 0#
#1 1!
`;

Deno.test("bits of a bus of a dump are signals of their own", () => {
  assertEquals(listEdges(read(BUS)), [
    [0, "top.D[1]", 0],
    [0, "top.D[0]", 1],
    [0, "dut.D", 1],
    [0, "top.A", 0],
    [1, "top.D[1]", 1],
  ]);
  const chosen = readRecording(pieces(BUS), ({ name }) => name === "D[1]");
  assertEquals(listEdges(chosen), [[0, "top.D[1]", 0], [1, "top.D[1]", 1]]);
});

Deno.test("tables of gpioagg mon are read", () => {
  const csv = `timestamp,event,value,chip,offset,name,line_seqno
100.000000005,rising,1,gpiochip0,3,START,1
100.5,falling,0,gpiochip0,3,START,2
100.5,rising,1,gpiochip1,0,,1
`;
  assertEquals(listEdges(read(csv)), [
    [0, "START", 1],
    [499_999_995, "START", 0],
    [499_999_995, "gpiochip1/0", 1],
  ]);
  const json = `{"event": "ready", "lines": ["START"]}
{"event":"rising","timestampNs":32430091264,"line":"START","value":1}
{"event":"lost","count":3,"line":"START"}
{"event":"falling","timestampNs":32430091265,"line":"START","value":0}
`;
  assertEquals(listEdges(read(json)), [[0, "START", 1], [1, "START", 0]]);
});

const HEAD = "$timescale 1 ns $end $scope module a $end\n" +
  "$var wire 1 ! b $end $upscope $end $enddefinitions $end\n";

for (
  const [what, text, message] of [
    ["nothing", " \n\t ", "it is empty"],
    ["a dump without an end of its head", "$date x", "before $enddefinitions"],
    ["a change before the head ends", "$date x $end #0", '"#0" stands before'],
    ["a strange word", `${HEAD}#0 hello!`, '"hello!" is not a valid change'],
    ["a value of nothing", `${HEAD}#0 1 `, '"1" is not a valid change'],
    [
      "two wires of one name",
      "$var wire 1 ! a $end $var wire 1 # a $end $enddefinitions $end",
      "two wires have the name a",
    ],
    [
      "a late wire",
      "$enddefinitions $end $var wire 1 ! a $end",
      "a $var stands behind $enddefinitions",
    ],
    ["a strange time", `${HEAD}#-5 `, '"#-5" is not a valid time'],
    ["a huge time", `${HEAD}#${"9".repeat(29)} `, "later than 104 days"],
    ["a time without end", `${HEAD}#${"9".repeat(1e6)} `, "without end"],
    ["a time that goes back", `${HEAD}#5 1! #4 `, "goes back from #5 to #4"],
    ["a strange timescale", "$timescale 3 ns $end", '"3ns" is not a valid'],
    ["a wire without a name", "$var wire 1 ! $end", "a $var has no name"],
    ["deep scopes", "$scope module a $end ".repeat(300), "too deep"],
    ["long scopes", `$scope module ${"a".repeat(2000)} $end `, "too long"],
    ["a long name", `$var wire 1 ! ${"a".repeat(2000)} $end `, "too long"],
    ["an end of nothing", "$end ", "line 1: "],
    ["a table of something else", "a,b\n1,2\n", "no columns time"],
    ["an open quote", 'time,line,value\n"1', "it ends within quotes"],
    ["a short row", "time,line,value\n1,a\n", "row 2: it has too few fields"],
    ["a strange value", "time,line,value\n1,a,2\n", '"2" is not a valid value'],
    ["a time of a table", "time,line,value\nnow,a,1\n", '"now" is not a valid'],
    [
      "a date that is none",
      "time,line,value\n2025-99-99T00:00:00Z,a,1\n",
      "not",
    ],
    ["a wide row", `time,line,value\n${"1,".repeat(100)}\n`, "64 fields"],
    ["a long field", `time,line,value\n${"1".repeat(9999)}\n`, "4096 char"],
    ["broken JSON", '{"time":', "row 1: "],
    ["JSON without a line", '{"time":"1"}', "no line with a value"],
    ["a long line of JSON", `{"time":"${"x".repeat(99_999)}"}`, "too long"],
    ["JSON that is no object", '{"event":"x"}\n[]\nnull', "row 3: it is not"],
  ] as const
) {
  Deno.test(`readRecording() refuses ${what}`, () => {
    assertThrows(() => read(text), RecordingError, message);
  });
}

Deno.test("readRecording() takes any bytes without another error", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed % below;
  };
  const files = [
    ...(["vcd", "csv", "jsonl"] as const).map(written),
    "; Channels (2/2): A, B\n; Samplerate: 1 kHz\nTime,A,B\n1,0,1\n2,1,1\n",
  ];
  for (let round = 0; round < 800; round++) {
    const bytes = new TextEncoder().encode(files[round % 4]);
    for (let i = 0; i < 1 + round % 5; i++) {
      bytes[random(bytes.length)] = random(256);
    }
    const cut = bytes.subarray(0, 1 + random(bytes.length));
    try {
      readRecording([cut]);
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
    }
  }
});

/** A recording of one signal, as `time=value` in milliseconds. */
function wave(text: string, name = "A"): Recording {
  const builder = new RecordingBuilder();
  const signal = builder.signal({ scope: "press", name });
  for (const word of text.split(" ")) {
    const [time, value] = word.split("=");
    builder.advance(Number(time) * 1e6);
    if (value !== undefined) {
      builder.change(
        signal,
        value === "x" ? undefined : Number(value) as 0 | 1,
      );
    }
  }
  return builder.recording();
}

for (
  const [expected, actual, text] of [
    ["0=0 10=1 20=0 90", "0=0 12=1 19=0 90", undefined],
    ["0=0 10=1 90", "0=0 20=1 90", "to become 1 at 10.000 ms; it came at 20"],
    ["0=0 10=1 90", "0=0 90", "press.A was expected to become 1 at 10.000 ms"],
    ["0=0 90", "0=0 50=1 90", "press.A became 1 at 50.000 ms, which was not"],
    ["0=0 90", "0=0 88=1 95", undefined],
    ["0=0 50=1 90", "0=0 20=1 21=0 50=1 90", "became 1 at 20.000 ms"],
    ["0=1 90", "0=0 90", "to become 1 at 0.000 ms"],
    ["0=1 90", "0=0 4=1 90", undefined],
    ["0=x 50=1 90", "0=0 10=1 12=0 20=1 90", undefined],
    ["0=1 30=x 50=1 90", "0=1 31=0 40=1 41=0 49=1 90", undefined],
    ["0=1 30=x 50=1 90", "0=1 31=0 90", "to become 1 at 50.000 ms"],
    ["0=1 30=x 90", "0=1 10=0 90", "became 0 at 10.000 ms"],
    ["0=1 30=x 90", "0=1 60=0 90", undefined],
  ] as const
) {
  Deno.test(`firstDifference() of ${expected} and ${actual}`, () => {
    const found = firstDifference(wave(expected), wave(actual), 5e6)?.text;
    if (text === undefined) assertEquals(found, undefined);
    else assertEquals(found?.includes(text), true, found);
  });
}

Deno.test("firstDifference() names a signal that is missing", () => {
  assertEquals(
    firstDifference(wave("0=0"), wave("0=0", "B"), 0),
    { timeNs: 0, text: "press.A was not recorded" },
  );
});
