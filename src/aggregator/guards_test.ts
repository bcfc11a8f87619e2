import { assertEquals } from "@std/assert";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import {
  Departure,
  Direction,
  FAILED,
  LineOperation,
  PENDING,
  UNSPECIFIED,
} from "../line/port.ts";
import { AggregatorLine } from "./aggregator_line.ts";
import { Guards } from "./guards.ts";

function rig(...rules: string[]) {
  const loop = new LoopDouble();
  const sources = rules.map(() => new SourceDouble());
  const lines = rules.map((rule, i) =>
    new LineRig(`L${i}`, rule, sources[i]!, loop)
  );
  const silent: string[] = [];
  const guards = new Guards(
    lines.map(({ line }) => line),
    loop,
    (line) => silent.push(line.name),
    () => loop.now,
  );
  guards.update();
  return {
    guards,
    loop,
    sources,
    lines,
    silent,
    set: (i: number, value: number) =>
      lines[i]!.line.submit(LineOperation.SetValue, value),
    output: (i: number, value: number) =>
      lines[i]!.line.submit(LineOperation.Output, value),
  };
}

Deno.test("lines without a rule that looks at requests have no guard", () => {
  const { lines: [plain, guarded] } = rig("", ",min-interval=1s");
  assertEquals(plain!.line.isGuarded, false);
  assertEquals(guarded!.line.isGuarded, true);
});

Deno.test("min-interval refuses a change that comes too soon", () => {
  const { loop, lines: [line], sources: [source], set, output } = rig(
    ",min-interval=50ms",
  );
  assertEquals(output(0, 1), 0);
  loop.pass(49);
  assertEquals(set(0, 0), FAILED);
  assertEquals(source!.value, 1);
  assertEquals(line!.reports, ["L0: it changed less than 50 ms ago"]);
  loop.pass(1);
  assertEquals(set(0, 0), 0);
  assertEquals(source!.value, 0);
});

Deno.test("min-interval lets the same value be set as often as a guest likes", () => {
  const { lines: [line], set, output } = rig(",min-interval=50ms");
  output(0, 1);
  for (let i = 0; i < 3; i++) assertEquals(set(0, 1), 0);
  assertEquals(output(0, 1), 0);
  assertEquals(line!.line.submit(LineOperation.GetValue, 0), 1);
  assertEquals(line!.line.refusals, 0);
});

Deno.test("min-interval takes an output that keeps its level for no change", () => {
  const { lines: [line], output } = rig(",min-interval=50ms");
  output(0, 1);
  assertEquals(line!.line.submit(LineOperation.Output, UNSPECIFIED), 0);
  assertEquals(line!.line.refusals, 0);
});

Deno.test("min-interval compares with an input's level, not with what it drove before", () => {
  const { loop, lines: [line], sources: [source], set, output } = rig(
    ",min-interval=50ms",
  );
  output(0, 1);
  loop.pass(100);
  assertEquals(line!.line.submit(LineOperation.Input, 0), 0);
  source!.value = 0;
  // From 0 to 1 again.
  assertEquals(output(0, 1), 0);
  loop.pass(10);
  assertEquals(set(0, 0), FAILED);
});

Deno.test("min-interval counts what a slow chip works on", () => {
  const { loop, sources: [source], set, output } = rig(",min-interval=50ms");
  source!.isSlow = true;
  assertEquals(output(0, 1), PENDING);
  loop.pass(10);
  source!.answer();
  assertEquals(set(0, 0), FAILED);
  loop.pass(40);
  assertEquals(set(0, 0), PENDING);
});

Deno.test("min-interval holds after a rule has driven the line", () => {
  const { guards, loop, lines: [line], set, output } = rig(
    ",min-interval=50ms,safe=0",
  );
  output(0, 1);
  loop.pass(100);
  line!.line.guestGone();
  guards.guestGone();
  assertEquals(set(0, 1), FAILED);
  loop.pass(50);
  assertEquals(set(0, 1), 0);
});

