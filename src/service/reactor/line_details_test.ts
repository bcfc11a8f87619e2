import { assert, assertEquals } from "@std/assert";
import { EdgeRecordDouble } from "../../../tests/doubles/edge_record.ts";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import { Interlocks } from "../../aggregator/rules/interlock.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { LineSpecification } from "../../config/specification.ts";
import { LineOperation } from "../../line/port.ts";
import { describeDetails } from "./line_details.ts";

/** Details of a line from this source. */
function detailsFrom(source: LineSpecification["source"]) {
  const [specification] = parseLineSpec("gpiochip0/0");
  return describeDetails(
    new AggregatorLine(
      "T",
      { ...specification!, source },
      new SourceDouble(),
      new LoopDouble(),
    ),
  );
}

Deno.test("describeDetails() tells a line's source as data, without rules that are the defaults", () => {
  const to = { aggregator: "crane", line: "READY" };
  const cases: [LineSpecification["source"], unknown][] = [
    [{ kind: "chip", chip: "soc-gpio", offset: 7 }, {
      kind: "chip",
      chip: "soc-gpio",
      offset: 7,
    }],
    [{ kind: "line-name", lineName: "ESTOP" }, {
      kind: "line-name",
      lineName: "ESTOP",
    }],
    [{ kind: "sim" }, { kind: "sim" }],
    [{ kind: "wire", to }, { kind: "wire", of: "crane.READY" }],
    [{ kind: "copy", of: to }, { kind: "copy", of: "crane.READY" }],
    [{ kind: "invert", of: to }, { kind: "invert", of: "crane.READY" }],
    [{ kind: "const", value: 0 }, { kind: "const", value: 0 }],
    // Of a lane: what it was before.
    [{
      kind: "lane",
      lane: 0,
      slot: 0,
      name: "",
      description: "",
      origin: { kind: "chip", chip: "gpiochip1", offset: 2 },
    }, { kind: "chip", chip: "gpiochip1", offset: 2 }],
  ];
  for (const [source, origin] of cases) {
    assertEquals<unknown>(detailsFrom(source), { origin });
  }
});

Deno.test("describeDetails() tells rules that are not the defaults, and those of a change", () => {
  const spec = "gpiochip0/0,direction=output,active-low,drive=open-drain," +
    "initial=1,safe=0,safe-after=2s,min-interval=5ms";
  const [specification] = parseLineSpec(spec);
  const { line } = new LineRig("T", "", new SourceDouble());
  line.changeRules(specification!);
  assertEquals(describeDetails(line).rules, {
    direction: "output",
    activeLow: true,
    drive: "open-drain",
    initial: 1,
    safe: 0,
    onDisconnect: "safe",
    safeAfterUs: 2_000_000,
    minIntervalUs: 5000,
  });
  const [input] = parseLineSpec(
    "gpiochip0/0,direction=input,bias=pull-up,debounce=5ms,shared",
  );
  line.changeRules(input!);
  assertEquals(describeDetails(line).rules, {
    direction: "input",
    bias: "pull-up",
    debounceUs: 5000,
    shared: true,
  });
});

Deno.test("describeDetails() tells the lines that exclude a line, each once and not too many", () => {
  const lines = Array.from(
    { length: 50 },
    (_, i) =>
      new LineRig(`L${i}`, ",direction=output", new SourceDouble()).line,
  );
  const interlocks = new Interlocks();
  interlocks.add("press", lines);
  const group = (...names: number[]) => ({
    exclusive: names.map((i) => ({ aggregator: "press", line: `L${i}` })),
    position: { file: "", line: 1, column: 1, path: "" },
  });
  interlocks.set([group(0, 1, 2), group(0, 1, 3)]);
  const named = (i: number) => describeDetails(lines[i]!).interlocks;
  assertEquals(named(0), ["press.L1", "press.L2", "press.L3"]);
  assertEquals(named(2), ["press.L0", "press.L1"]);
  assertEquals(named(4), undefined);
  interlocks.set([group(...lines.keys())]);
  assertEquals(named(0)?.length, 32);
  interlocks.set([]);
  assertEquals(named(0), undefined);
});

Deno.test("describeDetails() tells the cause of the last change, and its time", () => {
  const record = new EdgeRecordDouble();
  const { line } = new LineRig("T", "", new SourceDouble());
  line.submit(LineOperation.Output, 0);
  record.add(line);
  assertEquals(describeDetails(line).drivenBy, undefined);
  line.submit(LineOperation.SetValue, 1);
  record.now += 5e9;
  // It is no change.
  line.submit(LineOperation.SetValue, 1);
  const { drivenBy, since } = describeDetails(line);
  assertEquals(drivenBy, "guest");
  const ageMs = Date.now() - since!;
  assert(ageMs >= 4999, `${ageMs} ms`);
  line.makeInactive();
  assertEquals(describeDetails(line).drivenBy, "rule");
});
