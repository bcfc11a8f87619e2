import { assert, assertEquals } from "@std/assert";
import { ModelPort } from "../../tests/doubles/model_port.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";
import { Reactor } from "../reactor/reactor.ts";
import { Departure, Direction, LineOperation as Op } from "./port.ts";
import { PinLine } from "./pin_line.ts";

const RETRY_MS = 1000;

/** A line behind a pin, in a loop of its own. */
function lineRig(delayMs: (level: number) => number | undefined) {
  const clock = { now: 0 };
  const loop = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => clock.now,
  });
  const port = new ModelPort();
  const told: string[] = [];
  const line = new PinLine(0, port, {
    level: () => {},
    answered: (_line, request, isOk) =>
      told.push(`${request} ${isOk ? "ok" : "error"}`),
    dropped: () => told.push("dropped"),
  }, { loop, delayMs });
  port.attach({
    completed: (_line, result) => line.completed(result),
    edge: (_line, level) => line.edge(level),
  }, 0);
  return {
    loop,
    port,
    line,
    told,
    pass(ms: number) {
      clock.now += ms;
      loop.turn(0);
    },
    [Symbol.dispose]: () => loop[Symbol.dispose](),
  };
}

Deno.test("PinLine drives again what its line did not take, and not busily", () => {
  using it = lineRig(() => RETRY_MS);
  const { line, port, told } = it;
  line.drive(1, 0, true);
  port.refuses.add(Op.SetValue).add(Op.Output);
  line.drive(0, 0, false);
  assertEquals([port.level, told.at(-1)], [1, "set_value error"]);
  told.length = 0;
  port.calls.length = 0;
  it.pass(RETRY_MS - 1);
  assertEquals(port.calls, []);
  for (let i = 1; i <= 3; i++) {
    it.pass(RETRY_MS);
    assertEquals(port.history, Array.from({ length: i }, () => [Op.Output, 0]));
  }
  port.refuses.clear();
  it.pass(RETRY_MS);
  assertEquals(port.level, 0);
  it.pass(10 * RETRY_MS);
  assertEquals(port.calls.length, 4);
  // Nothing of that is what the guest asked for.
  assertEquals(told, []);
});

Deno.test("PinLine drives nothing again that has been overtaken", () => {
  for (
    const next of [
      (line: PinLine) => line.guestGone(),
      (line: PinLine) => line.input(0),
      (line: PinLine) => line.release(0),
      (line: PinLine) => line.drive(1, 0, false),
    ]
  ) {
    using it = lineRig(() => RETRY_MS);
    const { line, port } = it;
    line.drive(1, 0, true);
    port.refuses.add(Op.SetValue);
    line.drive(0, 0, false);
    port.refuses.clear();
    next(line);
    port.calls.length = 0;
    it.pass(10 * RETRY_MS);
    assertEquals(port.calls, []);
  }
});

Deno.test("PinLine does not drive again what it is told not to", () => {
  using it = lineRig((level) => level === 0 ? RETRY_MS : undefined);
  const { line, port } = it;
  line.drive(0, 0, true);
  port.refuses.add(Op.SetValue);
  line.drive(1, 0, false);
  port.refuses.clear();
  port.calls.length = 0;
  it.pass(10 * RETRY_MS);
  assertEquals(port.calls, []);
});

Deno.test("PinLine counts what a guest's end takes from a line that is slow", () => {
  using it = lineRig(() => undefined);
  const { line, port, told } = it;
  port.slow = true;
  line.drive(1, 0, true);
  line.drive(0, 0, false);
  line.drive(1, 0, false);
  line.guestGone();
  assertEquals(told, [
    "set_value error",
    "dropped",
    "set_value error",
    "dropped",
  ]);
  told.length = 0;
  while (port.isPending) port.finish();
  assertEquals(told, ["set_direction ok", "set_value ok"]);
  assertEquals(port.history.at(-1), [Op.Deactivate, Departure.GuestGone]);
});

testLarge("PinLine keeps no endless queue of changes of direction", () => {
  using it = lineRig(() => undefined);
  const { line, port, told } = it;
  port.slow = true;
  for (let i = 0; i < 20_000; i++) {
    line.drive(1, 0, true);
    line.input(0);
    // It is not idle, only slower.
    port.finish();
  }
  assert(told.includes("dropped"));
  let operations = 0;
  while (port.isPending) {
    port.finish();
    operations++;
  }
  assert(operations <= 65_540, `${operations} operations waited`);
  assertEquals(port.direction, Direction.Input);
});

testLarge(
  "PinLine keeps nothing of what is done, for a line that is never idle",
  async () => {
    // In a heap of its own, which no other test has made large.
    const code = `
    import { ModelPort } from "${
      import.meta.resolve("../../tests/doubles/model_port.ts")
    }";
    import { PinLine } from "${import.meta.resolve("./pin_line.ts")}";
    const port = new ModelPort();
    const ignore = () => {};
    const line = new PinLine(0, port, {
      level: ignore,
      answered: ignore,
      dropped: ignore,
    });
    port.attach({
      completed: (_line, result) => line.completed(result),
      edge: ignore,
    }, 0);
    port.slow = true;
    line.drive(1, 0, true);
    for (let i = 0; i < 10; i++) line.drive(i & 1, 0, false);
    const before = Deno.memoryUsage().heapUsed;
    for (let i = 0; i < 1_500_000; i++) {
      line.drive(i & 1, 0, false);
      port.finish();
      port.calls.length = 0;
    }
    self.postMessage(Deno.memoryUsage().heapUsed - before);
  `;
    const worker = new Worker(
      `data:text/javascript,${encodeURIComponent(code)}`,
      { type: "module" },
    );
    try {
      const grownBytes = await new Promise<number>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = reject;
      });
      // Kept, they would be more than 100 MB.
      assert(grownBytes < 80e6, `${grownBytes} bytes`);
    } finally {
      worker.terminate();
    }
  },
);
