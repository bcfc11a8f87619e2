import { assertEquals, assertThrows } from "@std/assert";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { readServeArguments } from "./serve_arguments.ts";

Deno.test("readServeArguments() begins another aggregator at every socket", () => {
  const { aggregators, json } = readServeArguments([
    "--socket-path",
    "/run/plc0.sock",
    "--line",
    "sim/2",
    "--line=gpiochip0/3",
    "--json",
    "--fd=7",
    "--line",
    "sim/1",
    "--name",
    "press",
  ]);
  assertEquals(json, true);
  assertEquals(
    aggregators.map(({ name, vhostUser, lines }) => ({
      name,
      vhostUser,
      lines: lines.map((line) => line.origin),
    })),
    [
      {
        name: "plc0",
        vhostUser: { socketPath: "/run/plc0.sock" },
        lines: ["sim/2", "sim/2", "gpiochip0/3"],
      },
      { name: "press", vhostUser: { fd: 7 }, lines: ["sim/1"] },
    ],
  );
});

Deno.test("readServeArguments() numbers simulated lines through an aggregator", () => {
  const { aggregators } = readServeArguments(
    "--socket-path a --line sim/1 --line X --line sim/2".split(" "),
  );
  assertEquals(aggregators[0]?.lines.map((line) => line.name), [
    "sim0",
    undefined,
    "sim1",
    "sim2",
  ]);
});

testLarge(
  "readServeArguments() takes as many lines as a device can have",
  () => {
    const { aggregators } = readServeArguments(
      "--socket-path a --line sim/65535".split(" "),
    );
    assertEquals(aggregators[0]?.lines.length, 65535);
  },
);

Deno.test("readServeArguments() takes pins inside QEMU as an exposure", () => {
  const { aggregators } = readServeArguments(
    "--qemu-pins qtest=/q,qmp=/m,index=1 --line sim/1".split(" "),
  );
  assertEquals(
    aggregators.map(({ name, qemuPins }) => ({ name, qemuPins })),
    [{
      name: "pl061",
      qemuPins: { qtest: "/q", qmp: "/m", device: "pl061", index: 1 },
    }],
  );
});

Deno.test("readServeArguments() ties pins to lines by name", () => {
  const { aggregators } = readServeArguments(
    ("--qemu-pins qtest=/q,qmp=/m,device=aspeed.gpio,gpioB0=A1,3=B " +
      "--line sim/2,as=A --line sim/1,as=B").split(" "),
  );
  assertEquals(aggregators[0]?.qemuPins, {
    qtest: "/q",
    qmp: "/m",
    device: "aspeed.gpio",
    index: undefined,
    pins: [
      { pin: 8, name: "gpioB0", lineNumber: 1 },
      { pin: 3, lineNumber: 2 },
    ],
  });
});

Deno.test("readServeArguments() knows every path from the root on", () => {
  const here = Deno.cwd();
  const { aggregators, api, apiLook, apiSockets, apiQemuSockets } =
    readServeArguments(
      ("--api api.sock,mode=600 --api-look ./x//look.sock --api-sockets . " +
        "--api-qemu-sockets ./qemu --api-qemu-sockets /run/qemu " +
        "--socket-path ../a.sock,mode=660 --line sim/1 " +
        "--qemu-pins qtest=q,qmp=./m --line sim/1").split(" "),
    );
  assertEquals(apiQemuSockets, [`${here}/qemu`, "/run/qemu"]);
  assertEquals([api, apiLook, apiSockets], [
    { path: `${here}/api.sock`, access: { mode: 0o600 } },
    { path: `${here}/x/look.sock`, access: {} },
    { path: here, access: {} },
  ]);
  assertEquals(aggregators.map(({ name, vhostUser }) => [name, vhostUser]), [
    ["a", { socketPath: `${here}/../a.sock`, access: { mode: 0o660 } }],
    ["pl061", undefined],
  ]);
  const { qtest, qmp } = aggregators[1]!.qemuPins!;
  assertEquals([qtest, qmp], [`${here}/q`, `${here}/m`]);
});

Deno.test("readServeArguments() leaves a socket a path that is short enough", () => {
  const name = "x".repeat(100);
  const { aggregators } = readServeArguments(
    `--socket-path ${name} --line sim/1`.split(" "),
  );
  assertEquals(aggregators[0]?.vhostUser, { socketPath: name });
});

