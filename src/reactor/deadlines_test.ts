import { assertEquals } from "@std/assert";
import { Deadlines } from "./deadlines.ts";

function rig() {
  const clock = { now: 0 };
  const deadlines = new Deadlines(() => clock.now);
  const log: string[] = [];
  const fail = (error: unknown) => {
    throw error;
  };
  return {
    clock,
    deadlines,
    log,
    at: (ms: number, name: string) =>
      deadlines.after(ms, () => {
        log.push(name);
      }),
    run: () => deadlines.run(fail),
  };
}

Deno.test("Deadlines.run() calls what is due, earliest first", () => {
  const { clock, log, at, run, deadlines } = rig();
  at(20, "late");
  at(5, "early");
  at(5, "early too");
  run();
  assertEquals(log, []);
  assertEquals(deadlines.msToNext(), 5);
  clock.now = 5;
  run();
  assertEquals(log, ["early", "early too"]);
  clock.now = 50;
  assertEquals(deadlines.msToNext(), 0);
  run();
  assertEquals(log, ["early", "early too", "late"]);
  assertEquals(deadlines.msToNext(), Infinity);
});

Deno.test("Deadlines.after() returns a timer that cancels just its own deadline", () => {
  const { clock, log, at, run } = rig();
  const first = at(1, "first");
  at(2, "second");
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  clock.now = 10;
  run();
  assertEquals(log, ["second"]);
});

Deno.test("Deadlines.run() lets a callback cancel another of the same batch", () => {
  const { clock, log, at, run, deadlines } = rig();
  let second: Disposable | undefined = undefined;
  deadlines.after(1, () => second?.[Symbol.dispose]());
  second = at(1, "cancelled");
  at(30, "stays");
  clock.now = 2;
  run();
  assertEquals(log, []);
  assertEquals(deadlines.size, 1);
});

Deno.test("Deadlines.run() leaves what a callback sets for the next call", () => {
  const { clock, log, deadlines, at, run } = rig();
  deadlines.after(0, () => at(0, "again"));
  run();
  assertEquals(log, []);
  clock.now = 1;
  run();
  assertEquals(log, ["again"]);
});

Deno.test("Deadlines.run() reports a callback that throws and runs the others", () => {
  const { deadlines, at, log } = rig();
  deadlines.after(0, () => {
    throw new Error("bang");
  });
  at(0, "served");
  const errors: unknown[] = [];
  deadlines.run((error) => errors.push(error));
  assertEquals(errors.map(String), ["Error: bang"]);
  assertEquals(log, ["served"]);
});

Deno.test("Deadlines keeps the order of many, whichever are cancelled", () => {
  const { clock, deadlines, log, at, run } = rig();
  const timers = Array.from(
    { length: 500 },
    (_, i) => at((i * 7919) % 101, `${(i * 7919) % 101}/${i}`),
  );
  timers.forEach((timer, i) => {
    if (i % 3 === 0) timer[Symbol.dispose]();
  });
  const expected = timers.map((_, i) => i).filter((i) => i % 3 !== 0)
    .sort((a, b) => (a * 7919) % 101 - (b * 7919) % 101 || a - b)
    .map((i) => `${(i * 7919) % 101}/${i}`);
  clock.now = 200;
  assertEquals(deadlines.size, expected.length);
  run();
  assertEquals(log.length < expected.length, true, "one call serves a part");
  while (deadlines.size > 0) run();
  assertEquals(log, expected);
});

Deno.test("Deadlines.run() ends when its time is up, and goes on in order", () => {
  let now = 0;
  const deadlines = new Deadlines(() => now);
  const done: number[] = [];
  for (let i = 0; i < 10; i++) {
    deadlines.after(0, () => {
      now += 0.15; // what each takes
      done.push(i);
    });
  }
  const fail = (error: unknown) => {
    throw error;
  };
  deadlines.run(fail);
  assertEquals(done, [0, 1]);
  while (deadlines.size > 0) deadlines.run(fail);
  assertEquals(done, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
