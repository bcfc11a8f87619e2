import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { rounds } from "../../tests/environment/rounds.ts";
import { pinsRig, PL061 } from "../../tests/doubles/pins_rig.ts";
import type { ControllerModelOptions } from "../../tests/doubles/qemu_double.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";
import {
  Departure,
  Direction,
  Edges,
  LineOperation as Op,
} from "../line/port.ts";

const ASPEED: ControllerModelOptions = {
  path: "/machine/soc/gpio",
  type: "aspeed.gpio-ast2600",
  address: 0x1e78_0000,
  inputs: 0,
  outputs: 0,
  properties: Array.from(
    { length: 16 },
    (_, i) => `gpio${"AB"[i >> 3]}${i & 7}`,
  ),
  direction: 0x004,
  data: 0x0c0,
};

const LISTEN = [
  [Op.GetValue, 0],
  [Op.SetEdges, Edges.Both],
  [Op.GetValue, 0],
];

Deno.test("QemuPins pushes the lines' levels to the guest's inputs, and each change", () => {
  using it = pinsRig();
  it.ports[1]!.pulled = 1;
  const qemu = it.boot();
  assertEquals(it.log, ["connected", "started"]);
  assertEquals(qemu.gpio.inputs, [[0, 0], [1, 1]]);
  qemu.gpio.inputs.length = 0;
  it.port.pull(1);
  it.port.pull(0);
  it.turn();
  assertEquals(qemu.gpio.inputs, [[0, 1], [0, 0]]);
  assertEquals(it.heard(), LISTEN);
  assertEquals(it.port.direction, Direction.Input);
});

Deno.test("QemuPins makes a line an output when the guest makes its pin one, and no sooner", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  it.heard();
  // As Linux does: the data register first, which an input ignores.
  gpio.setData(1);
  gpio.setDirections(1);
  gpio.setData(1);
  it.turn();
  gpio.setData(0);
  it.turn();
  assertEquals(it.heard(), [[Op.Output, 1], [Op.SetValue, 0]]);
  assertEquals(it.heard(it.ports[1]), LISTEN);
  // What the host's side of an output does is of no interest to the guest.
  const pushed = gpio.inputs.length;
  it.port.pull(1);
  it.turn();
  assertEquals(gpio.inputs.length, pushed);
});

Deno.test("QemuPins learns what the guest drives before it drives a line", () => {
  using it = pinsRig();
  it.boot(({ gpio }) => {
    gpio.setDirections(3);
    gpio.setData(1);
  });
  assertEquals(it.heard(it.ports[0]), [[Op.Output, 1]]);
  assertEquals(it.heard(it.ports[1]), [[Op.Output, 0]]);
  assertEquals(it.log, ["connected", "started"]);
});

Deno.test("QemuPins takes no pull-up of an input for a level that the guest drives", () => {
  using it = pinsRig({ board: [{ ...PL061, pullUps: 0xff }] });
  const { gpio } = it.boot();
  it.heard();
  gpio.setDirections(1);
  it.pass(40);
  assertEquals(it.heard(), [[Op.Output, 0]]);
  // The pin rises, since it is let go.
  gpio.setDirections(0);
  it.turn();
  assertEquals(it.heard(), [[Op.Input, 0], ...LISTEN]);
});

Deno.test("QemuPins finds what QEMU does not report, by looking", () => {
  using it = pinsRig({ board: [{ ...PL061, pullUps: 0xff }] });
  const { gpio } = it.boot();
  it.heard();
  // High as an input, high as an output: no change, no report.
  gpio.drive(0, 1);
  gpio.setDirections(1);
  it.turn();
  assertEquals(it.heard(), []);
  it.pass(40);
  assertEquals(it.heard(), [[Op.Output, 1]]);
  gpio.setDirections(0);
  it.pass(40);
  assertEquals(it.heard(), [[Op.Input, 0], ...LISTEN]);
});

