/** Edges of a service's lines by its API: as they come, and of the past. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { clockNs } from "../../ffi/clock.ts";
import type { Edge } from "../../src/client/edges.ts";
import { readText, sendRequest } from "../../src/client/http_request.ts";
import type { ApiEvent } from "../../src/client/protocol.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction } from "../../src/virtio/gpio/protocol.ts";
import { readRecording } from "../../src/recording/read_recording.ts";
import { ApiService } from "../environment/api_service.ts";
import { rounds } from "../environment/rounds.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { until } from "../environment/wait.ts";
import { residentMb } from "./server_usage.ts";

const AGGREGATORS = {
  press: [
    "sim/1,as=START",
    "sim/1,as=FORWARD,direction=output,safe=0,on-disconnect=safe",
    "const/1,as=FITTED",
  ],
  crane: ["wire/press.FORWARD,as=PEER"],
};

const nameOf = ({ aggregator, line }: Edge) => `${aggregator}.${line}`;
const textOf = (edge: Edge) =>
  `${nameOf(edge)} ${edge.direction} ${edge.value ?? "?"} ${edge.cause}` +
  (edge.rule === undefined ? "" : ` ${edge.rule}`);

/** Collects the events of a service until it is disposed. */
function listen(service: ApiService) {
  const events: ApiEvent[] = [];
  const stream = service.lookClient.events(undefined, { edges: true });
  const isOver = (async () => {
    for await (const event of stream) events.push(event);
  })();
  return {
    events,
    edges: () =>
      events.flatMap((event) => event.event === "edges" ? event.edges : []),
    async [Symbol.asyncDispose]() {
      await stream.return();
      await isOver;
    },
  };
}

async function get(
  service: ApiService,
  path: string,
): Promise<{ status: number; text: string }> {
  const { socketPath } = service.lookClient;
  const answer = await sendRequest(socketPath, { method: "GET", path });
  return {
    status: answer.status,
    text: await answer.inTime(readText(answer.body)),
  };
}

Deno.test("each change is one edge, with its cause before its effects; a guest that leaves changes nothing else", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await using heard = listen(service);
  await until("the snapshot", () => heard.events.length > 0);
  {
    using frontend = Frontend.open(service.socket("press"), {
      timeoutMs: 120_000,
    });
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(1, 1, Direction.Output);
    driver.setValue(1, 1);
    driver.setValue(1, 0);
    driver.setValue(1, 1);
  }
  await until(
    "the safe state",
    () => heard.edges().some(({ rule }) => rule === "on-disconnect"),
  );
  await until(
    "its effect",
    () => textOf(heard.edges().at(-1)!) === "crane.PEER input 0 follow",
  );
  assertEquals(heard.edges().map(textOf), [
    "press.FORWARD output 1 guest",
    "crane.PEER input 1 follow",
    "press.FORWARD output 0 guest",
    "crane.PEER input 0 follow",
    "press.FORWARD output 1 guest",
    "crane.PEER input 1 follow",
    "press.FORWARD output 0 rule on-disconnect",
    "crane.PEER input 0 follow",
  ]);
  // Changes are gathered: they may come after the edges.
  const changes = (wanted: string) =>
    heard.events.flatMap((event) => event.event === "lines" ? event.lines : [])
      .filter(({ name }) => name === wanted)
      .reduce((sum, { changes }) => sum + changes, 0);
  for (const name of ["FORWARD", "PEER"]) {
    await until(`the changes of ${name}`, () => changes(name) >= 4);
    assertEquals([name, changes(name)], [name, 4]);
  }
  assertEquals(changes("FITTED"), 0);
});

Deno.test("eight pulses are sixteen edges, as events and in the history", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await using heard = listen(service);
  await until("the snapshot", () => heard.events.length > 0);
  for (let i = 0; i < 8; i++) {
    await service.client.pull("press", { START: 1 });
    await service.client.pull("press", { START: 0 });
  }
  await until("the edges", () => heard.edges().length >= 16);
  const edges = heard.edges();
  assertEquals(
    edges.map(textOf),
    Array.from(
      { length: 16 },
      (_, i) => `press.START input ${1 - i % 2} operator`,
    ),
  );
  const times = edges.map(({ time }) => BigInt(time));
  assert(times.every((time, i) => i === 0 || time > times[i - 1]!));
  const now = BigInt(Date.now()) * 1_000_000n;
  assert(
    now - times[0]! < 3_600_000_000_000n && now + 1_000_000n >= times[15]!,
  );
  const { client } = service;
  const history = await client.history({ lines: ["press.START"] });
  assertEquals([history.edges, history.lost], [edges, 0]);
  // In parts.
  const parts: Edge[] = [];
  let from: string | undefined;
  do {
    const part = await client.history({
      from,
      limit: 5,
      lines: ["press.START"],
    });
    parts.push(...part.edges);
    from = part.next;
  } while (from !== undefined);
  assertEquals(parts, edges);
  const { text: csv } = await get(
    service,
    "/v1/history?format=csv&lines=press.START",
  );
  assertEquals(csv.match(/,operator$/gm)?.length, 16);
  const { text: vcd } = await get(service, "/v1/history?format=vcd");
  assertStringIncludes(vcd, "$scope module press $end");
  const lines = await client.lines();
  assertEquals(
    lines.map(({ aggregator, name }) => `${aggregator}.${name}`),
    ["press.START", "press.FORWARD", "press.FITTED", "crane.PEER"],
  );
});

