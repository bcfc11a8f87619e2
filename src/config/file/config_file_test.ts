import { assert, assertEquals } from "@std/assert";
import { rounds } from "../../../tests/environment/rounds.ts";
import { threadCpuMs } from "../../../tests/doubles/cpu_time.ts";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import { parseConfig } from "./config_file.ts";
import { parseLineSpec } from "../spec/line_spec.ts";
import { RULE_KEYS } from "../values/rules.ts";
import type { LineSpecification, Specification } from "../specification.ts";

function readSpecification(text: string): Specification {
  const result = parseConfig(text, "test.yaml");
  if ("specification" in result) return result.specification;
  throw new Error(result.errors.map(({ message }) => message).join("\n"));
}

/** The lines of one aggregator, without where they are written. */
function parseLines(lines: string, before = ""): Partial<LineSpecification>[] {
  const { aggregators } = readSpecification(
    `${before}aggregators:\n  a:\n    vhost-user: /run/a.sock\n    lines:\n${
      lines.replace(/^/gm, "      ")
    }\n`,
  );
  return aggregators[0]!.lines.map(withoutPosition);
}

function withoutPosition(
  { origin: _origin, position: _place, ...line }: LineSpecification,
) {
  return line;
}

const PLAIN = {
  direction: "any",
  activeLow: false,
  debounceUs: 0,
  onDisconnect: "keep",
  lane: false,
} as const;