Deno.test("min-interval holds after a guest's end that may have changed the line, not after others", () => {
  for (const [rule, mayChange] of [["input", true], ["keep", false]] as const) {
    const { guards, loop, lines: [line], sources: [source], output } = rig(
      `,min-interval=50ms,on-disconnect=${rule}`,
    );
    output(0, 1);
    loop.pass(100);
    line!.line.guestGone();
    guards.guestGone();
    if (mayChange) source!.value = 0;
    const next = mayChange ? 1 : 0;
    assertEquals(output(0, next), mayChange ? FAILED : 0);
    loop.pass(50);
    assertEquals(output(0, next), 0);
  }
});

Deno.test("min-interval never delays a safe value", () => {
  const { lines: [line], sources: [source], output } = rig(
    ",min-interval=1s,safe=0",
  );
  output(0, 1);
  line!.line.guestGone();
  assertEquals(source!.value, 0);
});

Deno.test("safe-after gives a line its safe value when the guest is silent", () => {
  const { loop, sources: [source], silent, output } = rig(
    ",safe=0,safe-after=2s",
  );
  output(0, 1);
  loop.pass(1999);
  assertEquals([source!.value, silent], [1, []]);
  loop.pass(1);
  assertEquals([source!.value, silent], [0, ["L0"]]);
});

Deno.test("safe-after holds for a guest of before a restart that is never heard again", () => {
  const { guards, loop, sources: [source], lines: [line], silent } = rig(
    ",safe=0,safe-after=2s",
  );
  source!.direction = Direction.Output;
  source!.value = 1;
  guards.awaitGuest();
  loop.pass(1999);
  assertEquals(source!.value, 1);
  loop.pass(1);
  assertEquals([source!.value, silent], [0, ["L0"]]);
  assertEquals(line!.taken(), []);
});

Deno.test("safe-after holds for the next guest as well", () => {
  const { guards, loop, lines: [line], sources: [source], silent, output } =
    rig(",safe=0,safe-after=2s");
  output(0, 1);
  guards.guestGone();
  // The end of a guest is no request of one.
  line!.line.submit(LineOperation.Deactivate, Departure.GuestGone);
  loop.pass(10_000);
  assertEquals(silent, [], "no guest is silent");
  output(0, 1);
  loop.pass(2000);
  assertEquals([source!.value, silent], [0, ["L0"]]);
});

Deno.test("safe-after holds again for a guest that is heard after a silence", () => {
  const { loop, sources: [source], silent, output } = rig(
    ",safe=0,safe-after=2s",
  );
  for (let times = 1; times <= 3; times++) {
    output(0, 1);
    loop.pass(1999);
    assertEquals(source!.value, 1);
    loop.pass(1);
    assertEquals([source!.value, silent.length], [0, times]);
  }
});

Deno.test("safe-after is satisfied by any request, of any line", () => {
  const { loop, lines: [, other], sources: [source], silent, output } = rig(
    ",safe=0,safe-after=2s",
    "",
  );
  output(0, 1);
  for (let i = 0; i < 10; i++) {
    loop.pass(1500);
    other!.line.submit(LineOperation.GetValue, 0);
  }
  assertEquals([source!.value, silent], [1, []]);
  loop.pass(2000);
  assertEquals([source!.value, silent], [0, ["L0"]]);
});

Deno.test("safe-after lets a guest that is heard again drive the line again", () => {
  const { loop, sources: [source], silent, set, output } = rig(
    ",safe=0,safe-after=2s",
  );
  output(0, 1);
  loop.pass(5000);
  assertEquals(set(0, 1), 0);
  loop.pass(1999);
  assertEquals(source!.value, 1);
  loop.pass(1);
  assertEquals([source!.value, silent], [0, ["L0", "L0"]]);
});

Deno.test("safe-after has its own limit for every line", () => {
  const { loop, silent, set, output } = rig(
    ",safe=0,safe-after=3s",
    ",safe=0,safe-after=1s",
  );
  output(0, 1);
  output(1, 1);
  loop.pass(1000);
  assertEquals(silent, ["L1"]);
  loop.pass(500);
  set(1, 1);
  loop.pass(1000);
  assertEquals(silent, ["L1", "L1"]);
  loop.pass(1999);
  assertEquals(silent, ["L1", "L1"]);
  loop.pass(1);
  assertEquals(silent, ["L1", "L1", "L0"]);
});

Deno.test("safe-after does not drive a line that is no output", () => {
  const { loop, lines: [line], sources: [source], silent } = rig(
    ",safe=1,safe-after=1s",
  );
  line!.line.submit(LineOperation.Input, 0);
  loop.pass(5000);
  assertEquals([source!.value, silent], [0, []]);
});

