import { assertEquals } from "@std/assert";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import {
  Direction,
  FAILED,
  LineOperation,
  PENDING,
  UNSPECIFIED,
} from "../../line/port.ts";
import { SourceOperation } from "../line_source.ts";
import { InterlockedSource, Interlocks } from "./interlock.ts";

const POSITION = { file: "f", line: 1, column: 1, path: "interlocks[0]" };

/** Lines of aggregators `a` and `b` that exclude each other. */
function rig(
  rules = ["", ""],
  prepare: (source: SourceDouble, i: number) => void = () => {},
) {
  const loop = new LoopDouble();
  const sources = rules.map(() => new SourceDouble());
  sources.forEach(prepare);
  const lines = rules.map((rule, i) =>
    new LineRig(`L${i}`, rule, sources[i]!, loop)
  );
  const interlocks = new Interlocks();
  const names = ["a", "b"];
  interlocks.set([{
    exclusive: rules.map((_, i) => ({ aggregator: names[i]!, line: `L${i}` })),
    position: POSITION,
  }]);
  for (const [i, { line }] of lines.entries()) {
    interlocks.add(names[i]!, [line]);
  }
  return { interlocks, sources, lines, loop };
}

const drive = ({ line }: LineRig, value: number) =>
  line.submit(LineOperation.Output, value);

Deno.test("an interlock refuses a second active output, and says which is first", () => {
  const { lines: [a, b], sources } = rig();
  assertEquals(drive(a!, 1), 0);
  assertEquals(drive(b!, 1), FAILED);
  assertEquals(b!.reports, ["L1: a.L0 is active, which excludes it"]);
  assertEquals(b!.line.refusals, 1);
  assertEquals(sources[1]!.taken(), []);
  assertEquals(drive(b!, 0), 0);
  assertEquals(b!.line.submit(LineOperation.SetValue, 1), FAILED);
});

Deno.test("an interlock lets the other be active once the first is not", () => {
  const { lines: [a, b] } = rig();
  drive(a!, 1);
  assertEquals(a!.line.submit(LineOperation.SetValue, 0), 0);
  assertEquals(drive(b!, 1), 0);
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), FAILED);
  assertEquals(b!.line.submit(LineOperation.Input, 0), 0);
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), 0);
});

Deno.test("an interlock counts a line as active while a slow chip makes it so", () => {
  const { lines: [a, b], sources } = rig();
  sources[0]!.isSlow = true;
  assertEquals(drive(a!, 1), PENDING);
  assertEquals(drive(b!, 1), FAILED);
  sources[0]!.answer();
  assertEquals(a!.line.submit(LineOperation.SetValue, 0), PENDING);
  assertEquals(drive(b!, 1), FAILED);
  sources[0]!.answer();
  assertEquals(drive(b!, 1), 0);
});

Deno.test("an interlock does not hold a failed attempt against a line", () => {
  const { lines: [a, b], sources } = rig();
  sources[0]!.isAbsent = true;
  assertEquals(drive(a!, 1), FAILED);
  assertEquals(drive(b!, 1), 0);
});

Deno.test("an interlock counts a line as active while its chip is away", () => {
  const { lines: [a, b], sources } = rig();
  drive(a!, 1);
  sources[0]!.isAbsent = true;
  assertEquals(a!.line.submit(LineOperation.SetValue, 0), FAILED);
  assertEquals(drive(b!, 1), FAILED);
});

Deno.test("an interlock holds against safe values too", () => {
  const { lines: [a, b], sources } = rig(["", ",safe=1"]);
  drive(b!, 0);
  drive(a!, 1);
  sources[1]!.taken();
  b!.line.guestGone();
  assertEquals(sources[1]!.value, 0);
  assertEquals(b!.reports, ["L1: a.L0 is active, which excludes it"]);
});

Deno.test("an interlock knows a value that is taken over", () => {
  const { lines: [a, b], sources } = rig();
  drive(a!, 1);
  sources[1]!.value = 1;
  assertEquals(drive(b!, UNSPECIFIED), FAILED);
  sources[1]!.value = 0;
  assertEquals(drive(b!, UNSPECIFIED), 0);
});

Deno.test("an interlock takes the later back of two that are found active", () => {
  const { lines: [a, b], sources } = rig(["", ""], (source) => {
    source.direction = Direction.Output;
    source.value = 1;
  });
  assertEquals(sources.map(({ value }) => value), [1, 0]);
  assertEquals([a!.reports.length, b!.reports.length], [0, 1]);
});

Deno.test("interlocks can be taken back, and made anew", () => {
  const { interlocks, lines: [a, b] } = rig();
  drive(a!, 1);
  interlocks.set([]);
  assertEquals(drive(b!, 1), 0);
  interlocks.set([{
    exclusive: [
      { aggregator: "b", line: "L1" },
      { aggregator: "a", line: "L0" },
    ],
    position: POSITION,
  }]);
  assertEquals(b!.line.source.peek() + a!.line.source.peek(), 1);
});