Deno.test("parseConfig() reads aggregators, lines, rules and interlocks", () => {
  const { aggregators, interlocks } = readSpecification(`
# A press and its safety controller.
defaults: { bias: disabled }
aggregators:
  plc0:
    vhost-user: { socket: /run/gpioagg/plc0.sock, mode: "0660", group: kvm }
    defaults: { bias: pull-up }
    lines:
      - gpiochip0/0-1
      - { chip: soc-gpio, offset: 4, as: START, direction: input,
          active-low: true, debounce: 5ms }
      - { chip: { usb-serial: FT123, lines: 8 }, offsets: 0-1, as: IO }
      - { line: ESTOP, shared: true, direction: input }
      - { sim: 2 }
      - { wire: plc1.READY, as: PEER }
      - { const: 1, as: ON }
      - { copy: START, as: START2 }
      - { invert: plc1.READY, as: BUSY }
      - { chip: soc-gpio, offset: 9, as: LAMP, combine: or }
      - chip: soc-gpio
        offset: 10
        as: FORWARD
        direction: output
        initial: as-is
        safe: 0
        safe-after: 2s
        min-interval: 50ms
        optional: true
      - { chip: soc-gpio, offset: 11, as: REVERSE, safe: 0 }
  plc1:
    vhost-user: /run/gpioagg/plc1.sock
    lines:
      - { sim: 1, as: READY, direction: output }
      - { line: ESTOP, shared: true, bias: pull-up }
      - { chip: soc-gpio, offset: 9, as: ALARM, combine: or, bias: pull-up }
  board:
    qemu-pins: { qtest: /run/qt.sock, qmp: /run/qmp.sock, pins: { 0: A, 3: B } }
    lines: [ "sim/1,as=B", "sim/1,as=A" ]
  bmc:
    qemu-pins:
      qtest: /run/bmc/qt.sock
      qmp: /run/bmc/qmp.sock
      device: aspeed.gpio-ast2600
      pins: { gpioB0: A, 3: B, gpioAA7: C }
    control: { mode: "0600" }
    lines: [ "sim/1,as=A", "sim/1,as=B", "sim/1,as=C" ]
  host:
    kernel-chip: { group: gpio }
    lines: [ soc-gpio/20, { line: FOO, as: BAR } ]
interlocks:
  - exclusive: [plc0.FORWARD, plc0.REVERSE]
`);
  assertEquals(
    aggregators.map(({ name, position, lines, ...exposure }) => ({
      name,
      line: position?.line,
      count: lines.length,
      ...exposure,
    })),
    [
      {
        name: "plc0",
        line: 5,
        count: 15,
        vhostUser: {
          socketPath: "/run/gpioagg/plc0.sock",
          access: { mode: 0o660, group: "kvm" },
        },
      },
      {
        name: "plc1",
        line: 30,
        count: 3,
        vhostUser: { socketPath: "/run/gpioagg/plc1.sock" },
      },
      {
        name: "board",
        line: 36,
        count: 2,
        qemuPins: {
          qtest: "/run/qt.sock",
          qmp: "/run/qmp.sock",
          device: "pl061",
          pins: [{ pin: 0, lineNumber: 1 }, { pin: 3, lineNumber: 0 }],
        },
      },
      {
        name: "bmc",
        line: 39,
        count: 3,
        qemuPins: {
          qtest: "/run/bmc/qt.sock",
          qmp: "/run/bmc/qmp.sock",
          device: "aspeed.gpio-ast2600",
          pins: [
            { pin: 3, lineNumber: 1 },
            { pin: 8, name: "gpioB0", lineNumber: 0 },
            { pin: 215, name: "gpioAA7", lineNumber: 2 },
          ],
        },
        control: { access: { mode: 0o600 } },
      },
      {
        name: "host",
        line: 47,
        count: 2,
        kernelChip: { access: { group: "gpio" } },
      },
    ],
  );
  assertEquals(interlocks.map(({ exclusive }) => exclusive), [[
    { aggregator: "plc0", line: "FORWARD" },
    { aggregator: "plc0", line: "REVERSE" },
  ]]);
  const [plc0] = aggregators as [typeof aggregators[0]];
  assertEquals(plc0!.lines.map(withoutPosition), [
    ...[0, 1].map((offset) => ({
      ...PLAIN,
      source: { kind: "chip" as const, chip: "gpiochip0", offset },
      bias: "pull-up" as const,
    })),
    {
      ...PLAIN,
      source: { kind: "chip", chip: "soc-gpio", offset: 4 },
      name: "START",
      direction: "input",
      activeLow: true,
      debounceUs: 5000,
      bias: "pull-up",
    },
    ...[0, 1].map((offset) => ({
      ...PLAIN,
      source: {
        kind: "chip" as const,
        chip: "usb-serial:FT123+lines:8",
        offset,
        identity: { usbSerial: "FT123", lines: 8 },
      },
      name: `IO${offset}`,
      bias: "pull-up" as const,
    })),
    {
      ...PLAIN,
      source: { kind: "line-name", lineName: "ESTOP" },
      direction: "input",
      bias: "pull-up",
      shared: true,
    },
    ...[0, 1].map((n) => ({
      ...PLAIN,
      source: { kind: "sim" as const },
      name: `sim${n}`,
      bias: "pull-up" as const,
    })),
    {
      ...PLAIN,
      source: { kind: "wire", to: { aggregator: "plc1", line: "READY" } },
      name: "PEER",
      direction: "input",
      bias: "pull-up",
    },
    {
      ...PLAIN,
      source: { kind: "const", value: 1 },
      name: "ON",
      direction: "input",
    },
    {
      ...PLAIN,
      source: { kind: "copy", of: { aggregator: "plc0", line: "START" } },
      name: "START2",
      direction: "input",
    },
    {
      ...PLAIN,
      source: { kind: "invert", of: { aggregator: "plc1", line: "READY" } },
      name: "BUSY",
      direction: "input",
    },
    {
      ...PLAIN,
      source: { kind: "chip", chip: "soc-gpio", offset: 9 },
      name: "LAMP",
      direction: "output",
      onDisconnect: "release",
      bias: "pull-up",
      combine: "or",
    },
    {
      ...PLAIN,
      source: { kind: "chip", chip: "soc-gpio", offset: 10 },
      name: "FORWARD",
      direction: "output",
      onDisconnect: "safe",
      bias: "pull-up",
      initial: "as-is",
      safe: 0,
      safeAfterUs: 2_000_000,
      minIntervalUs: 50_000,
      optional: true,
    },
    {
      ...PLAIN,
      source: { kind: "chip", chip: "soc-gpio", offset: 11 },
      name: "REVERSE",
      onDisconnect: "safe",
      bias: "pull-up",
      safe: 0,
    },
  ]);
});