Deno.test("safe-after sets no timer while no guest is connected", () => {
  const { guards, loop, lines: [line], output } = rig(",safe=0,safe-after=1s");
  assertEquals(loop.size, 0);
  output(0, 1);
  assertEquals(loop.size, 1);
  line!.line.submit(LineOperation.Deactivate, Departure.GuestGone);
  guards.guestGone();
  assertEquals(loop.size, 0);
  output(0, 1);
  loop.pass(10_000);
  assertEquals(loop.size, 0);
});

Deno.test("safe-after waits for an operation of a slow chip", () => {
  const { loop, sources: [source], output, set } = rig(",safe=0,safe-after=1s");
  output(0, 1);
  source!.isSlow = true;
  set(0, 1);
  source!.taken();
  loop.pass(1000);
  assertEquals(source!.taken(), []);
  source!.answer();
  assertEquals(source!.taken(), ["SetValue 0"]);
});

Deno.test("Guards.update() has other rules hold from then on", () => {
  const { guards, lines: [line], set, output } = rig(",min-interval=3600s");
  output(0, 1);
  assertEquals(set(0, 0), FAILED);
  line!.line.changeRules(parseLineSpec("gpiochip0/0")[0]!);
  guards.update();
  assertEquals(set(0, 0), 0);
  assertEquals(line!.line.submit, AggregatorLine.prototype.submit);
});

Deno.test("min-interval does not take a drive that failed for a change", () => {
  const { loop, lines: [line], sources: [source], set, output } = rig(
    ",min-interval=50ms",
  );
  output(0, 0);
  loop.pass(50);
  source!.refusals = 1;
  assertEquals(set(0, 1), FAILED);
  assertEquals(set(0, 1), 0, "at once again");
  assertEquals(line!.line.refusals, 0);
  // The same where the failure is known later.
  loop.pass(50);
  source!.isSlow = true;
  source!.refusals = 1;
  assertEquals(set(0, 0), PENDING);
  source!.answer();
  assertEquals(set(0, 0), PENDING);
  source!.answer();
  assertEquals(line!.line.refusals, 0);
  loop.pass(49);
  assertEquals(set(0, 1), FAILED);
  assertEquals(line!.line.refusals, 1);
});

Deno.test("min-interval counts from when a rule could drive the line at last", () => {
  const { loop, guards, lines: [line], sources: [source], set, output } = rig(
    ",min-interval=50ms,safe=0",
  );
  output(0, 1);
  loop.pass(50);
  source!.refusals = 10;
  line!.line.guestGone();
  guards.guestGone();
  loop.pass(320);
  assertEquals(source!.value, 0);
  assertEquals(set(0, 1), FAILED);
  assertEquals(line!.reports.at(-1), "L0: it changed less than 50 ms ago");
});

Deno.test("safe-after says that a line has its safe value when it has it", () => {
  const { loop, lines: [line], sources: [source], silent, output } = rig(
    ",safe=0,safe-after=1s",
  );
  output(0, 1);
  source!.refusals = 6;
  loop.pass(1000);
  assertEquals([source!.value, silent], [1, []]);
  assertEquals(line!.reports, [
    "L0 lacks safe value 0: remote I/O error (EREMOTEIO)",
  ]);
  loop.pass(100);
  assertEquals([source!.value, silent], [0, ["L0"]]);
});

Deno.test("safe-after says nothing of a line on a slow chip before it has its value", () => {
  const { loop, sources: [source], silent, output } = rig(
    ",safe=0,safe-after=1s",
  );
  output(0, 1);
  source!.isSlow = true;
  loop.pass(1000);
  assertEquals(silent, []);
  source!.answer();
  assertEquals([source!.value, silent], [0, ["L0"]]);
});

Deno.test("min-interval does not count a change that failed at once", () => {
  const { sources: [source], lines: [line], output } = rig(
    ",min-interval=50ms",
  );
  source!.refusals = 1;
  assertEquals(output(0, 1), FAILED);
  assertEquals(output(0, 1), 0);
  assertEquals(source!.value, 1);
  assertEquals(line!.reports.filter((text) => text.includes("ms ago")), []);
});