Deno.test("a stream that is opened again has what was missed", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const lastId = { id: "" };
  const read = async (count: number): Promise<number[]> => {
    using stream = UnixStream.connect(service.lookClient.socketPath);
    await stream.write(new TextEncoder().encode(
      "GET /v1/events?edges=1 HTTP/1.1\r\nhost: x\r\n" +
        `last-event-id: ${lastId.id}\r\n\r\n`,
    ));
    let raw = "";
    let text = "";
    const numbers = () =>
      [...text.matchAll(/^data: (.*)$/gm)].flatMap(([, json]) => {
        const event: ApiEvent = JSON.parse(json!);
        return event.event === "edges"
          ? event.edges.map(({ number }) => number)
          : [];
      });
    while (!text.includes("event: snapshot") || numbers().length < count) {
      raw += new TextDecoder().decode((await stream.read())!);
      // Without the heads of chunks, and the event that is not whole yet.
      text = raw.replaceAll(/\r\n[0-9a-f]+\r\n/g, "");
      text = text.slice(0, text.lastIndexOf("\n\n") + 2);
      const ids = [...text.matchAll(/^id: (.*)$/gm)];
      if (ids.length > 0) lastId.id = ids.at(-1)![1]!;
    }
    return numbers();
  };
  const pull = async () => {
    await service.client.pull("press", { START: 1 });
    await service.client.pull("press", { START: 0 });
  };
  assertEquals(await read(0), []);
  await pull();
  const first = await read(2);
  await pull();
  const second = await read(2);
  assertEquals(first.length, 2);
  assertEquals(second, first.map((number) => number + 2));
});

Deno.test("questions for edges that make no sense are refused, and cost nothing", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const many = Array.from({ length: 1100 }, (_, i) => `a${i}`).join();
  for (
    const [path, status] of [
      ["/v1/history?from=yesterday", 400],
      [`/v1/history?lines=${many}`, 400],
      ["/v1/history?lines=press.NONE", 404],
      ["/v1/history?limit=1000000000", 400],
      ["/v1/history?from=-1m&to=-2m", 400],
      ["/v1/history?x=1", 400],
      ["/v1/history?from=0000000000000000000", 200],
      ["/v1/history?from=9999999999999999999", 200],
      ["/v1/history?to=100000000000000", 200],
      ["/v1/events?edges=2", 400],
      ["/v1/events?lines=press", 400],
    ] as const
  ) assertEquals((await get(service, path)).status, status, path.slice(0, 80));
});

/** As many as the service keeps, before a release. */
const MANY = rounds(990_000, 20_000);

Deno.test(`a record of ${MANY} edges is read back complete`, async () => {
  await using service = await ApiService.start({
    aggregators: {
      press: ["sim/1,as=FORWARD,direction=output", "sim/1,as=BACK"],
    },
  });
  const from = clockNs("realtime");
  {
    using frontend = Frontend.open(service.socket("press"), {
      timeoutMs: 120_000,
    });
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(0, 0, Direction.Output);
    for (let i = 1; i <= MANY; i++) driver.setValue(0, i & 1);
  }
  const { socketPath } = service.lookClient;
  const answer = await sendRequest(socketPath, {
    method: "GET",
    path: `/v1/history?format=vcd&from=${from}`,
  });
  const { signals, edges } = readRecording(
    await Array.fromAsync(answer.body),
  );
  assertEquals(edges.length, signals.length + MANY);
  for (let i = 1; i <= MANY; i++) {
    const at = signals.length + i - 1;
    const isRight = edges.signal(at) === 0 && edges.value(at) === (i & 1) &&
      edges.timeNs(at) >= edges.timeNs(at - 1);
    if (!isRight) throw new Error(`edge ${i} differs`);
  }
  assertEquals(edges.timeNs(signals.length) > 0, true);
});

Deno.test("clients that ask for all and read nothing delay no other", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  {
    using frontend = Frontend.open(service.socket("press"), {
      timeoutMs: 120_000,
    });
    const driver = GpioDriver.attach(frontend);
    driver.setOutput(1, 0, Direction.Output);
    for (let i = 0; i < 40_000; i++) driver.setValue(1, i & 1);
  }
  const before = await residentMb(service.process.pid);
  using stack = new DisposableStack();
  for (let i = 0; i < 40; i++) {
    const path = i % 2 === 0
      ? "/v1/history?limit=1000000"
      : "/v1/events?edges=1";
    const stream = stack.use(
      UnixStream.connect(service.lookClient.socketPath),
    );
    await stream.write(
      new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`),
    );
  }
  await service.client.pull("press", { START: 1 });
  const lines = await service.client.lines();
  assertEquals(lines[0]!.value, 1);
  const grown = await residentMb(service.process.pid) - before;
  assert(grown < 100, `${grown} MB more`);
});

Deno.test("edges of an isolated aggregator are in the service's record, also after its process died", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  await client.createLasting({
    name: "far",
    lines: ["sim/1,as=X"],
    isolate: "process",
  });
  await using heard = listen(service);
  await until("the snapshot", () => heard.events.length > 0);
  const pull = async (level: 0 | 1) => {
    await client.pull("far", { X: level });
    await until(`X=${level}`, () => heard.edges().at(-1)?.value === level);
  };
  await pull(1);
  const { pid } = await client.show("far");
  Deno.kill(pid!, "SIGKILL");
  await until("another process", async () => {
    const { pid: next = 0 } = await client.show("far");
    return next > 0 && next !== pid;
  });
  await until("the line", async () => (await client.lines())[0]?.value === 0);
  await pull(1);
  await pull(0);
  const { edges, lost } = await client.history({ lines: ["far.X"] });
  assertEquals([edges.map(({ value }) => value), lost], [[1, 1, 0], 0]);
});
