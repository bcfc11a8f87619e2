import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../document/config_error.ts";
import { parsePeriodUs } from "../values/values.ts";
import { parseLineSpec, readSpec } from "./line_spec.ts";

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
  // The name of a line where there is not a valid chip SPI0: that shows when it is found.
  assertEquals(sources("SPI0/MISO,active-low"), [
    { kind: "line-name", lineName: "MISO", chip: "SPI0" },
  ]);
  assertEquals(sources("/dev/gpio/plc/READY"), [
    { kind: "line-name", lineName: "READY", chip: "/dev/gpio/plc" },
  ]);
  assertEquals(sources("A\\,B"), [{ kind: "line-name", lineName: "A,B" }]);
  assertEquals(sources("ETH\\/0"), [{ kind: "line-name", lineName: "ETH/0" }]);
  assertEquals(sources("caf\\xe9"), [
    { kind: "line-name", lineName: "caf\udce9" },
  ]);
  assertEquals(sources("back\\slash"), [
    { kind: "line-name", lineName: "back\\slash" },
  ]);
  assertEquals(sources("end\\\\,active-low"), [
    { kind: "line-name", lineName: "end\\" },
  ]);
});

Deno.test("parseLineSpec() takes commas in the path of a device", () => {
  for (const comma of [",", "\\,"]) {
    assertEquals(
      sources(`device-tree:/soc/qcom${comma}spmi@1000/pins/7,direction=input`),
      [{
        kind: "chip",
        chip: "device-tree:/soc/qcom,spmi@1000/pins",
        offset: 7,
        identity: { deviceTree: "/soc/qcom,spmi@1000/pins" },
      }],
    );
  }
});

Deno.test("parseLineSpec() takes a name that looks like a range, as its hint says", () => {
  const { hint } = assertThrows(
    () => parseLineSpec("gpiochip0/0..3"),
    ConfigError,
  );
  const name = "gpiochip0/\\x30..3";
  assertEquals(hint, `Write 0-3; a line of that name is ${name}`);
  assertEquals(sources(name), [
    { kind: "line-name", lineName: "0..3", chip: "gpiochip0" },
  ]);
});

Deno.test("parseLineSpec() refuses a chip without a line", () => {
  for (const spec of ["gpiochip0/", "/dev/gpiochip0/", "label:x/", "label:x"]) {
    assertThrows(
      () => parseLineSpec(spec),
      ConfigError,
      "names a chip but no line of it",
    );
  }
});

Deno.test("parsePeriodUs() takes fractions, minutes and hours", () => {
  const cases: [string, number | undefined][] = [
    ["5", 5000],
    ["0.5ms", 500],
    ["1.5s", 1_500_000],
    ["250us", 250],
    ["0.4us", 0],
    ["1m", 60_000_000],
    ["2min", 120_000_000],
    ["1h", 3_600_000_000],
    ["2h", undefined],
    ["5 ms", undefined],
    [".5s", undefined],
    ["1e3", undefined],
    ["-1s", undefined],
    ["", undefined],
  ];
  for (const [text, us] of cases) assertEquals(parsePeriodUs(text), us, text);
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
  // As the hint for a name in quotes says.
  assertEquals(
    parseLineSpec('sim/1,as=\\x22X"').map((line) => line.name),
    ['"X"'],
  );
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
    ["", "ms", "-5ms", "5 ms", "5000s"].map(parsePeriodUs),
    new Array(5).fill(undefined),
  );
});

