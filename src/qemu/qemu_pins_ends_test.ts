/**
 * Ends of guests and QEMUs, their return, and their state before gpioagg came.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { pinsRig, PL061 } from "../../tests/doubles/pins_rig.ts";
import { refuseWatch } from "../../tests/doubles/refused_watch.ts";
import {
  Departure,
  Direction,
  Edges,
  LineOperation as Op,
} from "../line/port.ts";

const GONE = [Op.Deactivate, Departure.GuestGone];
const LISTEN = [
  [Op.GetValue, 0],
  [Op.SetEdges, Edges.Both],
  [Op.GetValue, 0],
];

/** A rig whose guest drives pin 0 high. */
function drivenRig(options: Parameters<typeof pinsRig>[0] = {}) {
  const it = pinsRig(options);
  const qemu = it.boot();
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.turn();
  assertEquals(it.port.level, 1);
  it.heard();
  return it;
}

Deno.test("QemuPins does what a guest drove last before it shut down", () => {
  using it = drivenRig();
  const { qemu } = it;
  qemu.gpio.setData(0);
  qemu.tell("SHUTDOWN");
  it.turn();
  assertEquals(it.heard(), [[Op.SetValue, 0], GONE]);
  assertEquals(it.port.level, 0);
});

Deno.test("QemuPins does what a guest drove last before its QEMU was killed", () => {
  using it = drivenRig();
  for (const level of [0, 1, 0]) it.qemu.gpio.setData(level);
  it.kill();
  assertEquals(it.heard(), [
    [Op.SetValue, 0],
    [Op.SetValue, 1],
    [Op.SetValue, 0],
    GONE,
  ]);
});

Deno.test("QemuPins hears the last words of a QEMU that reads no more", () => {
  using it = drivenRig();
  it.qemu.gpio.setData(0);
  // It is killed with commands in its sockets.
  for (let i = 0; i < 10; i++) it.ports[1]!.pull(i & 1);
  it.kill();
  assertEquals(it.heard(), [[Op.SetValue, 0], GONE]);
});

Deno.test("QemuPins drives nothing any more for a QEMU that talks nonsense at the end", () => {
  using it = drivenRig();
  it.log.length = 0;
  it.qemu.tell("SHUTDOWN");
  it.qemu.gpio.setData(0);
  it.qemu.babble("HELLO");
  it.turn();
  assertEquals(it.heard().slice(-1), [GONE]);
  assertEquals(it.log.slice(0, 1), ["gone"]);
});

Deno.test("QemuPins drives nothing at the end that no register has confirmed", () => {
  using it = pinsRig({ board: [{ ...PL061, pullUps: 2 }] });
  const { gpio } = it.boot();
  gpio.setDirections(1);
  it.pass(40);
  it.heard();
  it.heard(it.ports[1]);
  // Pin 1 falls because it becomes an output, which no observer has seen yet.
  gpio.setDirections(3);
  it.kill();
  assertEquals(it.heard(it.ports[1]), [GONE]);
});

Deno.test("QemuPins takes what a reset does for nothing that the guest drove, at the end either", () => {
  using it = drivenRig();
  it.log.length = 0;
  it.qemu.reset();
  it.kill();
  assertEquals(it.heard(), [GONE, GONE]);
  assertEquals(it.port.level, 1);
  assertEquals(it.log.slice(0, 3), ["stopped", "gone", "gone"]);
});

Deno.test("QemuPins lets a guest be that had shut down before it came", () => {
  using it = pinsRig({ awaitsGuest: () => true });
  it.port.direction = Direction.Output;
  const qemu = it.boot((qemu) => {
    qemu.status = "shutdown";
    qemu.gpio.setDirections(1);
    qemu.gpio.setData(1);
  });
  assertEquals(it.heard(), [GONE]);
  assertEquals(it.log, ["connected", "gone"]);
  qemu.reset();
  it.turn();
  assertEquals(it.log.slice(2), ["stopped", "gone", "started"]);
  it.heard();
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.turn();
  assertEquals(it.port.level, 1);
});

Deno.test("QemuPins rests with a QEMU that is paused when it comes", () => {
  for (const status of ["paused", "prelaunch", "inmigrate"]) {
    using it = pinsRig();
    let looks = 0;
    const qemu = it.boot((qemu) => {
      qemu.status = status;
      qemu.onRead = () => looks++;
    });
    assertEquals(it.log, ["connected", "started"]);
    assertEquals(looks, 2);
    qemu.tell("RESUME");
    qemu.gpio.setDirections(1);
    it.pass(200);
    assert(looks > 10);
    assertEquals(it.heard().at(-1), [Op.Output, 0]);
  }
});

