/** Edges of a service's lines in files, and a test bench made of them. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { readRecording } from "../../src/recording/read_recording.ts";
import { type Recording, signalText } from "../../src/recording/recording.ts";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { lacksTool, runTool } from "../environment/tool.ts";

const AGGREGATORS = {
  press: ["sim/1,as=START", "sim/1,as=STOP"],
  panel: ["copy/press.START,as=LAMP"],
};

function start(service: ApiService, ...args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args, "--api", service.client.socketPath],
  });
}

async function call(service: ApiService, ...args: readonly string[]) {
  await using process = start(service, ...args);
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

function read(path: string): Recording {
  return readRecording([Deno.readFileSync(path)]);
}

/** Edges as `NAME=VALUE`, in order. */
function listEdges({ signals, edges }: Recording): string[] {
  return Array.from(
    { length: edges.length },
    (_, i) =>
      `${signalText(signals[edges.signal(i)]!)}=${edges.value(i) ?? "x"}`,
  );
}

/** Edges with their times; those of one time by name. */
function listDatedEdges(recording: Recording): string[] {
  return listEdges(recording).map((text, i) =>
    `${String(recording.edges.timeNs(i)).padStart(20)} ${text}`
  ).toSorted();
}

/** Values of all lines from each time on, where they differ from the last. */
function listPictures({ signals, edges }: Recording): Map<number, string> {
  const values = new Map<string, string>();
  const pictures = new Map<number, string>();
  for (let i = 0; i < edges.length; i++) {
    const { name } = signals[edges.signal(i)]!;
    values.set(name, `${name}=${edges.value(i) ?? "x"}`);
    pictures.set(edges.timeNs(i), [...values.values()].toSorted().join(" "));
  }
  const all = [...pictures];
  return new Map(all.filter(([, text], i) => text !== all[i - 1]?.[1]));
}

async function pull(service: ApiService, ...values: readonly (0 | 1)[]) {
  for (const value of values) {
    await service.client.pull("press", { START: value });
  }
}

const PULLED = [
  "press.START=1",
  "panel.LAMP=1",
  "press.START=0",
  "panel.LAMP=0",
];

Deno.test("the past is recorded in every format, complete and in order", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await pull(service, 1, 0, 1, 0);
  const path = (end: string) => `${service.directory}/r.${end}`;
  const { code, stdout, stderr } = await call(
    service,
    "record",
    "--vcd",
    path("vcd"),
    "--csv",
    path("csv"),
    "--jsonl",
    path("jsonl"),
  );
  assertEquals([code, stdout], [0, ""], stderr);
  assertMatch(
    stderr,
    /^gpioagg: 8 edges in .*r\.vcd and .*r\.csv and .*jsonl\n$/,
  );
  for (const end of ["vcd", "csv", "jsonl"]) {
    assertEquals(listEdges(read(path(end))), [
      "press.START=0",
      "press.STOP=0",
      "panel.LAMP=0",
      ...PULLED,
      ...PULLED,
    ], end);
  }
  assertMatch(
    Deno.readTextFileSync(path("csv")),
    /^2\d{3}-[-T:.\d]+Z,press,START,1,operator\n2.*Z,panel,LAMP,1,follow$/m,
  );
  const chosen = await call(
    service,
    "record",
    "press.STOP",
    "panel",
    "--csv",
    "-",
  );
  assertEquals(
    chosen.stdout.split("\n").slice(1, 3).map((row) =>
      row.replace(/^\S+Z,/, "")
    ),
    ["press,STOP,0,", "panel,LAMP,0,"],
  );
});

Deno.test("lines are x in a dump while their aggregator is away", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const lines = ["sim/1,as=DOOR"];
  for (const value of [1, 0] as const) {
    await service.client.createLasting({ name: "gate", lines });
    await service.client.pull("gate", { DOOR: value });
    await service.client.remove("gate");
  }
  const { code, stdout, stderr } = await call(
    service,
    "record",
    "gate",
    "--csv",
    "-",
  );
  assertEquals([code, stderr], [0, ""]);
  const rows = stdout.trimEnd().split("\n").slice(1);
  assertEquals(rows.map((row) => row.replace(/^.*DOOR,/, "")), [
    "0,",
    "1,operator",
    "x,",
    "0,",
    "x,",
  ]);
  assertEquals(rows.toSorted(), rows, "in order of time");
});

