/** Services that are slow, or say nothing at all. */
import settings from "../../deno.json" with { type: "json" };
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { sleep } from "../async/wait.ts";
import {
  type LeasedAggregator,
  ServiceClient,
  ServiceError,
} from "./client.ts";

/** Shorter than anybody's patience, longer than any answer here takes. */
const LIMIT_MS = 300;
/** The same where an answer comes before it. */
const LEASE_LIMIT_MS = 3000;
/** For what is answered. */
const LONG_MS = 60_000;

const STATE = {
  name: "plc0",
  lease: "stream",
  presentation: "at /run/plc0.sock",
  connected: false,
  servedSince: 1,
  lines: [],
};

/** A socket that is listened at, where answers come when the test says so. */
class SilentService implements Disposable {
  readonly #directory = Deno.makeTempDirSync({ prefix: "gpioagg-client-" });
  readonly path = `${this.#directory}/api.sock`;
  readonly #listener: OwnedFd;
  readonly #connections: OwnedFd[] = [];

  constructor(backlog: number) {
    this.#listener = listenUnix(this.path, { backlog });
  }

  /** Has so many call that no more can wait. */
  crowd(): void {
    for (;;) {
      try {
        this.#connections.push(connectUnix(this.path, { wait: false }));
      } catch (error) {
        if (isOsError(error, "EAGAIN")) return;
        throw error;
      }
    }
  }

