/** Returns true if a process runs: one that waits to be reaped does not. */
import { assert, assertEquals } from "@std/assert";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { ApiService } from "../environment/api_service.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";

const ANSWER_LIMIT_MS = 10_000;

const get = (path: string, headers = "") =>
  `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;
const post = (body: unknown) => {
  const text = JSON.stringify(body);
  return "POST /v1/aggregators HTTP/1.1\r\nhost: x\r\n" +
    `content-length: ${text.length}\r\n\r\n${text}`;
};

/** A connection that is spoken to by hand. */
class Connection implements Disposable {
  readonly #fd: OwnedFd;
  readonly #piece = new Uint8Array(65536);
  #text = "";

  constructor(socketPath: string) {
    this.#fd = connectUnix(socketPath);
  }

  say(text: string): void {
    send(this.#fd.fd, new TextEncoder().encode(text));
  }

  /** Reads until `pattern` is there, and takes all up to its end. */
  hear(pattern: RegExp): string {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match !== null) {
        const end = match.index + match[0].length;
        const heard = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return heard;
      }
      assert(this.#read(), `closed after: ${this.#text}`);
    }
  }

  /** Reads until the other side closes; what came until then. */
  hearAll(): string {
    while (this.#read());
    return this.#text;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }

  #read(): boolean {
    const isReady = pollFd(this.#fd.fd, POLLIN, 2 * ANSWER_LIMIT_MS) !== 0;
    assert(isReady, `nothing more after: ${this.#text}`);
    const count = receive(this.#fd.fd, this.#piece, []);
    if (count <= 0) return false;
    this.#text += new TextDecoder().decode(this.#piece.subarray(0, count));
    return true;
  }
}

Deno.test("streams and leases outlast the time that a request may take, however they began", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=IN"] },
  });
  const socket = service.client.socketPath;
  using stack = new DisposableStack();
  const open = () => stack.use(new Connection(socket));

  const streams = [open(), open(), open(), open()] as const;
  const [plain, withBody, pipelined, kept] = streams;
  plain.say(get("/v1/events"));
  withBody.say(get("/v1/events", "content-length: 3\r\n") + "abc");
  pipelined.say(get("/v1/aggregators") + get("/v1/events"));
  kept.say(get("/v1/aggregators"));
  kept.hear(/"aggregators":.*\}\]\}/);
  kept.say(get("/v1/events"));
  for (const stream of streams) stream.hear(/event: snapshot\n/);

  const leases = [open(), open()] as const;
  leases[0].say(post({ name: "first", lines: ["sim/1"] }));
  leases[1].say(
    get("/metrics") + post({ name: "pipelined", lines: ["sim/1"] }),
  );
  for (const lease of leases) lease.hear(/\{"aggregator":\{.*\}\n/);

  // When this one's time is over, so would be theirs.
  const half = open();
  half.say("GET /v1/aggr");
  assertEquals(half.hearAll(), "");

  await service.client.pull("own", { IN: 1 });
  for (const stream of streams) {
    stream.hear(/event: lines\ndata: .*"name":"IN".*"value":1/);
  }
  const names = (await service.client.list()).map(({ name }) => name);
  // The leases were asked for at the same time.
  assertEquals(names.sort(), ["first", "own", "pipelined"]);
});

Deno.test("a stream whose request was never sent whole is let go", async () => {
  await using service = await ApiService.start();
  using client = new Connection(service.client.socketPath);
  client.say(get("/v1/events", "content-length: 4\r\n") + "abc");
  client.hear(/event: snapshot\n/);
  client.hearAll();
});

Deno.test("a connection that is said to be kept is kept, also after a refusal", async () => {
  await using service = await ApiService.start();
  using client = new Connection(service.client.socketPath);
  for (const path of ["/v1/aggregators", "/v1/aggregators/none", "/metrics"]) {
    client.say(get(path));
    const head = client.hear(/\r\n\r\n/);
    assert(/connection: keep-alive/i.test(head), head);
  }
});

Deno.test("one connection makes many aggregators, and leaves nothing of each behind", async () => {
  await using service = await ApiService.start();
  using client = new Connection(service.client.socketPath);
  for (let i = 0; i < 20; i++) {
    client.say(post({ name: `n${i}`, lines: ["sim/1"], lease: "none" }));
    client.hear(/ 201 Created\r\n[^]*"lines":\[.*\]\}/);
    client.say(post({ name: "no lines" }));
    client.hear(/ 400 Bad Request\r\n[^]*"error":\{.*\}\}/);
  }
  assertEquals((await service.client.list()).length, 20);
  // Such as node:http's warning of too many listeners.
  assertEquals(service.process.stderr, "");
});

