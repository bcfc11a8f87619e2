import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { LoopDouble, SourceDouble } from "../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import { Departure, Direction, Edges, LineOperation } from "../line/port.ts";
import { Aggregator } from "./aggregator.ts";
import { type LineSource, SourceOperation } from "./line_source.ts";
import { forcedFdName } from "./restart/fd_store.ts";
import { CombinedOutput } from "./sharing/combined_output.ts";
import { Interlocks } from "./rules/interlock.ts";
import { LineDirectory } from "./sharing/line_directory.ts";

const OUTPUT = ",direction=output,initial=0";

/** An aggregator with a line for each of the rules: A, B, … */
function rig(
  rules: readonly string[],
  {
    store = new FdStoreDouble(),
    isKept = false,
    exclusive = false,
    hasGuest = true,
    combined,
    offsets = rules.map((_, i) => i),
    areSimulated = false,
  }: {
    store?: FdStoreDouble;
    isKept?: boolean;
    exclusive?: boolean;
    hasGuest?: boolean;
    /** Numbers of its lines on their chip. */
    offsets?: readonly number[];
    areSimulated?: boolean;
    /** Makes its lines users of outputs that others use too. */
    combined?: (line: number) => LineSource;
  } = {},
) {
  const loop = new LoopDouble();
  const told: string[] = [];
  const heard: string[] = [];
  const sources: SourceDouble[] = [];
  const interlocks = new Interlocks();
  const names = rules.map((_, i) => "ABC"[i]!);
  if (exclusive) {
    interlocks.set([{
      exclusive: names.map((line) => ({ aggregator: "a", line })),
      position: { file: "", line: 0, column: 0, path: "" },
    }]);
  }
  const aggregator = Aggregator.open({
    name: "a",
    lines: rules.flatMap((rule, i) =>
      parseLineSpec(
        areSimulated
          ? `sim/1,as=${names[offsets[i]!]}${rule}`
          : `gpiochip0/${offsets[i]},as=${names[i]}${rule}`,
      )
    ),
  }, {
    loop,
    now: () => loop.now,
    store,
    openSource: () => {
      const user = combined?.(sources.length);
      if (user !== undefined) return user;
      const source = new SourceDouble();
      source.isKept = isKept;
      if (isKept) {
        source.direction = Direction.Output;
        source.value = 1;
      }
      sources.push(source);
      return source;
    },
    directory: new LineDirectory(),
    interlocks,
    reporter: {
      refused: (line, reason) => told.push(`refused ${line.name}: ${reason}`),
      kernelRefused: () => told.push("kernel refused"),
      presence: () => told.push("presence"),
      silent: (line) => told.push(`silent ${line.name}`),
      rulePending: (line, rule) => told.push(`${line.name} lacks ${rule}`),
      ruleHolds: (line, rule) => told.push(`${line.name} has ${rule}`),
      forced: (line, text) =>
        told.push(`${line.name}=${text.replace(/ until \S+/, "")}`),
      unforced: (line, reason, id) =>
        told.push(`${line.name} free (${id}): ${reason}`),
      notBack: () => told.push("not back"),
    },
  });
  for (const line of aggregator.lines) {
    line.attach({
      completed: (_, result) => heard.push(`done ${result}`),
      edge: (_, value) => heard.push(`edge ${value}`),
      restored: () => heard.push("restored"),
    }, line.lineNumber);
  }
  if (hasGuest) aggregator.guestBegan();
  const force = (lines: Record<string, 0 | 1>, forMs = 1000, id = "1") =>
    aggregator.force({
      lines: Object.entries(lines),
      forMs,
      reason: "test",
      by: 7,
      id,
    });
  return {
    aggregator,
    loop,
    store,
    told,
    heard,
    sources,
    force,
    lines: aggregator.lines,
    /** Texts of refusals. */
    refusal: (lines: Record<string, 0 | 1>) =>
      assertThrows(() => force(lines), RangeError).message,
  };
}