Deno.test("an interlock forgets the lines of an aggregator that is gone", () => {
  const { interlocks, lines: [a, b] } = rig();
  drive(a!, 1);
  interlocks.remove("a");
  assertEquals(drive(b!, 1), 0);
});

/** Both are found active, as outputs. */
function active(source: SourceDouble): void {
  source.direction = Direction.Output;
  source.value = 1;
}

Deno.test("an interlock that cannot make a line inactive at start goes on trying", () => {
  const { lines: [a, b], sources, loop } = rig(["", ""], (source, i) => {
    active(source);
    if (i === 1) source.refusals = 4;
  });
  assertEquals(sources.map(({ value }) => value), [1, 1]);
  assertEquals(b!.reports, [
    "L1: a.L0 is active, which excludes it",
    "L1 lacks inactive by its interlock: remote I/O error (EREMOTEIO)",
  ]);
  assertEquals(b!.line.unsafe?.reason, "remote I/O error (EREMOTEIO)");
  // The guest of the first lets go: the second is there yet, and excludes.
  assertEquals(a!.line.submit(LineOperation.SetValue, 0), 0);
  assertEquals(drive(a!, 1), FAILED);
  loop.pass(30);
  assertEquals(sources.map(({ value }) => value), [0, 0]);
  assertEquals([b!.line.unsafe, b!.line.pendingRule], [undefined, undefined]);
  assertEquals(drive(a!, 1), 0);
});

Deno.test("a start does not undo what an interlock could not do yet", () => {
  const { lines: [, b], sources, loop } = rig(
    ["", ",direction=output,initial=as-is"],
    (source, i) => {
      active(source);
      if (i === 1) source.refusals = 2;
    },
  );
  b!.line.start();
  loop.pass(10);
  assertEquals(sources.map(({ value }) => value), [1, 0]);
});

Deno.test("an interlock takes a line that cannot be read for an active one", () => {
  const { lines: [a, b], sources, loop } = rig(["", ""], (source, i) => {
    source.direction = Direction.Output;
    source.isUnreadable = i === 0;
  });
  assertEquals(drive(b!, 1), FAILED);
  assertEquals(
    a!.line.pendingRule?.rule,
    "known value for its interlock",
  );
  // What is merely not known is not unsafe.
  assertEquals(a!.line.unsafe, undefined);
  sources[0]!.isUnreadable = false;
  loop.pass(1000);
  assertEquals(a!.line.pendingRule, undefined);
  assertEquals(drive(b!, 1), 0);
});

Deno.test("of two excluding lines that cannot be read the later becomes inactive", () => {
  const { lines: [a, b], sources } = rig(["", ""], (source) => {
    active(source);
    source.isUnreadable = true;
  });
  assertEquals(sources.map(({ value }) => value), [1, 0]);
  assertEquals(b!.reports, ["L1: a.L0 is active, which excludes it"]);
  assertEquals(drive(a!, 0), 0);
  assertEquals(drive(b!, 1), 0);
});

Deno.test("an interlock reads a line whose chip failed while it was made active", () => {
  const { lines: [a, b], sources, loop } = rig();
  drive(a!, 0);
  sources[0]!.refusals = 1;
  sources[0]!.isUnreadable = true;
  assertEquals(drive(a!, 1), FAILED);
  // It may have done it all the same.
  assertEquals(drive(b!, 1), FAILED);
  sources[0]!.isUnreadable = false;
  loop.pass(1000);
  assertEquals(drive(b!, 1), 0);
});

Deno.test("a line that is made safe while its chip is away excludes until it is back", () => {
  const { lines: [a, b], sources } = rig([",safe=0", ""]);
  drive(a!, 1);
  drive(b!, 0);
  sources[0]!.isAbsent = true;
  a!.line.guestGone();
  assertEquals(sources[0]!.log.at(-1), "remember SetValue 0");
  // Its wire may be active: its state is unknown.
  assertEquals(drive(b!, 1), FAILED);
  sources[0]!.isAbsent = false;
  sources[0]!.listener!.presence(true);
  assertEquals(sources[0]!.value, 0);
  assertEquals(drive(b!, 1), 0);
});

Deno.test("a line that is made active by its safe value while its chip is away excludes", () => {
  const { lines: [a, b], sources } = rig([",safe=1", ""]);
  drive(a!, 0);
  sources[0]!.isAbsent = true;
  a!.line.guestGone();
  assertEquals(sources[0]!.log.at(-1), "remember SetValue 1");
  assertEquals(drive(b!, 1), FAILED);
  // And the other way round: what is excluded is not remembered either.
  const { lines: [c, d], sources: [, late] } = rig(["", ",safe=1"]);
  drive(d!, 0);
  drive(c!, 1);
  late!.isAbsent = true;
  late!.taken();
  d!.line.guestGone();
  assertEquals(late!.taken(), []);
});