const lacksReaders = await lacksTool(
  "sigrok-cli",
  "run scripts/environment judges",
) || await lacksTool("vcd2fst", "run scripts/environment judges");

Deno.test({
  name: "sigrok and GTKWave's tools read a record of several aggregators",
  ignore: lacksReaders,
  fn: async () => {
    await using service = await ApiService.start({ aggregators: AGGREGATORS });
    await pull(service, 1, 0, 1);
    const file = `${service.directory}/s.vcd`;
    // A tick for each of sigrok's samples: short records are read quickly.
    const { code } = await call(
      service,
      "record",
      "--vcd",
      file,
      "--timescale=100us",
    );
    assertEquals(code, 0);
    const { stdout } = await new Deno.Command("sigrok-cli", {
      args: ["-I", "vcd", "-i", file, "-O", "csv"],
    }).output();
    const text = new TextDecoder().decode(stdout);
    assertMatch(text, /Channels \(3\/3\): START, STOP, LAMP/);
    const rows = text.split("\n").filter((row) => /^[01],[01],[01]$/.test(row));
    assertEquals(rows.at(-1), "1,0,1");
    assert(rows.includes("0,0,0"), rows.slice(0, 10).join("\n"));
    // Its table has a row for each sample; read, it says the same.
    const table = readRecording([stdout]);
    assertEquals(listPictures(table), listPictures(read(file)));

    // GTKWave's own form of it, and back: nothing is different.
    const fst = `${service.directory}/s.fst`;
    const back = `${service.directory}/back.vcd`;
    for (
      const [tool, ...args] of [
        ["vcd2fst", file, fst],
        ["fst2vcd", "-o", back, fst],
      ] as const
    ) {
      const { success, output } = (await runTool(tool, args))!;
      assert(success, `${tool}: ${output}`);
    }
    const [ours, theirs] = [read(file), read(back)].map((recording) => ({
      edges: listDatedEdges(recording),
      endNs: recording.endNs,
    }));
    assertEquals(theirs, ours);
    assertEquals(ours!.edges.length, 3 + 6);
  },
});

Deno.test("what happens is recorded until a signal, and the file is whole", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await pull(service, 1, 0);
  for (
    const [last, signal] of [[[], "SIGINT"], [
      ["--last", "1h"],
      "SIGTERM",
    ]] as const
  ) {
    const file = `${service.directory}/f.vcd`;
    await using process = start(
      service,
      "record",
      "--follow",
      "--vcd",
      file,
      ...last,
    );
    const isWritten = () => {
      try {
        return Deno.readTextFileSync(file).includes("$dumpvars");
      } catch {
        return false;
      }
    };
    while (!isWritten()) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await pull(service, 1, 0);
    process.kill(signal);
    const { code } = await process.waitForExit();
    assertEquals(code, 0, process.stderr);
    const edges = listEdges(read(file)).slice(3);
    assertEquals(edges.slice(-4), PULLED, "those after the file was begun");
    // An hour ago the lines were not there yet: they begin.
    assertEquals(edges.length, last.length === 0 ? 4 : 3 + 12);
    assertMatch(Deno.readTextFileSync(file), /\n#\d+\n#\d+\n$/, "its end");
    Deno.removeSync(file);
  }
});

Deno.test("a record that cannot be written or goes on without a service fails", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  for (
    const [args, status, says] of [
      [["--vcd", "/dev/full"], 1, "Cannot write to /dev/full: no space left"],
      [["--csv", "/no/such/file"], 1, "Cannot write to /no/such/file: no such"],
      [["--csv", "-", "--vcd", "-"], 2, "only one format can go to standard"],
      [["--last", "soon"], 2, '--last: "soon" is not a valid time'],
      [["--timescale", "2ns"], 2, '"2ns" is not a valid tick'],
      [["pres"], 1, 'There is no aggregator "pres"\n.*Did you mean press'],
      [["press.STRT"], 1, 'press has no line "STRT"'],
    ] as const
  ) {
    const { code, stdout, stderr } = await call(service, "record", ...args);
    assertMatch(stderr, new RegExp(says));
    assertEquals([code, stdout], [status, ""], stderr);
  }
  await using process = start(service, "record", "--follow", "--csv", "-");
  await process.waitFor("panel,LAMP,0,\n");
  service.process.kill("SIGTERM");
  const { code } = await process.waitForExit();
  assertEquals(code, 1);
  assertStringIncludes(process.stderr, "the service has ended");
});

