/** Rules that a line does not take at first: they are retried, and reported. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { EINVAL, EPERM } from "../../../ffi/errno.ts";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import {
  Departure,
  Direction,
  FAILED,
  LineOperation,
  PENDING,
} from "../../line/port.ts";
import { PendingRule } from "./pending_rule.ts";
import { LineStartError } from "./rule_steps.ts";

const REASON = "remote I/O error (EREMOTEIO)";

function rig(rules: string, value = 1) {
  const loop = new LoopDouble();
  const source = new SourceDouble();
  const rig = new LineRig("RELAY", rules, source, loop);
  rig.line.submit(LineOperation.Output, value);
  source.taken();
  return { loop, source, line: rig.line, reports: rig.reports };
}

const RULES = [
  [",safe=0", "safe value 0", "SetValue 0"],
  [",on-disconnect=input", "input", "Input 0"],
  [",on-disconnect=release", "released", "Release 0"],
] as const;

for (const [rules, title, operation] of RULES) {
  Deno.test(`a gone guest's rule${rules} that is refused is retried until it holds`, () => {
    const { loop, source, line, reports } = rig(rules);
    source.refusals = 4;
    line.guestGone();
    // At once twice, then after 10 ms and 20 ms more, and so on.
    assertEquals(source.taken(), [operation, operation]);
    assertEquals(reports, [`RELAY lacks ${title}: ${REASON}`]);
    assertEquals(line.pendingRule?.rule, title);
    assertEquals(line.unsafe?.reason, REASON);
    loop.pass(9);
    assertEquals(source.taken(), []);
    loop.pass(1);
    assertEquals(source.taken(), [operation, operation]);
    loop.pass(20);
    assertEquals(source.taken(), [operation]);
    assertEquals(reports.slice(1), [
      `RELAY has ${title} after 2 failed attempts in 0.0 s`,
    ]);
    assertEquals([line.pendingRule, line.unsafe], [undefined, undefined]);
    assertEquals(line.ruleFailures, 2);
    loop.pass(10_000);
    assertEquals(source.taken(), []);
  });
}

Deno.test("a rule is retried every second for as long as it is refused", () => {
  const { loop, source, line, reports } = rig(",safe=0");
  source.refusals = Infinity;
  line.guestGone();
  loop.pass(60_000);
  source.taken();
  loop.pass(10_000);
  assertEquals(source.taken().length, 20);
  source.refusals = 0;
  loop.pass(1000);
  assertEquals(source.value, 0);
  assertEquals(reports.length, 4, "failures at 0, 10 and 30 s, and a success");
});

Deno.test("a refusal that is over at once is no event", () => {
  const { source, line, reports } = rig(",safe=0");
  source.refusals = 1;
  line.guestGone();
  assertEquals([source.value, reports], [0, []]);
});

Deno.test("the next guest does not drive a line before the gone guest's rule held", () => {
  const { source, line, reports } = rig(",safe=0");
  source.refusals = Infinity;
  line.guestGone();
  source.taken();
  for (
    const [operation, argument] of [
      [LineOperation.SetValue, 1],
      [LineOperation.Output, 1],
      [LineOperation.Input, 0],
    ] as const
  ) {
    assertEquals(line.submit(operation, argument), FAILED);
    assertEquals(source.taken(), ["SetValue 0", "SetValue 0"]);
  }
  // What changes nothing is answered.
  assertEquals(line.submit(LineOperation.GetValue, 0), 1);
  assertEquals(
    reports[1],
    `RELAY: its rule (safe value 0) does not hold yet: ` + REASON,
  );
  source.taken();
  source.refusals = 0;
  assertEquals(line.submit(LineOperation.SetValue, 1), 0);
  assertEquals(source.taken(), ["SetValue 0", "SetValue 1"]);
});

Deno.test("a rule that a slow chip refuses is retried; who waits behind it is refused", () => {
  const { loop, source, line, reports } = rig(",safe=0");
  source.isSlow = true;
  source.refusals = 2;
  line.guestGone();
  assertEquals(line.submit(LineOperation.SetValue, 1), PENDING);
  source.answer();
  assertEquals(source.taken(), ["SetValue 0"]);
  assertEquals(reports[0], `RELAY lacks safe value 0: ${REASON}`);
  assertEquals(line.unsafe?.reason, REASON);
  // A request while it waits has it tried at once, and waits for that.
  assertEquals(line.submit(LineOperation.SetValue, 1), PENDING);
  assertEquals(source.taken(), ["SetValue 0"]);
  source.answer();
  loop.pass(20);
  assertEquals(line.submit(LineOperation.SetValue, 1), PENDING);
  assertEquals(source.taken(), ["SetValue 0"]);
  source.answer();
  assertEquals(source.taken(), ["SetValue 1"]);
  source.answer();
  assertEquals(source.value, 1);
});

Deno.test("a rule is not lost when its chip goes in that moment", () => {
  const { loop, source, line, reports } = rig(",safe=0");
  source.isSlow = true;
  line.guestGone();
  source.isAbsent = true;
  source.answer();
  assertEquals(source.taken(), ["SetValue 0", "remember SetValue 0"]);
  assertEquals(reports, ["RELAY lacks safe value 0: its chip is away"]);
  assertEquals(line.unsafe?.isRetried, false);
  loop.pass(60_000);
  assertEquals(source.taken(), []);
  source.isAbsent = false;
  source.isSlow = false;
  source.listener!.presence(true);
  assertEquals([source.value, line.unsafe], [0, undefined]);
});

Deno.test("a rule that waits for its next attempt is not lost with its chip", () => {
  const { source, line } = rig(",safe=0");
  source.refusals = 2;
  line.guestGone();
  source.taken();
  source.isAbsent = true;
  source.listener!.presence(false);
  assertEquals(source.taken(), ["remember SetValue 0"]);
  source.isAbsent = false;
  source.listener!.presence(true);
  assertEquals([source.value, line.unsafe], [0, undefined]);
});

Deno.test("a line whose chip was never there has nothing to be made safe", () => {
  const loop = new LoopDouble();
  const source = new SourceDouble();
  source.isAbsent = true;
  const { line, reports } = new LineRig("A", ",safe=0", source, loop);
  source.direction = Direction.Output;
  line.guestGone();
  assertEquals(source.taken(), ["remember SetValue 0"]);
  assertEquals([line.unsafe, line.pendingRule, reports], [
    undefined,
    undefined,
    [],
  ]);
});

Deno.test("a rule that changed meanwhile is retried as it is by then", () => {
  const { loop, source, line } = rig(",safe=0", 0);
  source.refusals = 2;
  line.guestGone();
  line.changeRules(parseLineSpec("gpiochip0/0,safe=1")[0]!);
  source.taken();
  loop.pass(10);
  assertEquals(source.taken(), ["SetValue 1"]);
  source.refusals = 2;
  line.guestGone();
  line.changeRules(parseLineSpec("gpiochip0/0")[0]!);
  source.taken();
  loop.pass(2000);
  assertEquals([source.taken(), line.unsafe], [[], undefined]);
});

Deno.test("withdraw() applies the rule and retries it; dispose() ends that", () => {
  const { loop, source, line } = rig(",safe=0");
  source.refusals = Infinity;
  line.withdraw();
  line.withdraw();
  assertEquals(source.taken(), ["SetValue 0", "SetValue 0"]);
  loop.pass(10);
  assertEquals(source.taken(), ["SetValue 0", "SetValue 0"]);
  line[Symbol.dispose]();
  assertEquals(source.taken(), ["dispose"]);
  loop.pass(5000);
  assertEquals([source.taken(), loop.size], [[], 0]);
});

Deno.test("a line that is made safe once is not made so again by its end", () => {
  const { source, line } = rig(",safe=0");
  line.withdraw();
  line[Symbol.dispose]();
  assertEquals(source.taken(), ["SetValue 0", "dispose"]);
});

const STARTS = [
  [",direction=output,safe=0", "output, 0 at first", "Output 0"],
  [",direction=output,initial=1,safe=0", "output, 1 at first", "Output 1"],
  [",initial=1", "output, 1 at first", "Output 1"],
  [",direction=output", "output", "Output -1"],
  [",direction=input", "input", "Input 0"],
] as const;

for (const [rules, title, operation] of STARTS) {
  Deno.test(`a start${rules} that is refused is retried until it holds`, () => {
    const loop = new LoopDouble();
    const source = new SourceDouble();
    const { line, reports } = new LineRig("A", rules, source, loop);
    source.refusals = 4;
    line.start();
    assertEquals(source.taken(), [operation, operation]);
    assertEquals(reports, [`A lacks ${title}: ${REASON}`]);
    assertEquals([line.pendingRule?.rule, line.unsafe?.reason], [
      title,
      REASON,
    ]);
    loop.pass(10);
    source.taken();
    loop.pass(20);
    assertEquals(source.taken(), [operation]);
    assertEquals(reports.slice(1), [
      `A has ${title} after 2 failed attempts in 0.0 s`,
    ]);
    assertEquals([line.pendingRule, line.unsafe], [undefined, undefined]);
    loop.pass(10_000);
    assertEquals(source.taken(), []);
  });
}

Deno.test("start() tries twice at once; a guest waits for it", () => {
  const source = new SourceDouble();
  const loop = new LoopDouble();
  const rules = ",direction=output,initial=0";
  const { line, reports } = new LineRig("A", rules, source, loop);
  source.refusals = 1;
  line.start();
  assertEquals([source.taken(), reports], [["Output 0", "Output 0"], []]);
  const late = new LineRig("B", rules, source, loop);
  source.refusals = 4;
  late.line.start();
  source.taken();
  assertEquals(late.line.submit(LineOperation.Output, 1), FAILED);
  assertEquals(source.taken(), ["Output 0", "Output 0"]);
  assertEquals(late.line.submit(LineOperation.GetValue, 0), 0);
  assertEquals(late.line.submit(LineOperation.Output, 1), 0);
  assertEquals(source.taken(), ["GetValue 0", "Output 0", "Output 1"]);
});

Deno.test("start() says why a line cannot be started for good", () => {
  for (
    const [errno, text] of [
      [EINVAL, "invalid argument (EINVAL); this chip may not support bias"],
      [EPERM, "operation not permitted (EPERM)"],
    ] as const
  ) {
    const source = new SourceDouble();
    const loop = new LoopDouble();
    const rules = ",direction=output,safe=0,bias=pull-up";
    const rig = new LineRig("A", rules, source, loop);
    source.refusals = Infinity;
    source.refusalErrno = errno;
    const error = assertThrows(() => rig.line.start(), LineStartError);
    assertStringIncludes(
      error.message,
      `double cannot be made an output: ${text}`,
    );
    loop.pass(10_000);
    assertEquals(source.taken(), ["Output 0", "Output 0"]);
    assertEquals([rig.reports, rig.line.unsafe], [[], undefined]);
  }
});

Deno.test("a line whose guest is gone before it was started starts as it is to be without one", () => {
  for (
    const [rules, operations] of [
      [",direction=output,initial=1,safe=0", ["Output 0", "Output 0"]],
      [",direction=output,initial=1,on-disconnect=keep", []],
      [",initial=1,on-disconnect=input", ["Input 0"]],
    ] as const
  ) {
    const loop = new LoopDouble();
    const source = new SourceDouble();
    const { line } = new LineRig("A", rules, source, loop);
    source.refusals = 2;
    line.start();
    source.taken();
    source.refusals = operations.length === 2 ? 2 : 0;
    line.guestGone();
    assertEquals(source.taken(), operations);
    source.refusals = 0;
    loop.pass(2000);
    assertEquals([line.unsafe, source.direction, source.value], [
      undefined,
      operations.length === 1 ? Direction.Input : Direction.Output,
      operations.length === 0 ? 1 : 0,
    ]);
  }
});

Deno.test("a start that a slow chip refuses is retried", () => {
  const loop = new LoopDouble();
  const source = new SourceDouble();
  const rules = ",direction=output,initial=1";
  const { line, reports } = new LineRig("A", rules, source, loop);
  source.isSlow = true;
  source.refusals = 1;
  line.start();
  source.answer();
  assertEquals(reports, [`A lacks output, 1 at first: ${REASON}`]);
  loop.pass(10);
  source.answer();
  assertEquals([source.value, line.unsafe], [1, undefined]);
  assertEquals(source.taken(), ["Output 1", "Output 1"]);
});

Deno.test("a guest's end passes while a rule waits", () => {
  const { source, line } = rig(",safe=0");
  source.refusals = 2;
  line.guestGone();
  source.taken();
  line.submit(LineOperation.Deactivate, Departure.GuestGone);
  assertEquals(source.taken(), ["Deactivate 1"]);
});

Deno.test("PendingRule reports the first failure, then ever more rarely", () => {
  const clock = new LoopDouble();
  const rule = new PendingRule(clock, () => {});
  const reported: number[] = [];
  for (let second = 0; second <= 100; second++) {
    if (rule.failed("safe value 0", "busy", true)) reported.push(second);
    clock.pass(1000);
  }
  assertEquals(reported, [0, 10, 30, 70]);
  assertEquals(rule.over(), "101 failed attempts in 101.0 s");
  assertEquals(rule.over(), undefined);
});