Deno.test("parseConfig() gives plain data that another thread can take", () => {
  const specification = readSpecification(
    "aggregators: { a: { vhost-user: { fd: 3 }, lines: [sim/1, copy/sim0] } }",
  );
  assertEquals(structuredClone(specification), specification);
  assertEquals(JSON.parse(JSON.stringify(specification)), specification);
});

/** One SPEC, and the same in keys. */
const EQUAL: readonly (readonly [spec: string, keys: string])[] = [
  ["gpiochip0/4", "{ chip: gpiochip0, offset: 4 }"],
  ["2/4", "{ chip: 2, offset: 4 }"],
  ["/dev/gpiochip1/0-3,9", "{ chip: /dev/gpiochip1, offsets: '0-3,9' }"],
  ["soc/0-1,4", "{ chip: soc, offsets: [0-1, 4] }"],
  ["ESTOP", "{ line: ESTOP }"],
  ["A\\,B", "{ line: 'A,B' }"],
  ["label:soc-gpio/3", "{ chip: { label: soc-gpio }, offset: 3 }"],
  ["label:soc-gpio/ESTOP", "{ chip: { label: soc-gpio }, line: ESTOP }"],
  [
    "usb-serial:0123+lines:8/0",
    "{ chip: { lines: 8, usb-serial: 0123 }, offset: 0 }",
  ],
  ["i2c:1-20/0", "{ chip: { i2c: 1-0x20 }, offset: 0 }"],
  [
    "device:/sys/devices/platform/x.gpio/2",
    "{ chip: { device: /devices/platform/x.gpio }, offset: 2 }",
  ],
  [
    "device-tree:/soc/gpio@1000/2",
    "{ chip: { device-tree: /soc/gpio@1000 }, offset: 2 }",
  ],
  ["path:/dev/gpio-panel/2", "{ chip: { path: /dev/gpio-panel }, offset: 2 }"],
  ["sim/3", "{ sim: 3 }"],
  ["sim/2,as=LED", "{ sim: 2, as: LED }"],
  ["const/1,as=ONE", "{ const: 1, as: ONE }"],
  ["const/off", "{ const: inactive }"],
  ["copy/sim0", "{ copy: sim0 }"],
  ["invert/a.sim0", "{ invert: a.sim0 }"],
  ["wire/a.sim0,active-low", "{ wire: sim0, active-low: true }"],
  ["x/1,direction=input", "{ chip: x, offset: 1, direction: input }"],
  ["x/1,bias=pull-down", "{ chip: x, offset: 1, bias: pull-down }"],
  ["x/1,drive=open-drain", "{ chip: x, offset: 1, drive: open-drain }"],
  ["x/1,active-low", "{ chip: x, offset: 1, active-low: true }"],
  ["x/1,active-low=0", "{ chip: x, offset: 1, active-low: false }"],
  ["x/1,debounce=250us", "{ chip: x, offset: 1, debounce: 250us }"],
  ["x/1,debounce=7", "{ chip: x, offset: 1, debounce: 7 }"],
  ["x/1,initial=1", "{ chip: x, offset: 1, initial: active }"],
  ["x/1,initial=as-is", "{ chip: x, offset: 1, initial: as-is }"],
  ["x/1,safe=0", "{ chip: x, offset: 1, safe: off }"],
  ["x/1,on-disconnect=input", "{ chip: x, offset: 1, on-disconnect: input }"],
  [
    "x/1,safe=1,safe-after=2s,on-disconnect=keep",
    "{ chip: x, offset: 1, safe: 1, safe-after: 2s, on-disconnect: keep }",
  ],
  ["x/1,min-interval=50ms", "{ chip: x, offset: 1, min-interval: 50ms }"],
  ["x/1,shared", "{ chip: x, offset: 1, shared: true }"],
  ["x/1,combine=and", "{ chip: x, offset: 1, combine: and }"],
  ["x/1,optional", "{ chip: x, offset: 1, optional: true }"],
  ["x/1,lane", "{ chip: x, offset: 1, lane: true }"],
];