Deno.test("a forced output has its value whatever its guest asks, then the guest's", () => {
  const { loop, told, sources: [source], force, lines: [line] } = rig([OUTPUT]);
  line!.submit(LineOperation.SetValue, 1);
  source!.taken();
  force({ A: 0 });
  assertEquals([source!.value, line!.value], [0, 0]);
  assertEquals(line!.force!.requested.argument, 1);
  // The guest does not notice, but by reading.
  assertEquals(line!.submit(LineOperation.SetValue, 1), 0);
  assertEquals(line!.submit(LineOperation.Output, 1), 0);
  assertEquals(line!.submit(LineOperation.GetValue, 0), 0);
  assertEquals(line!.refusals, 0);
  assertEquals(source!.taken(), ["SetValue 0", "GetValue 0"]);
  loop.pass(999);
  assertEquals(source!.value, 0);
  loop.pass(1);
  assertEquals([source!.value, line!.force, loop.size], [1, undefined, 0]);
  assertEquals(told, ["A=0 by uid 7: test", "A free (1): its time is over"]);
  assertEquals(line!.submit(LineOperation.SetValue, 0), 0);
  assertEquals(source!.value, 0);
});

Deno.test("the last request of the guest is what a line goes back to", () => {
  for (
    const [requests, direction, value] of [
      [[], Direction.Output, 0],
      [[[LineOperation.SetValue, 1]], Direction.Output, 1],
      [[[LineOperation.Input, 0]], Direction.Input, 1],
      [
        [[LineOperation.Input, 0], [LineOperation.SetValue, 0]],
        Direction.Input,
        1,
      ],
      [
        [[LineOperation.Input, 0], [LineOperation.Output, 0]],
        Direction.Output,
        0,
      ],
      [
        [[LineOperation.SetValue, 1], [LineOperation.Output, -1]],
        Direction.Output,
        1,
      ],
    ] as const
  ) {
    const { aggregator, sources: [source], force, lines: [line] } = rig([
      ",initial=0",
    ]);
    force({ A: 1 });
    for (const [operation, argument] of requests) {
      line!.submit(operation, argument);
    }
    assertEquals(source!.value, 1);
    aggregator.endForces("over");
    assertEquals([source!.direction, source!.value], [direction, value]);
  }
});

Deno.test("a forced input shows its value to the guest, with the edges that it asked for", () => {
  const { loop, heard, sources: [source], force, lines: [line] } = rig([""]);
  line!.submit(LineOperation.SetEdges, Edges.Both);
  force({ A: 1 });
  assertEquals(heard.splice(0), ["edge 1"]);
  assertEquals(line!.submit(LineOperation.GetValue, 0), 1);
  source!.change(1);
  source!.change(0);
  source!.change(1);
  assertEquals([heard, line!.value], [[], 1]);
  // Another force in its place, and back.
  force({ A: 0 }, 1000, "2");
  assertEquals(heard.splice(0), ["edge 0"]);
  force({ A: 0 }, 1000, "3");
  assertEquals(heard, []);
  loop.pass(1000);
  assertEquals(heard, ["edge 1"]);
  assertEquals([line!.value, line!.force], [1, undefined]);
  const quiet = rig([""]);
  quiet.force({ A: 1 });
  quiet.loop.pass(1000);
  assertEquals(quiet.heard, [], "the guest asked for no edges");
});

Deno.test("a guest that makes a forced input an output ends the force", () => {
  const { told, sources: [source], force, lines: [line] } = rig([""]);
  force({ A: 1 });
  assertEquals(line!.submit(LineOperation.Output, 0), 0);
  assertEquals([source!.direction, line!.value], [Direction.Output, 0]);
  assertEquals(told.at(-1), "A free (1): its guest made it an output");
});

Deno.test("a force is refused against an interlock, and goes back through it", () => {
  const { loop, told, sources: [a, b], force, refusal, lines } = rig(
    [OUTPUT, OUTPUT],
    { exclusive: true },
  );
  lines[0]!.submit(LineOperation.SetValue, 1);
  assertStringIncludes(refusal({ B: 1 }), "a.A is active, which excludes it");
  // Both at once are one too many, and none of them is left.
  lines[0]!.submit(LineOperation.SetValue, 0);
  refusal({ A: 1, B: 1 });
  assertEquals([a!.value, b!.value], [0, 0]);
  assertEquals(lines.map(({ force }) => force), [undefined, undefined]);
  lines[0]!.submit(LineOperation.SetValue, 1);
  // What goes off lets the other one on.
  force({ B: 1, A: 0 });
  assertEquals([a!.value, b!.value], [0, 1]);
  told.length = 0;
  loop.pass(1000);
  // The other way round at the end.
  assertEquals([a!.value, b!.value], [1, 0]);
  assertEquals(told.filter((one) => one.startsWith("refused")), []);
});