const BROKEN: readonly (readonly [string, string])[] = [
  ["--line sim/1", "must come after a --socket-path"],
  ["--name x", "must come after a --socket-path"],
  ["--socket-path", "needs a value"],
  ["--socket-path=", "needs a value"],
  ["--socket-path --line sim/1", "needs a value"],
  ["--socket-path a", "has no lines"],
  ["--socket-path a --line", "needs a value"],
  ["--socket-path a --line sim/1 stray", 'unexpected argument "stray"'],
  ["--socket-path a --line sim/1 --name x --name y", "given twice"],
  ["--socket-path a --line sim/1 --name x/y", "not a valid name for an agg"],
  ["--fd x --line sim/1", "is not a valid file descriptor"],
  ["--fd=-1 --line sim/1", "is not a valid file descriptor"],
  ["--socket-path a --line sim/1 --socket-path a --line sim/1", "given twice"],
  [
    "--socket-path x/a.sock --line sim/1 --socket-path y/a.sock --line sim/1",
    'the name "a" is given twice',
  ],
  ["--sockt-path a --line sim/1", "unknown option --sockt-path"],
  ["--socket-path a --line sim/32768 --line sim/32768", "at most 65535"],
  ["-x", "unknown option -x"],
  ["--qemu-pins qtest=/q --line sim/1", 'the key "qmp" is missing'],
  ["--qemu-pins qtest=/q,qmp= --line sim/1", '"qmp" has no value'],
  ["--qemu-pins qtset=/q --line sim/1", 'unknown key "qtset"'],
  [
    "--qemu-pins qtest=/q,qmp=/m,index=x --line sim/1",
    'index: "x" is not a device\'s index',
  ],
  ["--qemu-pins qtest=/q,qmp=/m,gpioB8=x --line sim/1", 'unknown key "gpioB8"'],
  [
    "--qemu-pins qtest=/q,qmp=/m,3=x --line sim/1",
    'no line here has the name "x"',
  ],
  [
    "--qemu-pins qtest=/q,qmp=/m,gpioB0=sim0 --line sim/1",
    "is not a pin of a PL",
  ],
  [
    "--qemu-pins qtest=/q,qmp=/m,device=x,gpioB0=sim0,8=sim1 --line sim/2",
    "which has a line already",
  ],
  [
    "--qemu-pins qtest=/q,qmp=/m,2=sim0,3=sim0 --line sim/2",
    'line "sim0" is at pin 2 already',
  ],
  ["--qemu-pins qtest=/q,qmp=/q --line sim/1", "/q is pl061's qtest socket"],
  [
    "--qemu-pins qtest=/q,qmp=/m --line sim/1 " +
    "--qemu-pins qtest=/r,qmp=/m --name b --line sim/1",
    "/m is pl061's QMP socket already",
  ],
  ["--qemu-pins qtest=/q,qtest=/q,qmp=/m --line sim/1", "given twice"],
];

for (const [line, problem] of BROKEN) {
  Deno.test(`readServeArguments() refuses "${line}"`, () => {
    assertThrows(
      () => readServeArguments(line.split(" ")),
      ConfigError,
      problem,
    );
  });
}

Deno.test("readServeArguments() says what a key of --qemu-pins can be", () => {
  const error = assertThrows(
    () =>
      readServeArguments(
        "--qemu-pins qtest=/q,qmp=/m,index=999 --line sim/1".split(" "),
      ),
    ConfigError,
  );
  assertEquals(error.hint, "It is a number from 0 to 255");
});

Deno.test("readServeArguments() suggests the switch that was meant", () => {
  const error = assertThrows(
    () => readServeArguments(["--sockt-path", "a"]),
    ConfigError,
  );
  assertEquals(error.hint, "Did you mean --socket-path?");
});

Deno.test("readServeArguments() takes --poll of all, and of each aggregator", () => {
  const read = (text: string) =>
    readServeArguments(text.split(" ")).aggregators
      .map(({ pollUs, pollShare }) => [pollUs, pollShare]);
  assertEquals(
    read(
      "--poll 50us --poll-share 20% --socket-path a --line sim/1 " +
        "--socket-path b --line sim/1 --poll=1ms " +
        "--vfio-user c --line sim/1",
    ),
    [[50, 20], [1000, 20], [undefined, undefined]],
  );
  for (
    const [text, problem] of [
      ["--socket-path a --line sim/1 --poll 1s", "at most 10ms"],
      ["--socket-path a --line sim/1 --poll-share 0%", "from 1% to 100%"],
      ["--vfio-user a --line sim/1 --poll 50us", "for vhost-user only"],
      ["--poll 50us --config x", "on the command line only"],
    ] as const
  ) assertThrows(() => read(text), ConfigError, problem);
});

Deno.test("readServeArguments() takes --paused-for of each vhost-user aggregator", () => {
  const read = (text: string) =>
    readServeArguments(text.split(" ")).aggregators.map((one) =>
      one.pausedForUs
    );
  assertEquals(
    read(
      "--socket-path a --line sim/1 --paused-for 10s " +
        "--socket-path b --paused-for=keep --line sim/1 " +
        "--socket-path c --line sim/1",
    ),
    [10_000_000, "keep", undefined],
  );
  for (
    const [text, message] of [
      ["--paused-for 1s --socket-path a --line sim/1", "must come after a"],
      ["--socket-path a --line sim/1 --paused-for x", "neither a period nor"],
      [
        "--qemu-pins qtest=/q,qmp=/m --line sim/1 --paused-for 1s",
        "for vhost-user only",
      ],
    ] as const
  ) assertThrows(() => read(text), ConfigError, message);
});