Deno.test("what can be got has a head", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1"] },
  });
  const heads: readonly (readonly [string, number, string])[] = [
    ["/v1/aggregators", 200, "application/json"],
    ["/v1/aggregators/own/lines", 200, "application/json"],
    ["/v1/aggregators/none", 404, "application/json"],
    ["/v1/events", 200, "text/event-stream"],
    ["/metrics", 200, "text/plain"],
    ["/openapi.json", 200, "application/json"],
    ["/v1/reload", 405, "application/json"],
  ];
  for (const { socketPath } of [service.client, service.lookClient]) {
    for (const [path, status, type] of heads) {
      using client = new Connection(socketPath);
      client.say(
        `HEAD ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      );
      const answer = client.hearAll();
      assert(answer.startsWith(`HTTP/1.1 ${status} `), answer);
      assert(answer.includes(`content-type: ${type}`), answer);
      assert(answer.endsWith("\r\n\r\n"), answer);
    }
  }
  assertEquals(
    (await service.client.metrics()).match(/_listeners 0\n/)?.[0].trim(),
    "_listeners 0",
  );
});

Deno.test("a request without a host is told what it lacks; HTTP/1.0 needs none", async () => {
  await using service = await ApiService.start();
  const ask = (text: string) => {
    using client = new Connection(service.client.socketPath);
    client.say(text);
    return client.hearAll();
  };
  const refused = ask("GET /v1/aggregators HTTP/1.1\r\n\r\n");
  assert(refused.startsWith("HTTP/1.1 400 "), refused);
  assert(refused.includes("names a host"), refused);
  const both = ask(
    "GET /v1/aggregators HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
  );
  assert(both.startsWith("HTTP/1.1 400 "), both);
  assert(both.includes("names one host"), both);
  const old = ask("GET /v1/aggregators HTTP/1.0\r\n\r\n");
  assert(old.startsWith("HTTP/1.1 200 "), old);
  assert(old.endsWith('{"aggregators":[]}'), old);
});

Deno.test("requests that come all at once are answered one after the other", async () => {
  await using service = await ApiService.start();
  using client = new Connection(service.client.socketPath);
  const count = 300;
  const requests = Array.from(
    { length: count },
    (_, i) => get(`/v1/aggregators/n${i}`),
  );
  client.say([
    ...requests,
    post({ name: "last", lines: ["sim/1"], lease: "none" }),
    get("/v1/aggregators/last", "connection: close\r\n"),
  ].join(""));
  for (let i = 0; i < count; i++) {
    client.hear(new RegExp(` 404 [^]*There is no aggregator \\\\"n${i}\\\\"`));
  }
  assert(client.hearAll().endsWith('"value":0}]}'));
});

Deno.test("listeners that leave before they are answered are listeners no more", async () => {
  await using service = await ApiService.start();
  for (let i = 0; i < 200; i++) {
    using client = new Connection(service.lookClient.socketPath);
    client.say(get("/v1/events"));
  }
  await until(
    "no listener is left",
    async () =>
      /_listeners 0\n/.test(await service.client.metrics()) &&
      (await service.client.list()).length === 0,
  );
});

/** Says `text`, shuts its side of the connection down, and hears the rest. */
async function sayAndShut(socketPath: string, text: string): Promise<string> {
  const { stdout } = await new Deno.Command("perl", {
    args: [
      "-MSocket",
      "-e",
      "socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ARGV[0]))" +
      " or die; syswrite(S, $ARGV[1]); shutdown(S, 1); print while <S>",
      socketPath,
      text,
    ],
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("who says no more still hears the answer; a lease ends with what is said", async () => {
  await using service = await ApiService.start();
  const { socketPath } = service.client;
  const making = (name: string, lease: object) =>
    post({ name, lines: ["sim/1"], ...lease });
  for (let i = 0; i < 10; i++) {
    const listed = await sayAndShut(socketPath, get("/v1/aggregators"));
    assert(listed.startsWith("HTTP/1.1 200 "), listed);
    const made = await sayAndShut(
      socketPath,
      making(`n${i}`, { lease: "none" }),
    );
    assert(made.startsWith("HTTP/1.1 201 "), made);
  }
  const leased = await sayAndShut(socketPath, making("leased", {}));
  assert(leased.includes('{"ended":"its lease is over"}'), leased);
  assertEquals((await service.client.list()).length, 10);
});

Deno.test("a stream ends with its client, whatever that one said beyond it", async () => {
  await using service = await ApiService.start();
  const { client } = service;
  const requests = get("/metrics");
  for (const more of ["", "\r\n", requests, requests.repeat(2000)]) {
    using leased = new Connection(client.socketPath);
    using listening = new Connection(client.socketPath);
    leased.say(post({ name: "leased", lines: ["sim/1"] }) + more);
    leased.hear(/\{"aggregator":\{.*\}\n/);
    listening.say(get("/v1/events") + more);
    listening.hear(/event: snapshot\n/);
    assertEquals((await client.list()).length, 1);
    leased[Symbol.dispose]();
    listening[Symbol.dispose]();
    await until(
      "both are gone",
      async () =>
        (await client.list()).length === 0 &&
        /_listeners 0\n/.test(await client.metrics()),
    );
  }
});

Deno.test("listeners that read and leave are listeners no more", async () => {
  await using service = await ApiService.start();
  const { client, process: { pid } } = service;
  await client.list();
  const fds = await settledFdCount(pid);
  const listeners = Array.from(
    { length: 50 },
    () => new Connection(client.socketPath),
  );
  for (const listener of listeners) listener.say(get("/v1/events"));
  for (const listener of listeners) listener.hear(/event: snapshot\n[^]*\n\n/);
  for (const listener of listeners) listener[Symbol.dispose]();
  await until(
    "no listener is left",
    async () => /_listeners 0\n/.test(await client.metrics()),
  );
  await assertNoMoreFds(pid, fds);
});