Deno.test("QemuPins tells a machine that goes on with another state the levels again", () => {
  using it = drivenRig();
  const { qemu } = it;
  it.ports[1]!.pull(1);
  it.turn();
  qemu.tell("STOP");
  // As loadvm does, which no event tells of.
  qemu.gpio.data = 1;
  qemu.tell("RESUME");
  it.pass(40);
  assertEquals(qemu.gpio.data, 3);
  assertEquals(it.heard(), []);
});

Deno.test("QemuPins leaves a line of a guest that was rebooted while it was not served", () => {
  const left: number[] = [];
  using it = pinsRig({
    rules: ["any", "output", "any", "input"],
    awaitsGuest: () => true,
    onLineLeft: (lineNumber) => left.push(lineNumber),
  });
  for (const port of it.ports.slice(0, 3)) {
    port.direction = Direction.Output;
    port.driven = 1;
  }
  // It has come as far as to drive one of the three again.
  it.boot(({ gpio }) => {
    gpio.setDirections(4);
    gpio.setData(4);
  });
  assertEquals(left, [0, 1]);
  assertEquals(it.heard(it.ports[0])[0], GONE);
  assertEquals(it.heard(it.ports[1]), [GONE]);
  assertEquals(it.heard(it.ports[2]), [[Op.Output, 1]]);
  assertEquals(it.heard(it.ports[3]), LISTEN);
  assertEquals(it.log, ["connected", "started"]);
});

Deno.test("QemuPins leaves outputs as they are if no guest is awaited", () => {
  using it = pinsRig({ onLineLeft: () => assert(false) });
  it.port.direction = Direction.Output;
  it.boot();
  assertEquals(it.heard(), LISTEN.slice(0, 1).concat(LISTEN.slice(2)));
});

Deno.test("QemuPins does not know what an awaited guest drives without registers", () => {
  const left: number[] = [];
  using it = pinsRig({
    board: [{ ...PL061, type: "gpio.unknown" }],
    device: "gpio.unknown",
    rules: ["output"],
    awaitsGuest: () => true,
    onLineLeft: (lineNumber) => left.push(lineNumber),
  });
  it.port.direction = Direction.Output;
  it.boot();
  assertEquals(left, [0]);
});

for (
  const [type, registers] of [
    ["gpio.unknown", {}],
    ["imx.gpio", { direction: 4, data: 0 }],
    ["pl061_luminary", {}],
  ] as const
) {
  Deno.test(`QemuPins hears an output rise again after a reset that does not lower it (${type})`, () => {
    using it = drivenRig({
      board: [{ ...PL061, ...registers, type, isForgetful: true }],
      device: type,
      rules: ["output"],
    });
    const { qemu } = it;
    it.log.length = 0;
    qemu.reset();
    it.turn();
    assertEquals(it.heard(), [GONE]);
    assertEquals(it.log, ["stopped", "gone", "started"]);
    assertEquals(qemu.qtestClients, 2);
    qemu.gpio.setDirections(1);
    // Quicker than anybody looks.
    qemu.gpio.setData(1);
    qemu.gpio.setData(0);
    it.turn();
    assertEquals(it.heard().slice(-2).map(([, level]) => level), [1, 0]);
  });
}

Deno.test("QemuPins hears nothing after a reset that was reported before it", () => {
  using it = drivenRig({
    board: [{ ...PL061, type: "gpio.unknown" }],
    device: "gpio.unknown",
    rules: ["output"],
  });
  const { qemu } = it;
  // The event is read first, whatever was first.
  qemu.tell("RESET");
  qemu.gpio.setData(0);
  qemu.gpio.setData(1);
  it.turn();
  assertEquals(it.heard(), [GONE]);
});

Deno.test("QemuPins takes no answer of the time before a reset for one after it", () => {
  using it = drivenRig({ rules: ["output"] });
  const { qemu } = it;
  let held = 0;
  qemu.onCommand = (text) => {
    if (!text.startsWith("readl")) return undefined;
    held++;
    return null;
  };
  qemu.gpio.setData(0);
  it.turn();
  const before = held;
  qemu.reset();
  it.turn();
  assertEquals(it.heard(), [GONE]);
  // Direction and level at the time of the questions: a driven 0.
  for (let i = 0; i < before; i++) {
    qemu.babble(`OK 0x${i % 2 === 0 ? "1" : "0"}`);
  }
  it.turn();
  assertEquals(it.heard(), []);
  assertEquals(it.port.level, 1);
});

Deno.test("QemuPins tries again where one of QEMU's sockets cannot be watched", () => {
  for (const refusedAt of [1, 2]) {
    using it = pinsRig();
    refuseWatch(it.loop, refusedAt);
    it.boot();
    assertStringIncludes(it.log[0]!, "fault Cannot connect to QEMU: ");
    assertEquals(it.log.slice(1), ["connected", "started"]);
  }
});
