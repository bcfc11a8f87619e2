import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import { duplicate } from "../../ffi/files.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import { type KeptSession, SessionKeeper } from "./session_keeper.ts";

function found(keeper: SessionKeeper): KeptSession & Disposable {
  const kept = keeper.look();
  if (typeof kept !== "object") throw new Error(`nothing is kept: ${kept}`);
  return {
    ...kept,
    [Symbol.dispose]() {
      for (const fd of kept.fds.values()) fd.close();
    },
  };
}

Deno.test("SessionKeeper hands on the newest record with its descriptors, and again", () => {
  let store = new FdStoreDouble();
  using a = createEventFd();
  using b = createEventFd();
  let keeper = SessionKeeper.open(store);
  assertEquals(keeper.look(), undefined);
  assertEquals(keeper.keep({ n: 1 }, new Map([["a", a.fd]])), undefined);
  assertEquals(
    keeper.keep({ n: 2 }, new Map([["a", undefined], ["b", b.fd]])),
    undefined,
  );
  for (const n of [2, 3, 4]) {
    // The process that had it is dead.
    store = store.restart();
    keeper[Symbol.dispose] satisfies unknown;
    const next = SessionKeeper.open(store);
    using kept = found(next);
    assertEquals(kept.record, { n });
    assertEquals([...kept.fds.keys()], ["a", "b"]);
    signalFd(a.fd);
    assertEquals(drainFd(kept.fds.get("a")!.fd), 8);
    assertEquals(drainFd(kept.fds.get("b")!.fd) > 0, false);
    const all = new Map([["a", undefined], ["b", undefined]]);
    assertEquals(next.keep({ n: n + 1 }, all), undefined);
    keeper = next;
  }
  keeper.clear();
  assertEquals(keeper.look(), undefined);
  keeper[Symbol.dispose]();
  assertEquals(store.names, []);
  assertEquals(store.problems, []);
  assertEquals(countCopies(a.fd, b.fd), 2);
  store[Symbol.dispose]();
});

Deno.test("SessionKeeper goes on with the newer one after a kill in between", () => {
  const store = new FdStoreDouble();
  using _keeper = SessionKeeper.open(store);
  using event = createEventFd();
  using next = store.restart();
  const [sender] = next.take("in");
  next.offer("in", sender!);
  for (const n of [1, 2]) {
    const message = JSON.stringify({ fds: ["e"], record: { n } });
    send(sender!.fd, new TextEncoder().encode(message), [event.fd]);
  }
  using keeper = SessionKeeper.open(next);
  using kept = found(keeper);
  assertEquals(kept.record, { n: 2 });
  assertEquals(countCopies(event.fd), 2);
  using again = found(keeper);
  assertEquals(again.record, { n: 2 });
});

Deno.test("SessionKeeper keeps nothing that it cannot keep whole", () => {
  using store = new FdStoreDouble();
  using keeper = SessionKeeper.open(store);
  using event = createEventFd();
  const some = new Map<string, number | undefined>([["a", event.fd]]);
  keeper.keep({}, some);
  const missing = new Map([["a", undefined], ["b", undefined]]);
  assertEquals(keeper.keep({}, missing), "a descriptor of it is missing");
  assertEquals(keeper.look(), undefined);
  keeper.keep({}, some);
  assertStringIncludes(
    keeper.keep({ text: "x".repeat(70_000) }, some)!,
    "its record has ",
  );
  const many = new Map(
    Array.from({ length: 254 }, (_, i) => [`${i}`, event.fd]),
  );
  assertEquals(
    keeper.keep({}, many),
    "it has 254 descriptors, more than 253",
  );
  assertEquals(keeper.look(), undefined);
  assertEquals(countCopies(event.fd), 1);
  keeper.report("why");
  keeper.report("why");
  assertEquals(store.problems, [
    "a VMM's session will end with the next restart: why",
  ]);
});

for (
  const [what, text, count] of [
    ["no JSON", "{", 0],
    ["no object", "7", 0],
    ["fewer descriptors than names", '{"fds":["a","b"],"record":{}}', 1],
    ["a name twice", '{"fds":["a","a"],"record":{}}', 2],
    ["no names", '{"record":{}}', 1],
  ] as const
) {
  Deno.test(`SessionKeeper.look() refuses ${what}, and leaves no descriptor`, () => {
    const store = new FdStoreDouble();
    using _keeper = SessionKeeper.open(store);
    using next = store.restart();
    const [sender] = next.take("in");
    using event = createEventFd();
    const fds = Array.from({ length: count }, () => event.fd);
    send(sender!.fd, new TextEncoder().encode(text), fds);
    next.offer("in", sender!);
    using keeper = SessionKeeper.open(next);
    assert(typeof keeper.look() === "string");
    assertEquals(keeper.look(), undefined);
    assertEquals(countCopies(event.fd), 1);
  });
}

Deno.test("SessionKeeper makes a pair where half of one was kept", () => {
  using store = new FdStoreDouble();
  using file = createMemFd("no socket", 8);
  store.offer("in", duplicate(file.fd));
  using keeper = SessionKeeper.open(store);
  assertEquals(store.names.toSorted(), ["in", "out"]);
  assertEquals(keeper.keep({}, new Map()), undefined);
});

Deno.test("SessionKeeper survives a pair that is none", () => {
  using store = new FdStoreDouble();
  using file = createMemFd("no socket", 8);
  for (const part of ["in", "out"]) store.offer(part, duplicate(file.fd));
  using keeper = SessionKeeper.open(store);
  assert(typeof keeper.look() === "string");
  assert(typeof keeper.keep({}, new Map()) === "string");
});
