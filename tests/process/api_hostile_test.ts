/** Requests that are malformed, too large or half-sent do no harm. */
import { descriptorShares } from "../../ffi/descriptor_budget.ts";
import { assert, assertEquals } from "@std/assert";
import { isOsError } from "../../ffi/os_error.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService } from "../environment/api_service.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, residentMb, settledFdCount } from "./server_usage.ts";

const ANSWER_LIMIT_MS = 120_000;

/** Says `text` at once; what comes back first, or "" when it is closed. */
function ask(socket: string, text: string | Uint8Array): string {
  using fd = connectUnix(socket);
  const bytes = typeof text === "string"
    ? new TextEncoder().encode(text)
    : text;
  try {
    sayAll(fd.fd, bytes);
    if (pollFd(fd.fd, POLLIN, ANSWER_LIMIT_MS) === 0) return "nothing";
    const piece = new Uint8Array(65536);
    const count = receive(fd.fd, piece, []);
    return new TextDecoder().decode(piece.subarray(0, Math.max(0, count)));
  } catch (error) {
    return String(error);
  }
}

/** Says `text` at once; all that comes back until it is closed. */
function askAll(socket: string, text: string): string {
  using fd = connectUnix(socket);
  let answer = "";
  const piece = new Uint8Array(65536);
  try {
    sayAll(fd.fd, new TextEncoder().encode(text));
    while (pollFd(fd.fd, POLLIN, ANSWER_LIMIT_MS) !== 0) {
      const count = receive(fd.fd, piece, []);
      if (count <= 0) break;
      answer += new TextDecoder().decode(piece.subarray(0, count));
    }
  } catch (error) {
    // It did not read all that was said.
    if (!isOsError(error, "ECONNRESET")) throw error;
  }
  return answer;
}

/** The service need not read what it has refused already, nor stay for it. */
function sayAll(fd: number, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) {
      const sent = send(fd, bytes.subarray(at));
      if (sent > 0) at += sent;
      else if (pollFd(fd, POLLIN, 20) !== 0) return;
    }
  } catch (error) {
    // Its answer is there to be read all the same.
    if (!isOsError(error, "EPIPE")) throw error;
  }
}

const POST = "POST /v1/aggregators HTTP/1.1\r\nhost: x\r\n";
const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
const GET_OWN = "GET /v1/aggregators/own HTTP/1.1\r\nhost: x\r\n";
const withBody = (body: string) =>
  `${POST}content-length: ${body.length}\r\n\r\n${body}`;

const DEEP = 100_000;