Deno.test("a safe state is not overridden: neither by a force, nor for its rest", () => {
  const { aggregator, loop, told, sources: [a, b], force, refusal } = rig(
    [`${OUTPUT},safe=0,safe-after=5s`, OUTPUT],
  );
  force({ A: 1, B: 1 }, 60_000);
  assertEquals([a!.value, b!.value], [1, 1]);
  aggregator.guestGone();
  assertEquals([a!.value, b!.value], [0, 1]);
  assertEquals(told.at(-1), "A free (1): its guest is gone");
  assertStringIncludes(refusal({ A: 1 }), "safe state is not overridden");
  force({ A: 0 });
  loop.pass(1000);
  assertEquals(a!.value, 0);
  // One that stays as its guest left it can be forced without one.
  force({ B: 0 }, 1000);
  assertEquals(b!.value, 0);
  loop.pass(1000);
  assertEquals(b!.value, 0);
  aggregator.guestBegan();
  force({ A: 1 });
  assertEquals(a!.value, 1);
});

Deno.test("a silent guest's safe value ends a force, and is not overridden", () => {
  const { loop, told, sources: [source], force, refusal, lines: [line] } = rig(
    [`${OUTPUT},safe=0,safe-after=5s`],
  );
  line!.submit(LineOperation.SetValue, 0);
  force({ A: 1 }, 60_000);
  loop.pass(4999);
  assertEquals(source!.value, 1, "an operator is no guest");
  loop.pass(1);
  assertEquals(source!.value, 0);
  assertEquals(told.slice(-2), ["A free (1): its guest is silent", "silent A"]);
  assertStringIncludes(refusal({ A: 1 }), "its guest is silent");
  line!.submit(LineOperation.GetValue, 0);
  force({ A: 1 });
  assertEquals(source!.value, 1);
});

Deno.test("min-interval holds for a force, and for the way back", () => {
  const { loop, sources: [source], force, refusal, lines: [line] } = rig([
    `${OUTPUT},min-interval=200ms`,
  ]);
  line!.submit(LineOperation.SetValue, 1);
  loop.pass(50);
  assertStringIncludes(refusal({ A: 0 }), "min-interval has 150 ms left");
  // What changes nothing needs no rest.
  force({ A: 1 }, 100);
  assertEquals(line!.submit(LineOperation.SetValue, 0), 0);
  assertEquals(line!.submit(LineOperation.SetValue, 1), 0);
  assertEquals(line!.submit(LineOperation.SetValue, 0), 0);
  assertEquals(line!.refusals, 0, "it changes nothing meanwhile");
  loop.pass(100);
  assertEquals([source!.value, line!.force?.value], [1, 1]);
  loop.pass(100);
  assertEquals([source!.value, line!.force, loop.size], [0, undefined, 0]);
});

Deno.test("a forced value that a slow or failing chip does not take is retried", () => {
  const { loop, told, sources: [source], force, lines: [line] } = rig([OUTPUT]);
  source!.isSlow = true;
  force({ A: 1 });
  source!.answer();
  assertEquals(source!.value, 1);
  assertEquals(line!.submit(LineOperation.SetValue, 0), 0);
  loop.pass(1000);
  source!.answer();
  assertEquals([source!.value, line!.force], [0, undefined]);
  source!.isSlow = false;
  source!.refusals = 2;
  told.length = 0;
  force({ A: 1 });
  assertEquals(told[1], "A lacks forced value 1");
  assertEquals(line!.pendingRule?.rule, "forced value 1");
  loop.pass(10);
  assertEquals([source!.value, told[2]], [1, "A has forced value 1"]);
});