const BROKEN: readonly (readonly [string, string])[] = [
  ["", "has no line"],
  [",as=x", "has no line"],
  ["gpiochip0/-1", '"-1" is not a valid offset'],
  ["gpiochip0/0x10", '"0x10" is not a valid offset'],
  ["gpiochip0/1-,as=X", '"1-" is not a valid offset'],
  ["gpiochip0", "names a chip but no line of it"],
  ["/dev/gpiochip12,as=X", "names a chip but no line of it"],
  ["sim:4", "has no number of simulated lines"],
  ["gpiochip0/0..3", '"0..3" is not a valid range of offsets'],
  ["gpiochip0/0 - 3,as=x", '"0 - 3" is not a valid range of offsets'],
  ["sim", "has no number of simulated lines"],
  ["sim/x", "has no number of simulated lines"],
  ["sim/0", "is not a valid number of simulated lines"],
  ["sim/1,3", "is not a valid number of simulated lines"],
  ["sim/999999", "is not a valid number of simulated lines"],
  ["gpiochip0/7-0", "is in descending order"],
  ["gpiochip0/0-3,2", "offset 2 is named twice"],
  ["gpiochip0/70000", "out of range"],
  ["gpiochip0/1,as=a,2", "stands behind a key"],
  ["gpiochip0/1,colour=red", 'unknown key "colour"'],
  ["gpiochip0/1,toString", 'unknown key "toString"'],
  ["gpiochip0/1,as", "has no value"],
  ["gpiochip0/1,as=", "an empty name"],
  ["gpiochip0/1,as=Grün", "7-bit"],
  ['gpiochip0/1,as="X"', 'as="X" has quotes around the value'],
  ["gpiochip0/1,as='X Y'", "has quotes around the value"],
  ['gpiochip0/1,direction="input"', "has quotes around the value"],
  ["gpiochip0/1,as=" + "x".repeat(32), "longer than 31"],
  ["gpiochip0/1,as=a,as=b", "given twice"],
  ["gpiochip0/1,direction=both", "direction=both is not known"],
  ["gpiochip0/1,bias=up", "bias=up is not known"],
  ["gpiochip0/1,initial=2", "initial=2 is not a valid value"],
  ["gpiochip0/1,debounce=5x", "debounce=5x is not a valid period"],
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

Deno.test("parseLineSpec() bounds the length of a SPEC and says so", () => {
  const longest = `gpiochip0/${"1,".repeat(8000)}`.slice(0, 16 * 1024);
  assertThrows(() => parseLineSpec(longest), ConfigError, "named twice");
  assertThrows(
    () => parseLineSpec("x".repeat(256 * 1024)),
    ConfigError,
    "has 262144 characters, and at most 16384 are possible",
  );
});

Deno.test("parseLineSpec() makes one error of a SPEC, however much is wrong", () => {
  let made = 0;
  const counting = (spec: string) => {
    readSpec(spec, () => made++);
    return made;
  };
  // 1600 repetitions of one range: one report each, not one per offset.
  const ranges = `gpiochip0/0-65534${",0-65534".repeat(1600)}`;
  assertEquals(counting(ranges), 1600);
  const error = assertThrows(() => parseLineSpec(ranges), ConfigError);
  assertEquals(error.message.length < 5000, true);
});

Deno.test("parseLineSpec() reads offsets up to the next key", () => {
  const offsets = Array.from({ length: 2000 }, (_, i) => i).join(",");
  const lines = parseLineSpec(`gpiochip0/${offsets},active-low`);
  assertEquals(lines.length, 2000);
  // Every line has it: the lines of a long SPEC must not be as long each.
  assertEquals(lines[0]!.origin.length, 200);
  assertEquals(lines.at(-1)!.source, {
    kind: "chip",
    chip: "gpiochip0",
    offset: 1999,
  });
  assertThrows(
    () => parseLineSpec("gpiochip0/0-4294967295"),
    ConfigError,
    "offset 4294967295 is out of range",
  );
});

Deno.test("readSpec() reports a few of many unknown keys", () => {
  const problems: string[] = [];
  const keys = Array.from({ length: 1000 }, (_, i) => `k${i % 500}=1`);
  readSpec(`x,${keys.join(",")}`, (problem) => problems.push(problem));
  assertEquals(problems.length, 20);
  assertEquals(problems[0], 'unknown key "k0"');
});