Deno.test("QemuPins finds the first fall of a pin that was high before it connected", () => {
  using it = pinsRig();
  const { gpio } = it.boot(({ gpio }) => {
    gpio.setDirections(3);
    gpio.setData(3);
  });
  it.heard();
  it.heard(it.ports[1]);
  gpio.setData(2);
  it.pass(40);
  assertEquals(it.heard(), [[Op.SetValue, 0]]);
  // A fall and the rise behind it, quicker than anybody looks.
  gpio.setData(0);
  gpio.setData(2);
  it.turn();
  assertEquals(it.heard(it.ports[1]), [[Op.SetValue, 0], [Op.SetValue, 1]]);
});

/** Edges of a burst, which takes several turns. */
const BURST = rounds(10_000, 3000);

Deno.test("QemuPins hands on a burst of edges, complete and in order", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  it.heard();
  gpio.setDirections(1);
  it.pass(40);
  for (let i = 1; i <= BURST; i++) {
    gpio.setData(i & 1);
    if (i % 500 === 0) it.turn(2);
  }
  it.turn();
  assertEquals(
    it.heard(),
    Array.from(
      { length: BURST + 1 },
      (_, i) => [i === 0 ? Op.Output : Op.SetValue, i & 1],
    ),
  );
});

Deno.test("QemuPins hands on a burst of edges of a line, complete and in order", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  gpio.inputs.length = 0;
  for (let i = 1; i <= BURST; i++) {
    it.port.pull(i & 1);
    if (i % 500 === 0) it.turn(2);
  }
  it.turn();
  assertEquals(
    gpio.inputs,
    Array.from({ length: BURST }, (_, i) => [0, i + 1 & 1]),
  );
});

Deno.test("QemuPins keeps the order for a line that takes its time", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  it.heard();
  it.port.slow = true;
  gpio.setDirections(1);
  it.pass(40);
  for (let i = 1; i <= 100; i++) gpio.setData(i & 1);
  it.turn();
  const done: number[] = [];
  while (it.port.isPending) {
    it.port.finish();
    done.push(it.port.level);
  }
  assertEquals(done, Array.from({ length: 101 }, (_, i) => i & 1));
});

Deno.test("QemuPins does nothing that the registers do not confirm, whatever comes in between", () => {
  using it = pinsRig();
  const qemu = it.boot();
  const { gpio } = qemu;
  gpio.setDirections(1);
  it.pass(40);
  it.heard();
  // Between the two readings the guest goes on.
  qemu.onRead = (offset) => {
    if (offset !== 0x3fc) return;
    qemu.onRead = undefined;
    gpio.setData(0);
    gpio.setData(1);
    gpio.setData(0);
  };
  gpio.setData(1);
  it.turn();
  assertEquals(it.heard(), [1, 0, 1, 0].map((level) => [Op.SetValue, level]));
  // A level that is driven, and the pin let go before anybody looks.
  gpio.setData(1);
  gpio.setDirections(0);
  it.turn();
  assertEquals(it.heard(), [[Op.Input, 0], ...LISTEN]);
});

Deno.test("QemuPins tells a reset from a guest that lets go of its pins", () => {
  using it = pinsRig();
  const qemu = it.boot();
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.turn();
  it.heard();
  it.log.length = 0;
  qemu.gpio.inputs.length = 0;
  it.ports[1]!.pulled = 1;
  qemu.reset();
  it.turn();
  // The rule decides what the line is now: it was not made an input.
  assertEquals(it.heard()[0], [Op.Deactivate, Departure.GuestGone]);
  assertEquals(it.port.direction, Direction.Output);
  assertEquals(it.log, ["stopped", "gone", "started"]);
  // All levels are pushed again, that of a line that stayed an output too.
  assertEquals(qemu.gpio.inputs, [[0, 1], [1, 1]]);
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(0);
  it.turn();
  assertEquals(it.port.level, 0);
});

Deno.test("QemuPins takes a line for an input after a reset when its rule made it one", () => {
  using it = pinsRig();
  const qemu = it.boot();
  qemu.gpio.setDirections(1);
  it.turn();
  it.heard();
  it.port.onSubmit = ({ operation }) => {
    if (operation === Op.Deactivate) it.port.direction = Direction.Input;
  };
  qemu.reset();
  it.turn();
  assertEquals(it.heard(), [
    [Op.Deactivate, Departure.GuestGone],
    ...LISTEN,
  ]);
});

