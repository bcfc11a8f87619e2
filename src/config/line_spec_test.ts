import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "./config_error.ts";
import { parseLineSpec, parsePeriodUs } from "./line_spec.ts";

function sources(spec: string) {
  return parseLineSpec(spec).map((line) => line.source);
}

Deno.test("parseLineSpec() reads a chip with offsets, ranges and rules", () => {
  assertEquals(sources("gpiochip0/4"), [
    { kind: "chip", chip: "gpiochip0", offset: 4 },
  ]);
  assertEquals(
    sources("/dev/gpiochip2/0-2,9,direction=input").map((source) =>
      source.kind === "chip" && `${source.chip}:${source.offset}`
    ),
    [
      "/dev/gpiochip2:0",
      "/dev/gpiochip2:1",
      "/dev/gpiochip2:2",
      "/dev/gpiochip2:9",
    ],
  );
  assertEquals(sources("1/3"), [{ kind: "chip", chip: "1", offset: 3 }]);
});

Deno.test("parseLineSpec() takes everything else as a line's name", () => {
  assertEquals(sources("ESTOP"), [{ kind: "line-name", lineName: "ESTOP" }]);
  assertEquals(sources("SPI0/MISO,active-low"), [
    { kind: "line-name", lineName: "SPI0/MISO" },
  ]);
  assertEquals(sources("A\\,B"), [{ kind: "line-name", lineName: "A,B" }]);
});

Deno.test("parseLineSpec() names simulated lines through the aggregator", () => {
  assertEquals(parseLineSpec("sim/2", 3).map((line) => line.name), [
    "sim3",
    "sim4",
  ]);
  assertEquals(parseLineSpec("sim/2,as=LED").map((line) => line.name), [
    "LED0",
    "LED1",
  ]);
  assertEquals(parseLineSpec("sim/1,as=LED").map((line) => line.name), ["LED"]);
});

Deno.test("parseLineSpec() fills in the rules and their defaults", () => {
  const [plain] = parseLineSpec("gpiochip0/1");
  assertEquals(plain, {
    origin: "gpiochip0/1",
    source: { kind: "chip", chip: "gpiochip0", offset: 1 },
    direction: "any",
    activeLow: false,
    debounceUs: 0,
    onDisconnect: "keep",
    lane: false,
  });
  const [full] = parseLineSpec(
    "gpiochip0/1,as=VALVE,direction=output,bias=disabled,drive=open-drain," +
      "active-low,initial=1,safe=off",
  );
  assertEquals(full, {
    origin: "gpiochip0/1,as=VALVE,direction=output,bias=disabled," +
      "drive=open-drain,active-low,initial=1,safe=off",
    source: { kind: "chip", chip: "gpiochip0", offset: 1 },
    name: "VALVE",
    direction: "output",
    bias: "disabled",
    drive: "open-drain",
    activeLow: true,
    debounceUs: 0,
    initial: 1,
    safe: 0,
    onDisconnect: "safe",
    lane: false,
  });
});

Deno.test("parsePeriodUs() reads us, ms and s, and ms without a unit", () => {
  assertEquals(
    ["250us", "5ms", "7", "2s"].map(parsePeriodUs),
    [250, 5000, 7000, 2_000_000],
  );
  assertEquals(
    ["", "ms", "-5ms", "1.5s", "5 ms", "5000s"].map(parsePeriodUs),
    new Array(6).fill(undefined),
  );
});

const BROKEN: readonly (readonly [string, string])[] = [
  ["", "names no line"],
  [",as=x", "names no line"],
  ["sim", "does not say how many"],
  ["sim/x", "does not say how many"],
  ["sim/0", "is no number of simulated lines"],
  ["sim/1,3", "is no number of simulated lines"],
  ["sim/999999", "is no number of simulated lines"],
  ["gpiochip0/7-0", "runs backwards"],
  ["gpiochip0/0-3,2", "offset 2 is named twice"],
  ["gpiochip0/70000", "out of range"],
  ["gpiochip0/1,as=a,2", "stands behind a key"],
  ["gpiochip0/1,colour=red", 'unknown key "colour"'],
  ["gpiochip0/1,toString", 'unknown key "toString"'],
  ["gpiochip0/1,as", "has no value"],
  ["gpiochip0/1,as=", "an empty name"],
  ["gpiochip0/1,as=Grün", "7-bit"],
  ["gpiochip0/1,as=" + "x".repeat(32), "longer than 31"],
  ["gpiochip0/1,as=a,as=b", "given twice"],
  ["gpiochip0/1,direction=both", "direction=both is not known"],
  ["gpiochip0/1,bias=up", "bias=up is not known"],
  ["gpiochip0/1,initial=2", "initial=2 is no value"],
  ["gpiochip0/1,debounce=5m", "debounce=5m is no period"],
  ["gpiochip0/1,direction=input,initial=1", "direction=input forbids"],
  ["gpiochip0/1,direction=input,safe=1", "direction=input forbids"],
  ["gpiochip0/1,direction=input,drive=open-drain", "direction=input forbids"],
  ["gpiochip0/1,direction=output,debounce=1ms", "needs an input"],
  ["gpiochip0/1,direction=output,on-disconnect=input", "needs an input"],
  ["gpiochip0/1,on-disconnect=safe", "needs a value"],
  ["gpiochip0/1,safe=1,on-disconnect=keep", "never used"],
];

for (const [spec, problem] of BROKEN) {
  Deno.test(`parseLineSpec() refuses "${spec}" (${problem})`, () => {
    const error = assertThrows(
      () => parseLineSpec(spec),
      ConfigError,
      problem,
    );
    assertEquals(error.path, `--line ${spec}`);
  });
}