Deno.test("a line that comes back active beside one that excludes it is made inactive", () => {
  const { lines: [a, b], sources } = rig();
  sources[0]!.isAbsent = true;
  drive(b!, 1);
  sources[0]!.isAbsent = false;
  active(sources[0]!);
  sources[0]!.listener!.presence(true);
  assertEquals(sources.map(({ value }) => value), [0, 1]);
  assertEquals(a!.reports.slice(-2), [
    "L0 came",
    "L0: b.L1 is active, which excludes it",
  ]);
});

Deno.test("a line that is released while its chip drives it on excludes", () => {
  const { lines: [a, b], sources } = rig([",on-disconnect=release", ""]);
  drive(a!, 1);
  const { submit } = sources[0]!;
  // The chip's driver leaves it as it was.
  sources[0]!.submit = function (operation, argument) {
    const result = submit.call(this, operation, argument);
    this.direction = Direction.Output;
    return result;
  };
  a!.line.guestGone();
  assertEquals(drive(b!, 1), FAILED);
});

Deno.test("a line that stays inactive while its chip is away excludes none", () => {
  const { lines: [a, b], sources } = rig([",safe=0", ""]);
  drive(a!, 0);
  sources[0]!.isAbsent = true;
  a!.line.guestGone();
  assertEquals(sources[0]!.log.at(-1), "remember SetValue 0");
  assertEquals(drive(b!, 1), 0);
});

Deno.test("an active line excludes on when it cannot be made active again", () => {
  const { lines: [a, b], sources } = rig();
  drive(a!, 1);
  sources[0]!.isAbsent = true;
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), FAILED);
  assertEquals(drive(b!, 1), FAILED);
});

Deno.test("an active line excludes on when reading it fails", () => {
  const { lines: [a, b], sources } = rig();
  sources[0]!.isSlow = true;
  assertEquals(drive(a!, 1), PENDING);
  sources[0]!.answer();
  assertEquals(a!.line.submit(LineOperation.GetValue, 0), PENDING);
  sources[0]!.isAbsent = true;
  sources[0]!.answer();
  assertEquals(drive(b!, 1), FAILED);
});

Deno.test("an absent line that is excluded is not made active on its return", () => {
  const { lines: [a, b], sources: [, late] } = rig(
    ["", ",direction=output,initial=1"],
    (source, i) => source.isAbsent = i === 1,
  );
  drive(a!, 1);
  b!.line.start();
  assertEquals(late!.log, []);
  assertEquals(b!.reports, ["L1: a.L0 is active, which excludes it"]);
  assertEquals(a!.line.submit(LineOperation.SetValue, 0), 0);
  b!.line.start();
  assertEquals(late!.log, ["remember Output 1"]);
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), FAILED);
});

Deno.test("a line is in the interlocks that were set last only", () => {
  const { interlocks, lines: [a, b] } = rig();
  interlocks.set([]);
  drive(a!, 1);
  // Its lines are gone: a later interlock cannot name them.
  interlocks.remove("a");
  interlocks.set([{
    exclusive: [
      { aggregator: "a", line: "L0" },
      { aggregator: "b", line: "L1" },
    ],
    position: POSITION,
  }]);
  assertEquals(drive(b!, 1), 0);
});

Deno.test("an interlocked source reports all that its source does", () => {
  const source = new SourceDouble();
  const heard: string[] = [];
  const interlocked = new InterlockedSource("a.L0", source, () => {});
  const note = (what: string) => (...rest: unknown[]) => {
    heard.push([what, ...rest].join(" "));
  };
  interlocked.attach({
    completed: note("completed"),
    edge: note("edge"),
    presence: note("presence"),
    restored: note("restored"),
    applied: note("applied"),
    moved: note("moved"),
    rulePending: note("pending"),
    ruleHolds: note("holds"),
  });
  const reportAll = () => {
    const listener = source.listener!;
    listener.completed(1);
    listener.edge(0);
    listener.presence(true);
    listener.restored();
    listener.applied!(SourceOperation.SetValue, 1);
    listener.moved!(1);
    listener.rulePending!("safe", "busy");
    listener.ruleHolds!("safe", "2 attempts");
    return heard.splice(0);
  };
  assertEquals(reportAll(), [
    "completed 1",
    "edge 0",
    "presence true",
    "restored",
    `applied ${SourceOperation.SetValue} 1`,
    "moved 1",
    "pending safe busy",
    "holds safe 2 attempts",
  ]);
  interlocked[Symbol.dispose]();
  assertEquals(source.taken(), ["dispose"]);
  assertEquals(reportAll(), []);
});