for (const [spec, keys] of EQUAL) {
  Deno.test(`parseConfig() reads ${keys} as the SPEC ${spec}`, () => {
    const pin = "- { sim: 1, as: sim0 }\n";
    const lines = spec.startsWith("sim") ? "" : pin;
    const quoted = JSON.stringify(spec);
    const inKeys = parseLines(`${lines}- ${keys}`);
    assertEquals(inKeys, parseLines(`${lines}- ${quoted}`));
    const alone = parseLineSpec(spec).map(withoutPosition);
    const isReference = /^(copy|invert|wire)/.test(spec);
    if (!isReference) assertEquals(inKeys.slice(lines === "" ? 0 : 1), alone);
  });
}

Deno.test("every rule exists as a key and in a SPEC", () => {
  const shown = EQUAL.map(([spec, keys]) => ({ spec, keys }));
  for (const rule of RULE_KEYS) {
    assert(
      shown.some(({ spec, keys }) =>
        new RegExp(`,${rule}(=|,|$)`).test(spec) && keys.includes(`${rule}:`)
      ),
      `no example of ${rule}`,
    );
  }
});

Deno.test("parseConfig() names each of several lines", () => {
  assertEquals(
    parseLines("- { chip: x, offsets: 0-2, as: [A, B, C] }").map(({ name }) =>
      name
    ),
    ["A", "B", "C"],
  );
});

Deno.test("parseConfig() applies defaults where they make sense", () => {
  const [input, output, own, virtual] = parseLines(
    `- { sim: 1, direction: input }
- { sim: 1, direction: output }
- { sim: 1, bias: disabled, debounce: 1ms, safe: 1 }
- { const: 0 }`,
    "defaults: { bias: pull-up, debounce: 5ms, safe: 0, safe-after: 1s }\n",
  );
  assertEquals(input, {
    ...PLAIN,
    source: { kind: "sim" },
    name: "sim0",
    direction: "input",
    bias: "pull-up",
    debounceUs: 5000,
  });
  assertEquals(output, {
    ...PLAIN,
    source: { kind: "sim" },
    name: "sim1",
    direction: "output",
    bias: "pull-up",
    safe: 0,
    safeAfterUs: 1_000_000,
    onDisconnect: "safe",
  });
  assertEquals([own?.bias, own?.debounceUs, own?.safe], ["disabled", 1000, 1]);
  assertEquals(virtual, {
    ...PLAIN,
    source: { kind: "const", value: 0 },
    direction: "input",
  });
});

Deno.test("parseConfig() gives a shared line the settings of any of its users", () => {
  const { aggregators } = readSpecification(`
aggregators:
  a: { vhost-user: /a.sock, lines: [{ line: X, shared: true }] }
  b: { vhost-user: /b.sock, lines: [{ line: X, shared: true, bias: pull-up }] }
  c: { vhost-user: /c.sock, lines: [{ line: X, shared: true, debounce: 5ms }] }
`);
  for (const { lines: [line] } of aggregators) {
    assertEquals([line?.bias, line?.debounceUs], ["pull-up", 5000]);
  }
});

Deno.test("parseConfig() prefers an aggregator's defaults to the file's", () => {
  const { aggregators } = readSpecification(`
defaults: { bias: pull-up, safe: 1 }
aggregators:
  a: { vhost-user: /a.sock, defaults: { bias: disabled }, lines: [sim/1] }
  b: { vhost-user: /b.sock, lines: ["sim/1,safe=0"] }
`);
  assertEquals(
    aggregators.map(({ lines: [line] }) => [line?.bias, line?.safe]),
    [["disabled", 1], ["pull-up", 0]],
  );
});