Deno.test("QemuPins brings a line back to what the guest drives, after its chip was away", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  it.port.broken = true;
  gpio.setDirections(1);
  gpio.setData(1);
  it.turn();
  assertEquals(it.requests.splice(0), [
    "0 set_direction error after 0 ms",
    "0 set_value error after 0 ms",
  ]);
  it.port.broken = false;
  it.heard();
  it.pins.restored(0);
  assertEquals(it.heard(), [[Op.Output, 1]]);
  // The guest has not asked again.
  assertEquals(it.requests, []);
  it.heard(it.ports[1]);
  it.pins.restored(1);
  assertEquals(it.heard(it.ports[1]), LISTEN);
});

Deno.test("QemuPins waits for a rule that is at work before it listens", () => {
  using it = pinsRig({ rules: ["any"] });
  const qemu = it.boot();
  qemu.gpio.setDirections(1);
  it.pass(40);
  it.heard();
  it.port.slow = true;
  qemu.reset();
  it.turn();
  // The line becomes an input while the operations wait.
  it.port.onSubmit = () => {
    it.port.direction = Direction.Input;
  };
  while (it.port.isPending) it.port.finish();
  assertEquals(it.port.edges, Edges.Both);
});

Deno.test("QemuPins keeps to the rules of lines", () => {
  using it = pinsRig({ rules: ["input", "output"] });
  const { gpio } = it.boot();
  assertEquals(it.heard(), LISTEN);
  assertEquals(it.heard(it.ports[1]), []);
  assertEquals(gpio.inputs, [[0, 0]]);
  gpio.setDirections(3);
  it.pass(40);
  gpio.setData(3);
  it.turn();
  assertEquals(it.heard(), []);
  assertEquals(it.log.slice(2), ["refused 0"]);
  assertEquals(it.requests.splice(0).sort(), [
    "0 set_direction error after 0 ms",
    "1 set_direction ok after 0 ms",
    "1 set_value ok after 0 ms",
    "1 set_value ok after 0 ms",
  ]);
  assertEquals(it.heard(it.ports[1]).at(-1), [Op.SetValue, 1]);
  gpio.inputs.length = 0;
  gpio.setDirections(0);
  it.turn();
  // The pin shows the line again; the line that is an output is let go.
  assertEquals(it.heard(), LISTEN);
  assertEquals(gpio.inputs, [[0, 0]]);
  assertEquals(it.heard(it.ports[1]), [[
    Op.Deactivate,
    Departure.LineReleased,
  ]]);
  assertEquals(it.requests.sort(), [
    "0 set_direction ok after 0 ms",
    "1 set_direction ok after 0 ms",
  ]);
  assertEquals(it.log.slice(2), ["refused 0"]);
});

Deno.test("QemuPins lets a guest that has shut down drive nothing until a reset", () => {
  using it = pinsRig();
  const qemu = it.boot();
  qemu.gpio.setDirections(1);
  it.turn();
  it.heard();
  qemu.tell("SHUTDOWN");
  it.turn();
  qemu.gpio.setData(1);
  it.pass(100);
  assertEquals(it.heard(), [[Op.Deactivate, Departure.GuestGone]]);
  qemu.reset();
  it.turn();
  it.heard();
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.turn();
  assertEquals(it.port.level, 1);
});

Deno.test("QemuPins leaves lines alone while the machine is paused", () => {
  using it = pinsRig();
  const qemu = it.boot();
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.turn();
  it.heard();
  qemu.tell("STOP");
  it.turn();
  let looks = 0;
  qemu.onRead = () => looks++;
  it.pass(200);
  // One look may have been set before.
  assert(looks <= 2, `${looks} looks`);
  assertEquals(it.heard(), []);
  it.ports[1]!.pull(1);
  it.turn();
  assertEquals(qemu.gpio.inputs.at(-1), [1, 1]);
  qemu.tell("RESUME");
  qemu.gpio.setData(0);
  it.pass(50);
  assert(looks > 2);
  assertEquals(it.heard(), [[Op.SetValue, 0]]);
});