const REQUESTS: readonly (readonly [string, string, number])[] = [
  [
    "a body of lists in lists",
    withBody(`{"name":"a","lines":${"[".repeat(DEEP)}${"]".repeat(DEEP)}}`),
    400,
  ],
  [
    "a body of objects in objects",
    withBody(`${'{"kernelChip":'.repeat(10_000)}1${"}".repeat(10_000)}`),
    400,
  ],
  [
    "a prototype as a key",
    withBody('{"name":"a","lines":["sim/1"],"__proto__":{"lease":"none"}}'),
    400,
  ],
  [
    "prototypes as keys of its parts",
    withBody(
      '{"name":"a","lines":["sim/1"],"socket":{"__proto__":{"mode":"777"}}}',
    ),
    400,
  ],
  [
    "a constructor as a key",
    withBody('{"name":"a","lines":["sim/1"],"constructor":{"name":"x"}}'),
    400,
  ],
  ["no HTTP", "hello\r\n\r\n", 400],
  ["NUL bytes", "\0".repeat(100) + "\r\n\r\n", 400],
  ["a version that is none", "GET / HTTP/7.7\r\nhost: x\r\n\r\n", 400],
  [
    "a head that never ends",
    `GET / HTTP/1.1\r\nx: ${"a".repeat(100_000)}`,
    400,
  ],
  [
    "thousands of headers",
    `GET / HTTP/1.1\r\n${"a: bbbbbbbb\r\n".repeat(5000)}`,
    400,
  ],
  [
    "two lengths",
    `${POST}content-length: 3\r\ncontent-length: 4\r\n\r\nabc`,
    400,
  ],
  [
    "a length and chunks",
    `${POST}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  ["a negative length", `${POST}content-length: -1\r\n\r\n`, 400],
  [
    "a length beyond the limit, before the body comes",
    `${POST}content-length: 300000\r\n\r\n`,
    413,
  ],
  [
    "a change under a condition",
    `${POST}if-match: "a"\r\ncontent-length: 2\r\n\r\n{}`,
    412,
  ],
  [
    "a change for a web page",
    `${POST}origin: http://x\r\ncontent-length: 2\r\n\r\n{}`,
    403,
  ],
  [
    "an empty parameter",
    "GET /v1/events?aggregator= HTTP/1.1\r\nhost: x\r\n\r\n",
    400,
  ],
  [
    "a body beyond the limit",
    withBody(`{"name":"${"x".repeat(300_000)}"}`),
    413,
  ],
  [
    "chunks beyond the limit",
    `${POST}transfer-encoding: chunked\r\n\r\n` +
    `10000\r\n${"x".repeat(0x10000)}\r\n`.repeat(5) + "0\r\n\r\n",
    413,
  ],
  ["no JSON", withBody("{"), 400],
  ["JSON of the wrong kind", withBody("[]"), 400],
  ["JSON that is deep", withBody("[".repeat(100_000)), 400],
  ["bytes that are no UTF-8", withBody('{"name":"\x80"}'), 400],
  ["__proto__", withBody('{"__proto__":{"name":"x","lines":["sim/1"]}}'), 400],
  ["a path that is none", "GET http:// HTTP/1.1\r\nhost: x\r\n\r\n", 400],
  [
    "a name that is no text",
    "GET /v1/aggregators/%ff HTTP/1.1\r\nhost: x\r\n\r\n",
    400,
  ],
  ["an upgrade", `${GET_OWN}connection: upgrade\r\nupgrade: h2c\r\n\r\n`, 200],
  ["an expectation", `${GET_OWN}expect: cake\r\n\r\n`, 417],
  ["nothing there", "GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n", 404],
  [
    "a method that is none there",
    "PUT /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
    405,
  ],
];

Deno.test("bad requests get their answer, and everybody else is served on", async (t) => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=OUT,direction=output"] },
  });
  using frontend = Frontend.open(service.socket("own"), {
    timeoutMs: 120_000,
  });
  const driver = GpioDriver.attach(frontend);
  await service.client.list();
  const fds = await settledFdCount(service.process.pid);
  let value = 0;
  for (const [what, text, status] of REQUESTS) {
    await t.step(what, () => {
      for (
        const { socketPath } of [service.client, service.lookClient]
      ) {
        const answer = ask(
          socketPath,
          Uint8Array.from(text, (c) => c.charCodeAt(0)),
        );
        const expected = socketPath === service.lookClient.socketPath &&
            text.startsWith("POST") && status !== 400
          ? 403
          : status;
        const got = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
        const isRight = got === expected ||
          // What is no JSON for the one is not even looked at by the other.
          socketPath === service.lookClient.socketPath && got === 403 &&
            text.startsWith("POST");
        assert(isRight, `${socketPath}: ${answer.slice(0, 300)}`);
      }
      value = 1 - value;
      driver.setValue(0, value);
      assertEquals(driver.getValue(0), value);
    });
  }
  const { socketPath } = service.lookClient;
  // Of many there is one answer that may be left unread.
  const refusals = askAll(
    socketPath,
    `${GET_OWN}expect: cake\r\n\r\n`.repeat(100),
  );
  assertEquals(refusals.split("HTTP/1.1 417").length - 1, 1, refusals);
  assertEquals(
    askAll(socketPath, "CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n"),
    "",
  );
  assertEquals((await service.client.list()).length, 1);
  await assertNoMoreFds(service.process.pid, fds);
});