Deno.test("forces end with the aggregator, and its rules hold then", () => {
  for (const rule of ["", ",safe=0"]) {
    const { aggregator, loop, told, sources: [source], force } = rig([
      OUTPUT + rule,
    ]);
    force({ A: 1 });
    aggregator[Symbol.dispose]();
    assertEquals(source!.value, 0);
    assertEquals(told.at(-1), "A free (1): its aggregator ends");
    assertEquals(loop.size, 0);
  }
});

Deno.test("the next process ends forces: lines go where their guest wanted them", () => {
  const before = rig([OUTPUT, OUTPUT, OUTPUT]);
  before.force({ A: 1, B: 1 });
  before.lines[1]!.submit(LineOperation.SetValue, 1);
  before.aggregator.endForces("over", ["C"]);
  const after = rig([OUTPUT, OUTPUT, OUTPUT], {
    store: before.store.restart(),
    isKept: true,
    hasGuest: false,
  });
  assertEquals(after.sources.map(({ value }) => value), [0, 1, 1]);
  assertEquals(after.told, [
    "A free (): the service was restarted",
    "B free (): the service was restarted",
  ]);
  // Not once more.
  const third = rig([OUTPUT], {
    store: after.store.restart(),
    isKept: true,
    hasGuest: false,
  });
  assertEquals([third.sources[0]!.value, third.told], [1, []]);
});

Deno.test("lines of a changed file go where the guest wanted them, and not others", () => {
  const before = rig([OUTPUT, OUTPUT, OUTPUT]);
  before.force({ A: 1, C: 1 });
  before.lines[2]!.submit(LineOperation.SetValue, 1);
  // The first is gone, and the last comes first.
  const after = rig([OUTPUT, OUTPUT], {
    store: before.store.restart(),
    isKept: true,
    hasGuest: false,
    offsets: [2, 1],
  });
  assertEquals(after.told, ["A free (): the service was restarted"]);
  assertEquals(after.sources.map(({ value }) => value), [1, 1]);
  assertEquals(after.store.problems, [
    "line 0 of a was forced, and is another line now",
  ]);
});

Deno.test("simulated lines are told apart by their names, which a file may reorder", () => {
  const before = rig([OUTPUT, OUTPUT, OUTPUT], { areSimulated: true });
  before.force({ A: 1 });
  const options = { isKept: true, hasGuest: false, areSimulated: true };
  const same = rig([OUTPUT, OUTPUT, OUTPUT], {
    ...options,
    store: before.store.restart(),
  });
  assertEquals(same.told, ["A free (): the service was restarted"]);
  const again = rig([OUTPUT, OUTPUT, OUTPUT], { areSimulated: true });
  again.force({ A: 1 });
  const moved = rig([OUTPUT, OUTPUT, OUTPUT], {
    ...options,
    store: again.store.restart(),
    offsets: [1, 2, 0],
  });
  assertEquals(moved.told, ["A free (): the service was restarted"]);
  assertEquals(moved.lines[2]!.name, "A");
});

Deno.test("what an older version left of forces holds for as many lines as it had", () => {
  for (const [lines, told] of [[2, 1], [3, 0]] as const) {
    const store = new FdStoreDouble();
    using file = createMemFd("forced", 2);
    using memory = Mapping.map(file.fd, {
      length: 2,
      writable: true,
      subject: "forced",
    });
    // The output was set to 0.
    new Uint8Array(memory.buffer)[1] = 0x40 | (SourceOperation.Output << 1);
    store.keep(forcedFdName("a"), file.fd);
    const after = rig(Array(lines).fill(OUTPUT), {
      store: store.restart(),
      isKept: true,
      hasGuest: false,
    });
    assertEquals(after.told.length, told);
    assertEquals(after.sources[1]!.value, 1 - told);
  }
});

Deno.test("what an earlier process left of forces is judged, not believed", () => {
  const store = new FdStoreDouble();
  const before = rig([OUTPUT], { store });
  before.force({ A: 1 });
  // More lines than there are now, and none that was kept.
  const after = rig([OUTPUT], { store: before.store.restart() });
  assertEquals(after.sources[0]!.taken(), ["Output 0"]);
});

