/** An aggregator as USB adapters, with everything but a QEMU. */
import { assertEquals } from "@std/assert";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Reactor } from "../../reactor/reactor.ts";
import type { LineChanges } from "../messages/messages.ts";
import { ReactorHost } from "./reactor_host.ts";

/** A host in a loop that the test turns, and a place for sockets. */
function rig() {
  const stack = new DisposableStack();
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-usb-" });
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const clock = { now: 0 };
  const loop = stack.use(
    new Reactor({
      onError: (error) => {
        throw error;
      },
      now: () => clock.now,
    }),
  );
  const changes: LineChanges[] = [];
  const host = stack.use(
    new ReactorHost(loop, {
      service: () => {},
      changes: (change) => changes.push(change),
      idle: () => {},
    }),
  );
  return {
    loop,
    host,
    changes,
    path: `${directory}/usb`,
    pass: (ms: number) => {
      clock.now += ms;
      for (let i = 0; i < 12; i++) loop.turn(0);
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** Does all pieces of a command. */
function all<T>(steps: Iterable<T>): T[] {
  return [...steps];
}

Deno.test("a line of the second adapter is reported under its own number", () => {
  using test = rig();
  const { host, path, pass, changes } = test;
  all(host.add([{
    name: "press",
    lines: parseLineSpec("sim/20"),
    usbredir: { socketPath: path, device: "cp2112" },
  }], []));
  all(host.observe(true));
  all(host.pull("press", [["sim11", 1]]));
  pass(50);
  assertEquals(
    changes.flatMap(({ lines }) => lines.map(({ lineNumber }) => lineNumber)),
    [11],
  );
});
