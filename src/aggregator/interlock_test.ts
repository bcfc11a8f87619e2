import { assertEquals } from "@std/assert";
import { LineRig, SourceDouble } from "../../tests/doubles/line_doubles.ts";
import {
  Direction,
  FAILED,
  LineOperation,
  PENDING,
  UNSPECIFIED,
} from "../virtio/line_port.ts";
import { Interlocks } from "./interlock.ts";

const PLACE = { file: "f", line: 1, column: 1, path: "interlocks[0]" };

/** Lines of aggregators `a` and `b` that exclude each other. */
function rig(
  rules = ["", ""],
  prepare: (source: SourceDouble) => void = () => {},
) {
  const sources = rules.map(() => new SourceDouble());
  sources.forEach(prepare);
  const lines = rules.map((rule, i) => new LineRig(`L${i}`, rule, sources[i]!));
  const interlocks = new Interlocks();
  const names = ["a", "b"];
  interlocks.set([{
    exclusive: rules.map((_, i) => ({ aggregator: names[i]!, line: `L${i}` })),
    place: PLACE,
  }]);
  for (const [i, { line }] of lines.entries()) {
    interlocks.add(names[i]!, [line]);
  }
  return { interlocks, sources, lines };
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
    place: PLACE,
  }]);
  assertEquals(b!.line.source.peek() + a!.line.source.peek(), 1);
});

Deno.test("an interlock forgets the lines of an aggregator that is gone", () => {
  const { interlocks, lines: [a, b] } = rig();
  drive(a!, 1);
  interlocks.remove("a");
  assertEquals(drive(b!, 1), 0);
});