Deno.test("forces name what stands in their way", () => {
  const { aggregator, sources, refusal } = rig([OUTPUT]);
  assertStringIncludes(refusal({ A: 1, "0": 1 }), "named twice");
  sources[0]!.isUnreadable = true;
  assertStringIncludes(refusal({ A: 1 }), "its value is not known");
  sources[0]!.isUnreadable = false;
  sources[0]!.isAbsent = true;
  assertStringIncludes(refusal({ A: 1 }), "its chip is away");
  sources[0]!.isAbsent = false;
  aggregator.lines[0]!.withdraw();
  assertStringIncludes(refusal({ A: 1 }), "its aggregator ends");
  assertThrows(() => aggregator.endForces("over", ["X"]), RangeError);
});

Deno.test("a guest's end passes a force", () => {
  const { sources: [source], force, lines: [line] } = rig([OUTPUT]);
  force({ A: 1 });
  source!.taken();
  assertEquals(
    line!.submit(LineOperation.Deactivate, Departure.LineReleased),
    0,
  );
  assertEquals(source!.taken(), ["Deactivate 0"]);
  assertEquals(source!.value, 1);
});

/** Two aggregators whose lines A are users of one output. */
function combinedRig(combine: "or" | "and", rules = "") {
  const output = new SourceDouble();
  const combined = new CombinedOutput(
    output,
    combine,
    () => {},
    new LoopDouble(),
  );
  const [one, other] = ["press", "panel"].map((user) =>
    rig([`,combine=${combine},direction=output${rules}`], {
      combined: () =>
        combined.open({ user, keepsFound: false, onClose: () => {} }),
    })
  );
  const set = (value: 0 | 1, { lines: [line] }: ReturnType<typeof rig>) =>
    assertEquals(line!.submit(LineOperation.SetValue, value), 0);
  return { output, one: one!, other: other!, set };
}

Deno.test("a force holds a combined output, whatever its users ask", () => {
  for (const combine of ["or", "and"] as const) {
    const { output, one, other, set } = combinedRig(combine);
    const held = combine === "or" ? 0 : 1;
    const free = combine === "or" ? 1 : 0;
    set(free, other);
    one.force({ A: held });
    assertEquals(output.value, held, combine);
    set(free, one);
    set(held, other);
    set(free, other);
    assertEquals([output.value, one.lines[0]!.value], [held, held]);
    assertEquals(other.lines[0]!.refusals, 0);
    one.loop.pass(1000);
    assertEquals(output.value, free, "what its users want by then");
    set(held, one);
    assertEquals(output.value, free, "the other one wants it");
    set(held, other);
    assertEquals(output.value, held);
  }
});

Deno.test("the end of a force gives a combined output's users their own requests", () => {
  const { output, one, other, set } = combinedRig("or");
  set(1, other);
  // The output is 1, which its guest did not ask for.
  one.force({ A: 1 });
  set(0, other);
  assertEquals(output.value, 1);
  one.aggregator.endForces("over");
  assertEquals(output.value, 0);
});

Deno.test("two forces of a combined output have one value, and both have to end", () => {
  const { output, one, other, set } = combinedRig("or");
  set(1, one);
  one.force({ A: 0 });
  assertEquals(
    other.refusal({ A: 1 }),
    "cannot force a.A: the same output is forced to 0 by press: end that first",
  );
  other.force({ A: 0 }, 2000);
  one.loop.pass(1000);
  assertEquals(output.value, 0);
  other.loop.pass(2000);
  assertEquals(output.value, 1);
});

Deno.test("a force does not stand before the rules of a combined output's other users", () => {
  const { output, one, other, set } = combinedRig("or", ",safe=1");
  set(0, other);
  set(0, one);
  one.force({ A: 0 });
  other.aggregator.guestGone();
  assertEquals([output.value, one.lines[0]!.force], [1, undefined]);
  assertEquals(
    one.told.at(-1),
    "A free (1): a rule of panel has the same output at 1",
  );
  assertEquals(
    one.refusal({ A: 0 }),
    "cannot force a.A: the same output is 1 by a rule of panel, whose state " +
      "is not overridden",
  );
  // What all may want is no obstacle.
  const { one: first, other: second, output: line } = combinedRig(
    "or",
    ",safe=0",
  );
  set(1, first);
  first.force({ A: 0 });
  second.aggregator.guestGone();
  assertEquals([line.value, first.lines[0]!.force?.value], [0, 0]);
});
