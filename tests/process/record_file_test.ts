/** The file of edges of a service that is killed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { readRecording } from "../../src/recording/read_recording.ts";
import { signalText } from "../../src/recording/recording.ts";
import { ConfigService } from "../environment/config_service.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const PULLS = 20;

function config(file: string) {
  return (directory: string) =>
    `aggregators:
  press:
    vhost-user: ${directory}/press.sock
    lines: [ "sim/1,as=START", "const/1,as=FITTED" ]
  crane:
    isolate: process
    vhost-user: ${directory}/crane.sock
    lines: [ "sim/1,as=LIMIT" ]
record: { file: ${file} }
`;
}

/** Values in order by the name of a line. */
function valuesIn(text: string): Record<string, (0 | 1 | undefined)[]> {
  const { signals, edges } = readRecording([new TextEncoder().encode(text)]);
  const values: Record<string, (0 | 1 | undefined)[]> = {};
  for (let i = 0; i < edges.length; i++) {
    (values[signalText(signals[edges.signal(i)]!)] ??= []).push(edges.value(i));
  }
  return values;
}

/** Looks at the history of a service and of the one before, which was killed. */
async function goesBack(client: ServiceClient) {
  const { edges, lines, lost, notes, ...others } = await client.history();
  assertEquals([lost, notes, others.next], [0, undefined, undefined]);
  const numbers = edges.filter(({ line }) => line === "START")
    .map(({ number }) => number);
  assertEquals(numbers, [
    ...Array.from({ length: PULLS }, (_, i) => i),
    0,
  ]);
  assertEquals(edges.length, 2 * PULLS + 1);
  const times = edges.map(({ time }) => BigInt(time));
  assertEquals(times, times.toSorted((a, b) => a < b ? -1 : 1));
  // The first life of each line ended with the first service.
  const lives = lines.filter(({ line }) => line === "START");
  assertEquals(lives.length, 2);
  const [first, second] = lives;
  assert(BigInt(first!.ends!) < BigInt(second!.begins!));
  const { stdout, stderr } = await new Deno.Command(PROGRAM_FILE, {
    args: [...PROGRAM, "record", "press.START", "--api", client.socketPath],
    cwd: REPOSITORY,
    stdin: "null",
  }).output();
  const rows = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assertEquals(rows.slice(1).map((row) => row.split(",")[3]), [
    ...Array.from({ length: PULLS + 1 }, (_, i) => String(i & 1)),
    "x",
    "0",
    "1",
  ]);
  assertEquals(new TextDecoder().decode(stderr), "");
}

Deno.test("a service that is killed leaves a file of all edges, which the next one continues", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-record-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const file = `${directory}/edges.jsonl`;
  const text = () => Deno.readTextFileSync(file);
  const wave = (count: number) =>
    Array.from({ length: count }, (_, i) => (i & 1) as 0 | 1);
  {
    await using service = await ConfigService.start(config(file));
    const client = new ServiceClient(service.api);
    for (let i = 1; i <= PULLS; i++) {
      await client.pull("press", { START: (i & 1) as 0 | 1 });
      await client.pull("crane", { LIMIT: (i & 1) as 0 | 1 });
    }
    await until(
      "all edges are in the file",
      () => text().split('"operator"').length === 2 * PULLS + 1,
    );
    service.process.kill("SIGKILL");
    await service.process.waitForExit();
  }
  assertEquals(valuesIn(text()), {
    "press.START": wave(PULLS + 1),
    "press.FITTED": [1],
    "crane.LIMIT": wave(PULLS + 1),
  });
  const { code, stdout } = await new Deno.Command(PROGRAM_FILE, {
    args: [...PROGRAM, "record", "--file", file, "press.START", "--jsonl", "-"],
    cwd: REPOSITORY,
    stdin: "null",
    stderr: "inherit",
  }).output();
  const read = new TextDecoder().decode(stdout);
  assertEquals([code, valuesIn(read)], [0, {
    "press.START": [undefined, ...wave(PULLS + 1)],
  }]);
  assertEquals(read.split('"operator"').length, PULLS + 1);
  // As a crash in the midst of a write would leave it.
  Deno.writeTextFileSync(file, '{"time":"2026', { append: true });
  const before = text().length;
  {
    await using service = await ConfigService.start(config(file));
    const client = new ServiceClient(service.api);
    await client.pull("press", { START: 1 });
    await goesBack(client);
    service.process.kill("SIGTERM");
    await service.process.waitForExit();
  }
  // What happened just before its end is in it.
  assert(text().length > before);
  assertEquals(valuesIn(text())["press.START"], [
    ...wave(PULLS + 2),
    undefined,
  ]);
});

Deno.test("a record that cannot be written, or is a file of something else, is told at the start", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-record-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const serve = async (file: string) => {
    const path = `${directory}/gpioagg.yaml`;
    Deno.writeTextFileSync(path, config(file)(directory));
    const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
      args: [...PROGRAM, "serve", "--config", path],
      cwd: REPOSITORY,
      stdin: "null",
    }).output();
    assertEquals(code, 1);
    return new TextDecoder().decode(stderr);
  };
  const other = `${directory}/other`;
  Deno.writeTextFileSync(other, "important\n");
  assertStringIncludes(await serve(other), "is not a file of edges");
  assertEquals(Deno.readTextFileSync(other), "important\n");
  assertStringIncludes(
    await serve(`${directory}/none/edges`),
    `Cannot write the record of edges to ${directory}/none/edges: ` +
      "no such file or directory (ENOENT)\n",
  );
});