  /** Accepts waiting clients, and gives each the same answer; false if none. */
  answer(text: string): boolean {
    for (let count = 0;; count++) {
      const connection = acceptUnix(this.#listener.fd);
      if (connection === undefined) return count > 0;
      this.#connections.push(connection);
      if (text === "") continue;
      try {
        send(connection.fd, new TextEncoder().encode(text));
      } catch (error) {
        // Its client's limit has passed meanwhile.
        if (!isOsError(error, "EPIPE")) throw error;
      }
    }
  }

  /** Answers the client that came last. */
  say(text: string): void {
    send(this.#connections.at(-1)!.fd, new TextEncoder().encode(text));
  }

  /** Answers every client that comes, until the test is over. */
  keepAnswering(text: string): Disposable {
    const timer = setInterval(() => this.answer(text), 1);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** Ends all connections, as a restart does. */
  hangUp(): void {
    for (const fd of this.#connections.splice(0)) fd.close();
  }

  /** Is there no more. */
  close(): void {
    this.hangUp();
    this.#listener.close();
  }

  [Symbol.dispose](): void {
    this.close();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

const http = (head: string, body: string) =>
  `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`;
const json = (value: unknown) => {
  const text = JSON.stringify(value);
  return http(`content-length: ${text.length}`, text);
};

/** Counts turns of the event loop while something is waited for. */
async function turnsDuring(action: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  try {
    await action();
  } finally {
    clearInterval(timer);
  }
  return turns;
}

Deno.test("ServiceClient gives up on a service that takes calls and does not answer", async () => {
  using service = new SilentService(16);
  const client = new ServiceClient(service.path, { limitMs: LIMIT_MS });
  for (
    const ask of [
      () => client.list(),
      () => client.show("plc0"),
      () => client.remove("plc0"),
      () => client.metrics(),
      () => client.create({ name: "plc0", lines: ["sim/1"] }),
      () => client.events().next(),
    ]
  ) {
    const error = await assertRejects(
      ask,
      Error,
      `No answer came from ${service.path} within 0.3 s`,
    );
    assertEquals(error.name, "TimeoutError");
  }
});

Deno.test("ServiceClient gives up on an answer that stops in the middle", async () => {
  using service = new SilentService(16);
  const client = new ServiceClient(service.path, { limitMs: LIMIT_MS });
  for (
    const [ask, begun] of [
      [() => client.list(), http("content-length: 100", '{"aggr')],
      [() => client.metrics(), http("content-length: 100", "a")],
      [
        () => client.create({ name: "plc0", lines: ["sim/1"] }),
        http("content-length: 100", ""),
      ],
    ] as const
  ) {
    const asked = ask();
    const refused = assertRejects(() => asked, Error, "No answer came");
    // It has called by now: that does not wait.
    service.answer(begun);
    await refused;
  }
});

Deno.test("ServiceClient leaves its program running while too many call", async () => {
  using service = new SilentService(0);
  service.crowd();
  const client = new ServiceClient(service.path, { limitMs: LIMIT_MS });
  const turns = await turnsDuring(() =>
    assertRejects(() => client.list(), Error, "No answer came")
  );
  assert(turns > 1);
});

Deno.test("ServiceClient is served once there is room for its call", async () => {
  using service = new SilentService(0);
  service.crowd();
  const client = new ServiceClient(service.path, { limitMs: LONG_MS });
  const timer = setInterval(() => service.answer(json({ aggregators: [] })), 1);
  try {
    assertEquals(await client.list(), []);
  } finally {
    clearInterval(timer);
  }
});

Deno.test("a lease's stream has no limit once it has begun; giving it up has one", async () => {
  using service = new SilentService(16);
  const client = new ServiceClient(service.path, { limitMs: LEASE_LIMIT_MS });
  const creation = client.create({ name: "plc0", lines: ["sim/1"] });
  service.answer(
    http("content-length: 10000", `${JSON.stringify({ aggregator: STATE })}\n`),
  );
  const lease = await creation;
  // Later than the creation's limit, whatever it began with.
  await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_LIMIT_MS));
  let hasEnded = false;
  void lease.ended.then(() => hasEnded = true);
  await Promise.resolve();
  assert(!hasEnded);
  await assertRejects(
    () => lease[Symbol.asyncDispose](),
    Error,
    "Cannot tell whether plc0 is gone. No answer came from",
  );
});

Deno.test("a lease that is given up is waited for, for as long as its limit says", async () => {
  using service = new SilentService(16);
  const client = new ServiceClient(service.path, { limitMs: LEASE_LIMIT_MS });
  const creation = client.create({ name: "plc0", lines: ["sim/1"] });
  service.answer(
    http("content-length: 10000", `${JSON.stringify({ aggregator: STATE })}\n`),
  );
  const lease = await creation;
  const timer = setInterval(() => service.answer(json(STATE)), 10);
  try {
    await assertRejects(
      () => lease[Symbol.asyncDispose](),
      Error,
      "plc0 is still served",
    );
  } finally {
    clearInterval(timer);
  }
});

/** A lease that may be taken back after a restart. */
async function restartableLease(
  service: SilentService,
): Promise<LeasedAggregator> {
  const client = new ServiceClient(service.path, { limitMs: LONG_MS });
  const creation = client.create({ name: "plc0", lines: ["sim/1"] });
  const first = JSON.stringify({ aggregator: STATE, token: "secret" });
  service.answer(http("content-length: 10000", `${first}\n`));
  return await creation;
}

Deno.test("a lease is taken back after a restart, whatever it takes until then", async () => {
  using service = new SilentService(16);
  const lease = await restartableLease(service);
  let hasEnded = false;
  void lease.ended.then(() => hasEnded = true);
  service.hangUp();
  const refusal = JSON.stringify({ error: { message: "The service ends" } });
  const busy = `HTTP/1.1 503 Busy\r\ncontent-length: ${refusal.length}\r\n\r\n`;
  for (const text of ["", "SSH-2.0", busy + refusal]) {
    using _answers = service.keepAnswering(text);
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      service.hangUp();
    }
  }
  assert(!hasEnded);
  const taken = `${JSON.stringify({ aggregator: STATE })}\n`;
  const ended = `${taken}{"ended":"by hand"}\n`;
  using _answers = service.keepAnswering(
    http(`content-length: ${ended.length}`, ended),
  );
  assertEquals(await lease.ended, "by hand");
});

Deno.test("a lease that is refused after a restart has ended, with the reason", async () => {
  using service = new SilentService(16);
  const lease = await restartableLease(service);
  service.hangUp();
  const refusal = JSON.stringify({ error: { message: "It is over" } });
  const head = `HTTP/1.1 409 Gone\r\ncontent-length: ${refusal.length}\r\n\r\n`;
  using _answers = service.keepAnswering(head + refusal);
  assertEquals(await lease.ended, "it did not outlive a restart: It is over");
});

Deno.test("a lease that is given up during a restart is ended once the service is back", async () => {
  using service = new SilentService(16);
  const lease = await restartableLease(service);
  service.hangUp();
  // It has noticed, and tries.
  while (!service.answer("")) await sleep(1);
  const gone = lease[Symbol.asyncDispose]();
  const other = { ...STATE, servedSince: 2 };
  const taken = `${JSON.stringify({ aggregator: other })}\n`;
  service.say(http("content-length: 10000", taken));
  assertEquals(await lease.ended, "the connection is closed");
  let isGone = false;
  void gone.then(() => isGone = true);
  // It is still there, and its end is waited for.
  for (let looks = 0; looks < 3;) {
    await sleep(1);
    if (service.answer(json(other))) looks++;
  }
  assert(!isGone);
  service.close();
  await gone;
});

Deno.test("ServiceClient asks for no name that is a directory in a URL", async () => {
  // No service is asked: there is none.
  const client = new ServiceClient("/nowhere/api.sock");
  for (const name of ["", ".", ".."]) {
    for (
      const ask of [
        () => client.show(name),
        () => client.remove(name),
        () => client.pull(name, {}),
      ]
    ) {
      const error = await assertRejects(
        ask,
        ServiceError,
        `There is no aggregator "${name}"`,
      );
      assertEquals(error.status, 404);
    }
  }
});

/** Answers of other programs that speak HTTP. */
const STRANGE_ANSWERS = {
  "a page": http("content-length: 4", "<p/>"),
  "another object": json({ message: "x" }),
  "null": json(null),
  "another error": json({ message: "x" }).replace("200 OK", "404 Not Found"),
  "nothing": http("content-length: 0", ""),
};

for (const [name, answer] of Object.entries(STRANGE_ANSWERS)) {
  Deno.test(`ServiceClient takes ${name} for no service's answer`, async () => {
    using service = new SilentService(16);
    const client = new ServiceClient(service.path, { limitMs: LONG_MS });
    const timer = setInterval(() => service.answer(answer), 1);
    const request = { name: "a", lines: ["sim/1"] };
    try {
      for (
        const call of [
          () => client.list(),
          () => client.show("a"),
          () => client.remove("a"),
          () => client.reload(),
          () => client.pull("a", { A: 1 }),
          () => client.create(request),
          () => client.createLasting(request),
          () => client.events().next(),
        ]
      ) {
        await assertRejects(call, Error, "answers as a control API does");
      }
    } finally {
      clearInterval(timer);
    }
  });
}

/** The same keys as a service's answers, and what is wrong with them. */
const UNFITTING_ANSWERS: readonly (readonly [unknown, string])[] = [
  [{ ...STATE, lines: [{ lineNumber: 0 }] }, "lines[0].name is missing"],
  [{ ...STATE, presentation: undefined }, "presentation is missing"],
  [{ ...STATE, kernelChip: null }, "kernelChip must be an object, not null"],
  [
    {
      ...STATE,
      lines: [{
        lineNumber: 0,
        name: "",
        source: "sim",
        direction: "input",
        pendingRule: {},
      }],
    },
    "lines[0].pendingRule.rule is missing",
  ],
];

Deno.test("ServiceClient names what does not fit in an answer, and the version", async () => {
  using service = new SilentService(16);
  const client = new ServiceClient(service.path, { limitMs: LONG_MS });
  const request = { name: "a", lines: ["sim/1"] };
  const refuses = async (
    call: () => Promise<unknown>,
    answer: string,
    says: string,
  ) => {
    const timer = setInterval(() => service.answer(answer), 1);
    try {
      const { message } = await assertRejects(call, Error);
      assertStringIncludes(message, says);
      assertStringIncludes(message, `version than ${settings.version}`);
      assertStringIncludes(message, service.path);
    } finally {
      clearInterval(timer);
    }
  };
  for (const [state, says] of UNFITTING_ANSWERS) {
    const one = json(state);
    await refuses(() => client.show("a"), one, says);
    await refuses(() => client.pull("a", { A: 1 }), one, says);
    await refuses(() => client.createLasting(request), one, says);
    await refuses(
      () => client.list(),
      json({ aggregators: [STATE, state] }),
      `aggregators[1].${says}`,
    );
    const message = { event: "snapshot", aggregators: [state] };
    await refuses(
      () => client.events().next(),
      http("x: y", `data: ${JSON.stringify(message)}\n\n`),
      "it answers",
    );
    await refuses(
      () => client.create(request),
      http("x: y", `${JSON.stringify({ aggregator: state })}\n`),
      "it answers",
    );
  }
  await refuses(
    () => client.reload(),
    json({ added: [], removed: [], replaced: [], changed: [], refused: [{}] }),
    "refused[0].aggregator is missing",
  );
  await refuses(
    () => client.show("a"),
    json({ error: { message: "x", hint: {} } }).replace(
      "200 OK",
      "404 Not Found",
    ),
    "it answers 404",
  );
});