Deno.test("half-sent requests do not delay others, and are dropped in time", async () => {
  await using service = await ApiService.start();
  await service.client.list();
  const fds = await settledFdCount(service.process.pid);
  const halves = [
    "",
    "GET /v1/aggr",
    "GET /v1/aggregators HTTP/1.1\r\nhost:",
    `${POST}content-length: 100\r\n\r\n{"name":`,
    `${POST}transfer-encoding: chunked\r\n\r\n5\r\n{"na`,
  ];
  const held = halves.map((text) => {
    const fd = connectUnix(service.client.socketPath);
    if (text !== "") send(fd.fd, new TextEncoder().encode(text));
    return fd;
  });
  try {
    assertEquals(await service.client.list(), []);
    // One by one they are closed from the other side: the limit is 10 s.
    for (const [i, fd] of held.entries()) {
      assert(pollFd(fd.fd, POLLIN, 15_000) !== 0, `half ${i} is still open`);
    }
  } finally {
    for (const fd of held) fd.close();
  }
  assertEquals(await service.client.list(), []);
  await assertNoMoreFds(service.process.pid, fds);
});

Deno.test("a client that goes in the middle of a body is gone at once", async () => {
  await using service = await ApiService.start();
  await service.client.list();
  const pid = service.process.pid;
  const fds = await settledFdCount(pid);
  // It stays until its time is over: those before it must be gone by then.
  using slow = connectUnix(service.client.socketPath);
  send(slow.fd, new TextEncoder().encode(`${POST}content-length: 9\r\n\r\n{`));
  for (
    const text of [
      `${POST}content-length: 100\r\n\r\n{"name":`,
      `${POST}content-length: 200000\r\n\r\n${"[".repeat(100_000)}`,
      `${POST}transfer-encoding: chunked\r\n\r\n5\r\n{"na`,
      // The next one of a connection, behind one that is answered.
      `${get("/v1/aggregators")}${POST}content-length: 100\r\n\r\n{"name":`,
    ]
  ) {
    for (let i = 0; i < 5; i++) {
      using fd = connectUnix(service.client.socketPath);
      sayAll(fd.fd, new TextEncoder().encode(text));
    }
  }
  // The slow one's is the only one that is left.
  await assertNoMoreFds(pid, fds + 1);
  assertEquals(pollFd(slow.fd, POLLIN, 0), 0, "the slow client lost its place");
});

Deno.test("clients that leave in the middle of a creation leave nothing", async () => {
  await using service = await ApiService.start();
  await service.client.list();
  const fds = await settledFdCount(service.process.pid);
  for (let i = 0; i < 50; i++) {
    using fd = connectUnix(service.client.socketPath);
    send(
      fd.fd,
      new TextEncoder().encode(withBody(`{"name":"n${i}","lines":["sim/1"]}`)),
    );
    // From at once to after the answer.
    await new Promise((resolve) => setTimeout(resolve, i % 10));
  }
  await until(
    "the last aggregator is gone",
    async () => (await service.client.list()).length === 0,
  );
  await assertNoMoreFds(service.process.pid, fds);
});

/** Limit of open files of a small service. */
const OPEN_FILES = 200;

Deno.test("more lookers than a service has fds for take each other's places; guests and makers do not suffer", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/1,as=OUT,direction=output"] },
    openFiles: OPEN_FILES,
  });
  using stack = new DisposableStack();
  const watch = () => {
    const fd = stack.use(connectUnix(service.lookClient.socketPath));
    send(
      fd.fd,
      new TextEncoder().encode("GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n"),
    );
    return fd;
  };
  const hear = ({ fd }: { fd: number }, pattern: RegExp) => {
    const piece = new Uint8Array(65536);
    let text = "";
    while (!pattern.test(text)) {
      assert(pollFd(fd, POLLIN, 120_000) !== 0, text);
      const count = receive(fd, piece, []);
      assert(count > 0, `the end after ${text}`);
      text += new TextDecoder().decode(piece.subarray(0, count));
    }
  };
  // Half of a listener's share is for those that wait to be served.
  const { perApiListener } = descriptorShares(OPEN_FILES);
  const watchers: ReturnType<typeof watch>[] = [];
  while (watchers.length < Math.ceil(perApiListener / 2)) {
    const one = watch();
    hear(one, /event: snapshot\n[^]*\n\n/);
    watchers.push(one);
  }
  await using lease = await service.client.create({
    name: "leased",
    lines: ["sim/1"],
  });
  for (let i = 0; i < 8; i++) {
    hear(watch(), /event: snapshot\n/);
    // The oldest is told why it ends.
    hear(watchers[i]!, /: closed, .*too many connections/);
  }
  using frontend = Frontend.open(service.socket("own"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  driver.setValue(0, 1);
  assertEquals(driver.getValue(0), 1);
  await service.client.createLasting({ name: "made", lines: ["sim/1"] });
  const names = (await service.lookClient.list()).map(({ name }) => name);
  assertEquals(names, ["own", "leased", "made"]);
  assertEquals(lease.state.name, "leased");
});