Deno.test("parseConfig() resolves names with dots in their own aggregator first", () => {
  const lines = parseLines("- { sim: 1, as: LED.2 }\n- { copy: LED.2 }");
  assertEquals(lines[1]?.source, {
    kind: "copy",
    of: { aggregator: "a", line: "LED.2" },
  });
});

Deno.test("parseConfig() says where each line is written", () => {
  const { aggregators } = readSpecification(
    "aggregators:\n  a:\n    vhost-user: /a.sock\n    lines:\n" +
      "      - chip0/0-1\n      - { sim: 1 }\n",
  );
  assertEquals(
    aggregators[0]!.lines.map(({ position }) =>
      `${position?.file}:${position?.line}:${position?.column} ${position?.path}`
    ),
    [
      "test.yaml:5:9 aggregators.a.lines[0]",
      "test.yaml:5:9 aggregators.a.lines[0]",
      "test.yaml:6:9 aggregators.a.lines[1]",
    ],
  );
});

testLarge("parseConfig() reads many thousand lines in a moment", () => {
  const entries = rounds(6000, 1500);
  const start = threadCpuMs();
  const { aggregators } = readSpecification(
    "aggregators:\n  a:\n    vhost-user: /a.sock\n    lines:\n" +
      Array.from(
        { length: entries },
        (_, i) => `      - { chip: chip${i}, offsets: 0-9, as: L${i}_ }\n`,
      ).join(""),
  );
  assertEquals(aggregators[0]!.lines.length, 10 * entries);
  // Far less than four times the lines, were their cost a square.
  assert(threadCpuMs() - start < rounds(20_000, 2000));
});

Deno.test("parseConfig() reads how long a driver may be stopped, of its vhost-user exposure", () => {
  const pausesOf = (keys: string) => {
    const result = parseConfig(
      `aggregators:\n  a:\n    vhost-user: /a.sock\n    lines: [const/1]\n    ${keys}`,
      "x.yaml",
    );
    if ("errors" in result) throw result.errors[0];
    return result.specification.aggregators.map((one) => one.pausedForUs);
  };
  assertEquals(pausesOf(""), [undefined]);
  assertEquals(pausesOf("paused-for: keep"), ["keep"]);
  assertEquals(pausesOf("paused-for: 90s"), [90_000_000]);
  assertEquals(pausesOf("paused-for: 250"), [250_000]);
  assertEquals(
    pausesOf("paused-for: 1s\n    qemu-pins: { qtest: /q, qmp: /m }"),
    [1_000_000, undefined],
  );
});

Deno.test("parseConfig() takes a name of digits as it is written, and null in quotes", () => {
  const { aggregators } = readSpecification(`
aggregators:
  5: { vhost-user: /run/5.sock, lines: [sim/1] }
  007: { vhost-user: /run/7.sock, lines: [sim/1] }
  "null": { vhost-user: /run/n.sock, lines: [sim/1] }
`);
  assertEquals(
    aggregators.map(({ name }) => name).sort(),
    ["007", "5", "null"],
  );
});

Deno.test("parseConfig() reads a record of edges in a word or in keys", () => {
  const recordOf = (text: string) =>
    readSpecification(
      `record: ${text}\naggregators: { a: { vhost-user: /run/a.sock, lines: [sim/1] } }\n`,
    ).record;
  assertEquals(recordOf("off"), { keep: 0, withInputs: false });
  assertEquals(
    recordOf("{ file: /var/edges, size: 2GB, keep: 5000, inputs: true }"),
    {
      keep: 5000,
      withInputs: true,
      file: { path: "/var/edges", size: 2_000_000_000 },
    },
  );
  assertEquals(recordOf("{ inputs: true }"), { withInputs: true });
});
