import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isOsError } from "../../ffi/os_error.ts";
import { listenUnix } from "../../ffi/unix_socket.ts";
import {
  aggregatorState,
  CannedService,
} from "../../tests/doubles/canned_service.ts";
import { UnixStream } from "../../tests/environment/unix_stream.ts";
import { PAGE_FILES } from "./files.ts";
import { Gate } from "./gate.ts";
import { WebServer } from "./web_server.ts";

const TOKEN = "0123456789abcdef";
const HOST = "host: localhost:9464\r\n";
const BEARER = `authorization: Bearer ${TOKEN}\r\n`;

/** A server at a unix socket: what it serves does not depend on the kind. */
class Rig implements Disposable {
  readonly service: CannedService;
  readonly #directory = Deno.makeTempDirSync({ prefix: "gpioagg-web-" });
  readonly #server: WebServer;

  constructor(change?: string, staysOpen = false) {
    const look = `${this.#directory}/look`;
    this.service = new CannedService(
      look,
      [aggregatorState("press")],
      [{ event: "snapshot", aggregators: [] }],
      { staysOpen },
    );
    this.#server = new WebServer(
      listenUnix(`${this.#directory}/web`, { backlog: 128 }),
      new Gate(TOKEN),
      { look, change },
      // However slow this machine is.
      120_000,
    );
  }

  connect(): UnixStream {
    return UnixStream.connect(`${this.#directory}/web`);
  }

  /** Sends a request and returns the whole answer. */
  async ask(request: string, body = ""): Promise<string> {
    using stream = this.connect();
    await stream.write(
      new TextEncoder().encode(
        `${request}connection: close\r\ncontent-length: ${body.length}` +
          `\r\n\r\n${body}`,
      ),
    );
    let text = "";
    for (;;) {
      const piece = await stream.read();
      if (piece === null) return text;
      text += new TextDecoder().decode(piece);
    }
  }

  [Symbol.dispose](): void {
    this.#server[Symbol.dispose]();
    this.service[Symbol.dispose]();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

const parseStatus = (answer: string) => Number(answer.split(" ")[1]);

Deno.test("the page's files are served to browsers of this host, small and safe", async () => {
  using rig = new Rig();
  let size = 0;
  for (const [path, { type, text }] of PAGE_FILES) {
    const answer = await rig.ask(`GET ${path} HTTP/1.1\r\n${HOST}`);
    assertEquals(parseStatus(answer), 200);
    assertStringIncludes(answer, `content-type: ${type}`);
    assertStringIncludes(answer, "default-src 'none'");
    assertStringIncludes(answer, "frame-ancestors 'none'");
    size += text.length;
    // Nothing is loaded from elsewhere, and nothing needs an exception.
    assertEquals(/https?:\/\/|\bon\w+="|style="|javascript:/.test(text), false);
  }
  assert(size < 100_000, String(size));
  assertEquals(rig.service.asked, []);
});

Deno.test("the service's answers need the token, and are passed on as they are", async () => {
  using rig = new Rig();
  const path = "/v1/aggregators/press";
  const refused = await rig.ask(`GET ${path} HTTP/1.1\r\n${HOST}`);
  assertEquals(parseStatus(refused), 401);
  assertEquals(rig.service.asked, []);
  const answer = await rig.ask(`GET ${path} HTTP/1.1\r\n${HOST}${BEARER}`);
  assertEquals(parseStatus(answer), 200);
  assertStringIncludes(answer, '"name":"press"');
  assertStringIncludes(answer, "content-type: application/json");
  assertEquals(rig.service.asked, [path]);
});

Deno.test("a token becomes a cookie, which is as good", async () => {
  using rig = new Rig();
  const login = (token: string, more = "") =>
    rig.ask(`POST /session HTTP/1.1\r\n${HOST}${more}`, token);
  assertEquals(parseStatus(await login("wrong")), 403);
  assertEquals(parseStatus(await login("x".repeat(100_000))), 403);
  const foreign = await login(TOKEN, "origin: http://evil.example\r\n");
  assertEquals(parseStatus(foreign), 403);
  const answer = await login(TOKEN);
  assertEquals(parseStatus(answer), 204);
  const cookie = /set-cookie: ([^;]+);/i.exec(answer)![1];
  const read = await rig.ask(
    `GET /v1/aggregators HTTP/1.1\r\n${HOST}cookie: ${cookie}\r\n`,
  );
  assertEquals(parseStatus(read), 200);
});

Deno.test("other hosts, origins, methods and paths are refused", async () => {
  using rig = new Rig();
  for (
    const [request, status] of [
      ["GET / HTTP/1.1\r\nhost: evil.example\r\n", 421],
      [`GET / HTTP/1.1\r\n${HOST}host: evil.example\r\n`, 400],
      [`GET /v1/aggregators HTTP/1.1\r\nhost: evil\r\n${BEARER}`, 421],
      [`GET / HTTP/1.1\r\n${HOST}origin: http://evil.example\r\n`, 403],
      [
        `GET /v1/events HTTP/1.1\r\n${HOST}${BEARER}sec-fetch-site: cross-site\r\n`,
        403,
      ],
      [`POST / HTTP/1.1\r\n${HOST}${BEARER}`, 405],
      [`GET /session HTTP/1.1\r\n${HOST}`, 405],
      [`GET /../etc/passwd HTTP/1.1\r\n${HOST}${BEARER}`, 404],
      [`POST /v1/aggregators HTTP/1.1\r\n${HOST}${BEARER}`, 404],
      [`DELETE /v1/aggregators/press HTTP/1.1\r\n${HOST}${BEARER}`, 404],
      [`PATCH /v1/aggregators/press HTTP/1.1\r\n${HOST}${BEARER}`, 404],
      // A read-only page.
      [`PATCH /v1/aggregators/press/lines HTTP/1.1\r\n${HOST}${BEARER}`, 403],
    ] as const
  ) assertEquals(parseStatus(await rig.ask(request)), status, request);
  assertEquals(rig.service.asked, []);
  assertEquals(parseStatus(await rig.ask("NONSENSE\r\n")), 400);
});

Deno.test("a service that is gone is an answer, not the end", async () => {
  using rig = new Rig("/nonexistent/api.sock");
  const patch =
    `PATCH /v1/aggregators/press/lines HTTP/1.1\r\n${HOST}${BEARER}`;
  assertEquals(parseStatus(await rig.ask(patch, "{}")), 415);
  const json = "content-type: application/json\r\n";
  assertEquals(parseStatus(await rig.ask(patch + json, "{}")), 502);
  const long = await rig.ask(patch + json, "x".repeat(70_000));
  assertEquals(parseStatus(long), 413);
  rig.service[Symbol.dispose]();
  const answer = await rig.ask(
    `GET /v1/aggregators HTTP/1.1\r\n${HOST}${BEARER}`,
  );
  assertEquals(parseStatus(answer), 502);
  const page = await rig.ask(`GET / HTTP/1.1\r\n${HOST}`);
  assertEquals(parseStatus(page), 200);
});

/** Asks on an open connection, which stays open. */
async function isServed(stream: UnixStream): Promise<boolean> {
  await stream.write(
    new TextEncoder().encode(
      `GET /v1/aggregators HTTP/1.1\r\n${HOST}${BEARER}\r\n`,
    ),
  );
  let text = "";
  while (!text.includes("press")) {
    const piece = await stream.read();
    if (piece === null) return false;
    text += new TextDecoder().decode(piece);
  }
  return true;
}

/** Waits for the end of a connection; false if something else comes. */
async function isEnded(stream: UnixStream): Promise<boolean> {
  try {
    return await stream.read() === null;
  } catch (error) {
    // What it sent was not read.
    if (isOsError(error, "ECONNRESET")) return true;
    throw error;
  }
}

Deno.test("connections that say nothing do not keep others out for good", async () => {
  using rig = new Rig(undefined, true);
  const idle = Array.from({ length: 64 }, () => rig.connect());
  const [oldest, next, youngest] = [idle[0]!, idle[1]!, idle[63]!];
  try {
    // As many as there are places have one each.
    assert(await isServed(youngest));
    assert(await isServed(oldest));
    const answer = await rig.ask(`GET / HTTP/1.1\r\n${HOST}`);
    assertEquals(parseStatus(answer), 200);
    // The oldest without the token has given up its place, the others have not.
    assert(await isEnded(next));
    assert(await isServed(oldest));
    assert(await isServed(idle[62]!));
  } finally {
    for (const stream of idle) stream[Symbol.dispose]();
  }
  // Events go through while they come, and end with their reader.
  using stream = rig.connect();
  await stream.write(
    new TextEncoder().encode(`GET /v1/events HTTP/1.1\r\n${HOST}${BEARER}\r\n`),
  );
  let text = "";
  while (!text.includes("snapshot")) {
    text += new TextDecoder().decode(await stream.read() ?? undefined);
  }
});

Deno.test("requests without the token do not keep others out, however long they take", async () => {
  using rig = new Rig(undefined, true);
  using browser = rig.connect();
  assert(await isServed(browser));
  const login = `POST /session HTTP/1.1\r\n${HOST}content-length: 2\r\n\r\n`;
  const strangers = Array.from({ length: 63 }, () => rig.connect());
  try {
    for (const stream of strangers) {
      await stream.write(new TextEncoder().encode(login));
    }
    const request = `GET /v1/aggregators HTTP/1.1\r\n${HOST}${BEARER}`;
    assertEquals(parseStatus(await rig.ask(request)), 200);
    // One of them gave up its place, the others wait on, and the browser too.
    assert(await isEnded(strangers[0]!));
    assert(await isServed(browser));
    await strangers[62]!.write(new TextEncoder().encode("no"));
    const refused = new TextDecoder().decode(
      await strangers[62]!.read() ?? undefined,
    );
    assertEquals(parseStatus(refused), 403);
  } finally {
    for (const stream of strangers) stream[Symbol.dispose]();
  }
});

Deno.test("a request waits as bytes until the one before it was answered", async () => {
  using rig = new Rig(undefined, true);
  using stream = rig.connect();
  const request = (path: string) =>
    `GET ${path} HTTP/1.1\r\n${HOST}${BEARER}\r\n`;
  await stream.write(
    new TextEncoder().encode(
      request("/v1/aggregators") + request("/v1/events") +
        request("/v1/lines").repeat(100),
    ),
  );
  let text = "";
  while (!text.includes("snapshot")) {
    text += new TextDecoder().decode(await stream.read() ?? undefined);
  }
  // Others are served meanwhile; the stream has no end.
  const other = await rig.ask(`GET / HTTP/1.1\r\n${HOST}`);
  assertEquals(parseStatus(other), 200);
  assertEquals(rig.service.asked, ["/v1/aggregators", "/v1/events"]);
});

Deno.test("an expectation that is refused ends its connection; upgrades are ignored", async () => {
  using rig = new Rig();
  for (
    const [head, status, answers] of [
      ["expect: cake\r\n", 417, 1],
      ["expect: 100-continue\r\n", 200, 100],
      ["connection: upgrade\r\nupgrade: websocket\r\n", 200, 100],
    ] as const
  ) {
    using stream = rig.connect();
    const request = `GET / HTTP/1.1\r\n${HOST}${head}`;
    await stream.write(
      new TextEncoder().encode(
        `${request}\r\n`.repeat(99) + `${request}connection: close\r\n\r\n`,
      ),
    );
    let text = "";
    for (;;) {
      const piece = await stream.read();
      if (piece === null) break;
      text += new TextDecoder().decode(piece);
    }
    assertEquals(text.split(`HTTP/1.1 ${status}`).length - 1, answers, head);
  }
});

Deno.test("a client that says no more hears all of its answers, and the end", async () => {
  const look = `GET /v1/aggregators/press HTTP/1.1\r\n${HOST}${BEARER}\r\n`;
  const page = `GET / HTTP/1.1\r\n${HOST}\r\n`;
  const login = `POST /session HTTP/1.1\r\n${HOST}` +
    `content-length: ${TOKEN.length}\r\n\r\n${TOKEN}`;
  for (
    const [statuses, ...requests] of [
      [[200], page],
      [[200], look],
      [[204], login],
      [[401], `GET /v1/aggregators HTTP/1.1\r\n${HOST}\r\n`],
      [[200, 204, 200], look, login, page],
    ] as const
  ) {
    using rig = new Rig();
    using stream = rig.connect();
    await stream.write(new TextEncoder().encode(requests.join("")));
    stream.endWrites();
    let text = "";
    for (;;) {
      const piece = await stream.read();
      if (piece === null) break;
      text += new TextDecoder().decode(piece);
    }
    const answers = [...text.matchAll(/HTTP\/1\.1 (\d+) /g)]
      .map(([, status]) => Number(status));
    assertEquals(answers, statuses, text);
    if (requests.at(-1) !== page) continue;
    assertStringIncludes(text, PAGE_FILES.get("/")!.text);
  }
});

Deno.test("a stream of events ends with its client", async () => {
  using rig = new Rig(undefined, true);
  using stream = rig.connect();
  await stream.write(
    new TextEncoder().encode(
      `GET /v1/events HTTP/1.1\r\n${HOST}${BEARER}\r\n`,
    ),
  );
  let text = "";
  while (!text.includes("snapshot")) {
    text += new TextDecoder().decode((await stream.read())!);
  }
  // As far as the server can tell, it is gone.
  stream.endWrites();
  while (await stream.read() !== null) { /* the rest */ }
});
