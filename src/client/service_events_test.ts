import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { ServiceClient } from "./client.ts";

/** A service that answers each request with the same text and goes on. */
class StreamingService implements Disposable {
  readonly #directory = Deno.makeTempDirSync({ prefix: "gpioagg-events-" });
  readonly path = `${this.#directory}/api.sock`;
  readonly #listener: OwnedFd = listenUnix(this.path, { backlog: 4 });
  readonly #connections: OwnedFd[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(text: string) {
    this.#timer = setInterval(() => {
      const connection = acceptUnix(this.#listener.fd);
      if (connection === undefined) return;
      this.#connections.push(connection);
      if (text !== "") send(connection.fd, new TextEncoder().encode(text));
    }, 1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const fd of [this.#listener, ...this.#connections]) fd.close();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

const SNAPSHOT = { event: "snapshot", aggregators: [] };
const STREAM = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" +
  `data: ${JSON.stringify(SNAPSHOT)}\n\n`;

Deno.test("return() of a service's events settles while an event is awaited", async () => {
  using service = new StreamingService(STREAM);
  const events = new ServiceClient(service.path).events();
  assertEquals((await events.next()).value, SNAPSHOT);
  const pending = events.next();
  assertEquals(await events.return(), { done: true, value: undefined });
  assertEquals(await pending, { done: true, value: undefined });
  assertEquals(await events.next(), { done: true, value: undefined });
});

Deno.test("return() of a service's events settles before the service answers", async () => {
  using service = new StreamingService("");
  const events = new ServiceClient(service.path).events();
  const pending = events.next();
  await events.return();
  assertEquals(await pending, { done: true, value: undefined });
});

Deno.test("a service's events end when the loop is left", async () => {
  using service = new StreamingService(STREAM);
  const events = new ServiceClient(service.path).events("plc0");
  for await (const event of events) {
    assertEquals(event, SNAPSHOT as never);
    break;
  }
  assertEquals((await events.next()).done, true);
});

Deno.test("a signal ends a service's events with its reason", async () => {
  using service = new StreamingService(STREAM);
  const client = new ServiceClient(service.path);
  const controller = new AbortController();
  const events = client.events(undefined, { signal: controller.signal });
  await events.next();
  const pending = events.next();
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await assertRejects(() => pending), reason);
  const aborted = AbortSignal.abort(reason);
  const late = client.events(undefined, { signal: aborted });
  assertEquals(await assertRejects(() => late.next()), reason);
});

Deno.test("a signal ends every wait for a service", async () => {
  using service = new StreamingService("");
  const client = new ServiceClient(service.path);
  const create = { name: "plc0", lines: ["sim/1"] };
  const calls = [
    (signal: AbortSignal) => client.list({ signal }),
    (signal: AbortSignal) => client.show("plc0", { signal }),
    (signal: AbortSignal) => client.create(create, { signal }),
    (signal: AbortSignal) => client.createLasting(create, { signal }),
    (signal: AbortSignal) => client.remove("plc0", { signal }),
    (signal: AbortSignal) => client.reload({ signal }),
    (signal: AbortSignal) => client.pull("plc0", { A: 1 }, { signal }),
    (signal: AbortSignal) => client.metrics({ signal }),
  ];
  const reason = new Error("enough");
  for (const call of calls) {
    const controller = new AbortController();
    const pending = call(controller.signal);
    setTimeout(() => controller.abort(reason), 20);
    assertEquals(await assertRejects(() => pending), reason);
    const aborted = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => call(aborted)), reason);
  }
});

Deno.test("ServiceClient names what is wrong with a request before it is sent", async () => {
  const client = new ServiceClient("/nonexistent/api.sock");
  const cases: [unknown, string][] = [
    [null, "the aggregator must be an object, not null"],
    [{ name: 5, lines: [] }, "the aggregator.name must be a string, not 5"],
    [
      { name: "a", lines: "sim/1" },
      'the aggregator.lines must be an array, not the string "sim/1"',
    ],
    [
      { name: "a", lines: [3] },
      "the aggregator.lines[0] must be a string, not 3",
    ],
    [
      { name: "a", lines: ["sim/1"], socketPath: "/run/a" },
      'Unknown key "socketPath" in the aggregator: did you mean socket?',
    ],
    [
      { name: "a", lines: ["sim/1"], socket: { mod: "660" } },
      'Unknown key "mod" in the aggregator.socket: did you mean mode?',
    ],
    [
      { name: "a", lines: ["sim/1"], lease: "none" },
      "The aggregator has the key lease",
    ],
  ];
  for (const [request, message] of cases) {
    await assertRejects(
      () => client.create(request as never),
      TypeError,
      message,
    );
    await assertRejects(
      () => client.createLasting(request as never),
      TypeError,
      message,
    );
  }
  await assertRejects(
    () => client.pull("a", { A: "0" as never }),
    TypeError,
    'levels.A must be 0 (low) or 1 (high), not the string "0"',
  );
  for (const name of [undefined, null, 5, ["a"], { name: "a" }]) {
    for (
      const call of [
        () => client.show(name as never),
        () => client.remove(name as never),
        () => client.pull(name as never, { A: 1 }),
      ]
    ) await assertRejects(call, TypeError, "name must be a string, not");
  }
  await assertRejects(
    () => client.list({ signl: 1 } as never),
    TypeError,
    'Unknown key "signl" in the options: did you mean signal?',
  );
  const notObject =
    /^the options must be an object, not (null|the string "a")$/;
  for (const options of [null, "a"] as never[]) {
    for (
      const call of [
        () => client.list(options),
        () => client.history(options),
        () => client.create({ name: "a", lines: ["sim/1"] }, options),
        async () => await client.events("a", options).next(),
      ]
    ) {
      const error = await assertRejects(call, TypeError);
      assertMatch(error.message, notObject);
    }
  }
  await assertRejects(
    () => client.history({ since: "1" } as never),
    TypeError,
    'Unknown key "since" in the options: did you mean from?',
  );
  await assertRejects(
    () => client.history({ what: 1 } as never),
    TypeError,
    "the keys are from, to, lines, limit, signal",
  );
  await assertRejects(
    () => client.history({ lines: [] }),
    TypeError,
    "lines is empty: leave it out for all lines",
  );
  assertThrows(
    () => client.events("a", { edge: true } as never),
    TypeError,
    'Unknown key "edge" in the options: did you mean edges?',
  );
  assertThrows(
    () => new ServiceClient("/x", { limit: 5 } as never),
    TypeError,
    "did you mean limitMs?",
  );
});