const TRACE = `$timescale 1 ms $end
$scope module press $end
$var wire 1 a START $end
$upscope $end
$enddefinitions $end
#0 0a
#1000 1a
#2000 0a
#3000
`;

Deno.test("a play is compared with what is expected of it", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const path = (name: string) => `${service.directory}/${name}.vcd`;
  Deno.writeTextFileSync(path("trace"), TRACE);
  const saved = await call(
    service,
    "play",
    path("trace"),
    "--save",
    path("out"),
  );
  assertEquals([saved.code, saved.stderr], [0, ""]);
  const out = read(path("out"));
  assertEquals(listEdges(out), [
    "press.START=0",
    "press.STOP=0",
    "press.START=1",
    "press.START=0",
  ]);
  // Order, and the lateness that was told; the machine may be slow.
  const { worstLateUs } = JSON.parse(
    (await call(service, "play", path("trace"), "--json")).stdout,
  );
  assert(worstLateUs >= 0);
  const expected = `$timescale 1 ms $end
$scope module panel $end
$var wire 1 b LAMP $end
$upscope $end
$enddefinitions $end
#0 xb
#1000 1b
#2000 0b
#3000
`;
  Deno.writeTextFileSync(path("expected"), expected);
  const good = await call(
    service,
    "play",
    path("trace"),
    "--expect",
    path("expected"),
    "--tolerance",
    "990ms",
  );
  assertEquals([good.code, good.stderr], [0, ""]);
  Deno.writeTextFileSync(path("expected"), expected.replace("#2000 0b", ""));
  const bad = await call(
    service,
    "play",
    path("trace"),
    "--expect",
    path("expected"),
    "--tolerance",
    "200ms",
    "--json",
  );
  assertEquals(bad.code, 1);
  assertMatch(
    bad.stderr,
    /not as expected: panel.LAMP became 0 at \d+\.\d+ ms/,
  );
  assertMatch(JSON.parse(bad.stdout).difference, /^panel.LAMP became 0/);
  Deno.writeTextFileSync(path("expected"), expected.replace("LAMP", "LAMB"));
  const none = await call(
    service,
    "play",
    path("trace"),
    "--expect",
    path("expected"),
  );
  assertEquals(none.code, 1);
  assertStringIncludes(none.stderr, 'panel has no line "LAMB"');
});

Deno.test("a record of a play is the file that was played", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const count = 400;
  let dump = TRACE.split("#0")[0]! + "#0 0a\n";
  for (let i = 1; i <= count; i++) dump += `#${i * 5} ${i % 2}a\n`;
  const trace = `${service.directory}/t.vcd`;
  const out = `${service.directory}/o.vcd`;
  Deno.writeTextFileSync(trace, `${dump}#${count * 5 + 5}\n`);
  const { code, stdout, stderr } = await call(
    service,
    "play",
    trace,
    "--save",
    out,
    "--json",
  );
  assertEquals(code, 0, stderr);
  const { played, worstLateUs } = JSON.parse(stdout);
  assertEquals(played, count + 1);
  const { signals, edges } = read(out);
  const times: number[] = [];
  for (let i = 0; i < edges.length; i++) {
    if (signals[edges.signal(i)]!.name !== "START") continue;
    assertEquals(edges.value(i), times.length % 2);
    times.push(edges.timeNs(i));
  }
  assertEquals(times.length, count + 1);
  // No edge is earlier than in the file, and none later than what was told.
  times.slice(1).forEach((ns, i) => {
    const lateUs = ns / 1000 - (i + 1) * 5000;
    assert(-2 <= lateUs && lateUs <= worstLateUs + 1000, `${i}: ${lateUs} us`);
  });
});