Deno.test("QemuPins serves one QEMU after the other", () => {
  using it = pinsRig();
  for (let i = 0; i < 5; i++) {
    const qemu = it.boot();
    assertEquals(it.log.splice(0), ["connected", "started"]);
    qemu.gpio.setDirections(1);
    qemu.gpio.setData(1);
    it.turn();
    assertEquals(it.port.level, 1);
    it.heard();
    it.kill();
    assertEquals(it.heard(), [[Op.Deactivate, Departure.GuestGone]]);
    assertEquals(it.log[0], "gone");
    assertStringIncludes(it.log.splice(0)[1]!, "disconnected");
  }
});

Deno.test("QemuPins chooses among controllers by address, or says which there are", () => {
  const board = [
    { ...PL061, path: "/machine/soc/b", address: 0x1000_5000 },
    { ...PL061, path: "/machine/soc/a", address: 0x1000_4000 },
  ];
  using ambiguous = pinsRig({ board });
  ambiguous.boot();
  assertEquals(ambiguous.log, [
    'fault this board has 2 controllers of type "pl061" (Choose one with index: ' +
    "0: /machine/soc/a at 0x10004000; 1: /machine/soc/b at 0x10005000)",
  ]);
  using first = pinsRig({ board, index: 0 });
  const { controllers } = first.boot();
  assertEquals(first.log, ["connected", "started"]);
  assertEquals(controllers.map(({ inputs }) => inputs.length), [0, 2]);
  using beyond = pinsRig({ board, index: 2 });
  beyond.boot();
  assertStringIncludes(beyond.log.join(), "with the index 2");
  using path = pinsRig({ board, device: "/machine/soc/b" });
  assertEquals(path.boot().controllers.map(({ inputs }) => inputs.length), [
    2,
    0,
  ]);
  using none = pinsRig({ board, device: "gpio.unheard-of" });
  none.boot();
  assertStringIncludes(none.log.join(), "Similar types on this board: pl061)");
});

Deno.test("QemuPins ties the pins that it is told to", () => {
  using it = pinsRig({
    pins: [{ pin: 5, lineNumber: 0 }, { pin: 2, lineNumber: 1 }],
  });
  const { gpio } = it.boot();
  assertEquals(gpio.inputs.map(([pin]) => pin), [5, 2]);
  gpio.setDirections(1 << 5);
  gpio.setData(1 << 5);
  it.turn();
  assertEquals([it.ports[0]!.level, it.ports[1]!.level], [1, 0]);
  using many = pinsRig({
    rules: Array.from({ length: 9 }, () => "any" as const),
  });
  many.boot();
  assertStringIncludes(many.log.join(), "has no pin 8; it has pins 0 to 7");
  for (
    const pins of [
      [{ pin: 1, lineNumber: 2 }],
      [{ pin: 1, lineNumber: 0 }, { pin: 2, lineNumber: 0 }],
      [{ pin: 1, lineNumber: 0 }, { pin: 1, lineNumber: 1 }],
    ]
  ) assertThrows(() => pinsRig({ pins }), RangeError);
});

Deno.test("QemuPins serves controllers whose pins are properties", () => {
  using it = pinsRig({
    board: [ASPEED],
    device: "aspeed.gpio",
    // A3 and B1.
    pins: [{ pin: 3, lineNumber: 0 }, { pin: 9, lineNumber: 1 }],
  });
  const { gpio } = it.boot();
  assertEquals(it.log, ["connected", "started"]);
  it.port.pull(1);
  it.turn();
  assertEquals(gpio.inputs.at(-1), [3, 1]);
  gpio.setDirections(1 << 9);
  gpio.setData(1 << 9);
  // Nothing is reported: what the guest does is seen by looking.
  it.pass(40);
  assertEquals(it.ports[1]!.level, 1);
  using wrong = pinsRig({
    board: [ASPEED],
    device: "aspeed.gpio",
    pins: [{ pin: 201, lineNumber: 0 }],
  });
  wrong.boot();
  assertStringIncludes(wrong.log.join(), '16 pins, of which 0 is "gpioA0"');
});