Deno.test("answers that are never read are not kept for ever", async () => {
  await using service = await ApiService.start();
  const { socketPath } = service.lookClient;
  await service.client.list();
  const fds = await settledFdCount(service.process.pid);
  const get = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
  using slow = connectUnix(socketPath);
  // More than the kernel takes off our hands.
  sayAll(slow.fd, new TextEncoder().encode(get.repeat(16)));
  using greedy = connectUnix(socketPath);
  sayAll(greedy.fd, new TextEncoder().encode(get.repeat(1000)));
  await until(
    "the connections of those who read nothing are closed",
    async () => await settledFdCount(service.process.pid) <= fds,
  );
});

Deno.test("a flood of requests is answered at the service's pace, in little memory", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/64,as=OUT,direction=output"] },
    // What is kept of many requests at once ends the process.
    v8Flags: "--max-semi-space-size=2,--max-old-space-size=48",
  });
  const requests = new TextEncoder().encode(
    "GET /v1/aggregators HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000),
  );
  using stack = new DisposableStack();
  const flood = Array.from({ length: 64 }, () => ({
    fd: stack.use(connectUnix(service.lookClient.socketPath)),
    unsent: requests,
    bytesRead: 0,
  }));
  using frontend = Frontend.open(service.socket("own"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  const piece = new Uint8Array(65536);
  const hasEach = () =>
    flood.every(({ bytesRead }) => bytesRead > piece.length);
  for (let round = 0; round < 1000 || !hasEach(); round++) {
    assert(round < 100_000, "not all of them are answered");
    for (const one of flood) {
      const sent = send(one.fd.fd, one.unsent);
      // What was sent is followed by the same: the kernel takes what it can.
      if (sent > 0) one.unsent = one.unsent.subarray(sent);
      if (one.unsent.length === 0) one.unsent = requests;
      one.bytesRead += Math.max(0, receive(one.fd.fd, piece, []));
    }
    if (round % 100 !== 0) continue;
    driver.setValue(0, round / 100 & 1);
    assertEquals(driver.getValue(0), round / 100 & 1);
    assertEquals((await service.client.list()).length, 1);
  }
});

Deno.test("requests behind a stream are thrown away, whatever they are", async () => {
  await using service = await ApiService.start({
    v8Flags: "--max-semi-space-size=2",
  });
  const { pid } = service.process;
  using client = connectUnix(service.lookClient.socketPath);
  const head = "HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n";
  const say = async (text: string) => {
    sayAll(client.fd, new TextEncoder().encode(text));
    // It is read before there is more.
    await new Promise((resolve) => setTimeout(resolve));
  };
  await say(`GET /v1/events ${head}`);
  // Each ends with a head, so that the last request is never whole.
  for (let i = 0; i < 200; i++) await say(`xPOST / ${head}`);
  const before = residentMb(pid);
  for (let i = 0; i < 2000; i++) await say(`xPOST / ${head}`);
  const grown = residentMb(pid) - before;
  assert(grown < 5, `${grown} MB for 2000 requests`);
  assertEquals(await service.client.list(), []);
});
