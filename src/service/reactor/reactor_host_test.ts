/** Aggregators come and go in pieces, and whole or not at all. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../../ffi/files.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { joinAnswer } from "../messages/messages.ts";
import { ReactorHost } from "./reactor_host.ts";

const LINES = 100;

/** A host without a thread of its own, and a place for sockets. */
function rig() {
  const stack = new DisposableStack();
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-host-" });
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const fail = (error: unknown) => {
    throw error;
  };
  const reactor = stack.use(new Reactor({ onError: fail }));
  const host = stack.use(
    new ReactorHost(reactor, {
      service: () => {},
      changes: () => {},
      idle: () => {},
    }),
  );
  const specification = (name: string, spec = `sim/${LINES}`) => ({
    name,
    vhostUser: { socketPath: `${directory}/${name}.sock` },
    lines: parseLineSpec(spec),
  });
  return {
    host,
    specification,
    hasSocket: (name: string) =>
      fileStatus(`${directory}/${name}.sock`) !== undefined,
    names: () =>
      joinAnswer([...host.describe()]).aggregators.map(({ name }) => name),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** Does all pieces; returns how many there were that are no part of an answer. */
function pieces(steps: Iterable<unknown>): number {
  let count = 0;
  for (const step of steps) if (step === undefined) count++;
  return count;
}

Deno.test("ReactorHost.add() and remove() do a line or two a piece", () => {
  using test = rig();
  const { host } = test;
  const both = [test.specification("a"), test.specification("b")];
  const adding = host.add(both, []);
  adding.next();
  assertEquals(test.names(), [], "served once all are complete");
  assert(pieces(adding) >= 2 * LINES);
  assertEquals(test.names(), ["a", "b"]);
  assert(pieces(host.withdraw("a", false)) >= LINES);
  assert(pieces(host.remove("a", false)) >= LINES);
  assertEquals(test.names(), ["b"]);
  assertEquals([test.hasSocket("a"), test.hasSocket("b")], [false, true]);
});

Deno.test("ReactorHost.add() leaves nothing of what cannot be had, and takes pieces for that too", () => {
  using test = rig();
  const { host } = test;
  const bad = test.specification("bad");
  // Its socket cannot be made: found out last.
  Deno.mkdirSync(bad.vhostUser.socketPath);
  let count = 0;
  const adding = host.add([test.specification("good"), bad], []);
  assertThrows(() => {
    while (adding.next().done !== true) count++;
  });
  assert(count >= 4 * LINES, `${count} pieces`);
  assertEquals(test.names(), []);
  assertEquals(test.hasSocket("good"), false);
  pieces(host.add([test.specification("good")], []));
  assertEquals(test.names(), ["good"]);
});