Deno.test("QemuPins goes by the rules alone where it does not know the registers", () => {
  const board = [{ ...PL061, type: "gpio.unknown" }];
  using any = pinsRig({ board, device: "gpio.unknown" });
  any.boot();
  assertStringIncludes(
    any.log.join(),
    "has no known registers for its pins' directions",
  );
  using it = pinsRig({
    board,
    device: "gpio.unknown",
    rules: ["input", "output"],
  });
  const { gpio } = it.boot();
  assertEquals(gpio.inputs, [[0, 0]]);
  assertEquals(it.heard(it.ports[1]), []);
  gpio.setDirections(3);
  gpio.setData(3);
  it.turn();
  assertEquals(it.heard(), LISTEN);
  assertEquals(it.heard(it.ports[1]), [[Op.Output, 1]]);
});

Deno.test("QemuPins refuses lines at pins that go the other way only", () => {
  const type = "gpio.unknown";
  const named = { properties: ["gpioA0", "gpioA1"], outputs: 0 };
  for (
    const [rule, pins, words] of [
      [
        "input",
        { inputs: 0 },
        "does not accept a level for its pin 0 from outside",
      ],
      ["output", { outputs: 0 }, "does not report its pin 0"],
      ["output", named, "does not report its pin 0"],
      ["output", { inputs: 0 }, ""],
      ["input", { outputs: 0 }, ""],
      ["input", { ...named, inputs: 0 }, ""],
    ] as const
  ) {
    using it = pinsRig({
      board: [{ ...PL061, ...pins, type }],
      device: type,
      rules: [rule],
    });
    it.boot();
    if (words === "") assertEquals(it.log, ["connected", "started"]);
    else assertStringIncludes(it.log.join(), words);
  }
});

Deno.test("QemuPins survives whatever the other end says, and tries again", () => {
  for (const text of ["HELLO", "FAIL", "OK what", "IRQ"]) {
    using it = pinsRig();
    const qemu = it.boot();
    it.log.length = 0;
    qemu.babble(text);
    it.turn();
    assertStringIncludes(it.log[1]!, "it does not speak qtest");
    it.pass(1100);
    assertEquals(it.log.slice(2), ["connected", "started"]);
  }
});

testLarge(
  "QemuPins keeps the last level for a QEMU that stands still, and no endless queue",
  () => {
    using it = pinsRig();
    const { gpio } = it.boot();
    gpio.inputs.length = 0;
    const edges = 100_001;
    for (let i = 1; i <= edges; i++) it.port.pull(i & 1);
    it.turn(2000);
    assert(gpio.inputs.length < edges);
    assertEquals(gpio.inputs.at(-1), [0, 1]);
    // Handed over, or known to be lost.
    const { levels: [handed], lostLevels: [lost] } = it.pins.counters;
    assertEquals([handed, handed! + lost!], [
      gpio.inputs.length + 1,
      edges + 1,
    ]);
    it.port.pull(0);
    it.turn();
    assertEquals(gpio.inputs.at(-1), [0, 0]);
  },
);

Deno.test("QemuPins says when QEMU reports the pins of another controller", () => {
  const other = { ...PL061, path: "/machine/soc/b", type: "other" };
  using it = pinsRig({ board: [PL061, { ...other, address: 0x1000_8000 }] });
  it.boot((qemu) => qemu.observe(qemu.controllers[1]!));
  assertStringIncludes(
    it.log.join(),
    "does not report the pins of /machine/soc/device[6]: IRQ intercept " +
      "already enabled, for another controller, and it reports those of one",
  );
  it.log.length = 0;
  // What it reports is not ours, and after a reset no more so.
  const { gpio } = it.qemu;
  for (let i = 0; i < 2; i++) {
    gpio.setDirections(1);
    it.qemu.babble("IRQ raise 0");
    it.pass(40);
    it.qemu.reset();
    it.turn();
  }
  assertEquals(it.log, ["stopped", "gone", "stopped", "gone"]);
  assertEquals(it.heard().map(([operation]) => operation), [
    Op.Deactivate,
    Op.Deactivate,
  ]);
});
