/** Particularities of some controllers and boards. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { pinsRig, PL061 } from "../../tests/doubles/pins_rig.ts";
import type { ControllerModelOptions } from "../../tests/doubles/qemu_double.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";
import { LineOperation as Op } from "../line/port.ts";

const BY_PROPERTIES: ControllerModelOptions = {
  ...PL061,
  inputs: 0,
  properties: ["gpioA0", "gpioA1"],
};

Deno.test("QemuPins tells once of a line at the power button's pin", () => {
  const board = [{ ...PL061, key: 1 }];
  using it = pinsRig({ board });
  for (let i = 0; i < 2; i++) {
    it.boot();
    it.kill();
  }
  const notices = it.log.filter((text) => text.startsWith("notice"));
  assertEquals(notices, [
    "notice pl061 (/machine/soc/device[6]): pin 1, which line 1 is tied to, " +
    "is the machine's power button as well: a guest may shut down when the " +
    "line rises. With pins, leave it out",
  ]);
  for (
    const other of [
      // Nothing is driven there.
      pinsRig({ board, rules: ["any", "output"] }),
      pinsRig({ board, pins: [{ pin: 0, lineNumber: 0 }] }),
      pinsRig({ board: [PL061, { ...board[0]!, path: "/machine/soc/b" }] }),
    ]
  ) {
    using it = other;
    it.boot();
    assertEquals(it.log.join().includes("notice"), false);
  }
});

Deno.test("QemuPins reads no registers of the secure world", () => {
  const board = [PL061, {
    ...PL061,
    path: "/machine/soc/b",
    address: 0x90b_0000,
    isSecure: true,
  }];
  using any = pinsRig({ board, device: "/machine/soc/b" });
  any.boot();
  assertEquals(any.log, [
    "fault pl061 (/machine/soc/b) is in the secure world: QEMU does not show " +
    "its pins' directions (Give line 0 direction=input or direction=output)",
  ]);
  // By address it is one like the others.
  using it = pinsRig({ board, index: 0, rules: ["output"] });
  const { controllers } = it.boot((qemu) => {
    qemu.onRead = () => assert(false);
  });
  assertEquals(it.log, ["connected", "started"]);
  controllers[1]!.setDirections(1);
  controllers[1]!.setData(1);
  it.turn();
  assertEquals(it.heard(), [[Op.Output, 1]]);
});

Deno.test("QemuPins knows the last bank of an AST2500", () => {
  const properties = Array.from(
    { length: 228 },
    (_, i) => `gpio${toLetters(i >> 3)}${i & 7}`,
  );
  using it = pinsRig({
    board: [{
      path: "/machine/soc/gpio",
      type: "aspeed.gpio-ast2500",
      address: 0x1e78_0000,
      inputs: 0,
      outputs: 0,
      properties,
      direction: 0x1ec,
      data: 0x0dc,
    }],
    device: "aspeed.gpio",
    rules: ["any"],
    pins: [{ pin: 227, name: "gpioAC3", lineNumber: 0 }],
  });
  const { gpio } = it.boot();
  assertEquals(it.log, ["connected", "started"]);
  gpio.setDirections(8);
  gpio.setData(8);
  it.pass(40);
  assertEquals(it.port.level, 1);
});

Deno.test("QemuPins knows no direction of a pin behind the last bank", () => {
  for (
    const [rule, words] of [
      ["any", "has no known registers for its pins' directions"],
      ["output", "does not report its pin 32"],
      ["input", "connected,started"],
    ] as const
  ) {
    using it = pinsRig({
      board: [{ ...PL061, inputs: 40, outputs: 40 }],
      rules: [rule],
      pins: [{ pin: 32, lineNumber: 0 }],
    });
    it.boot();
    assertStringIncludes(it.log.join(), words);
  }
});

Deno.test("QemuPins knows where an NPCM7xx inverts its levels, and rejects driving both ways", () => {
  const board = [{
    ...PL061,
    type: "npcm7xx-gpio",
    direction: 0x10,
    data: 0x0c,
    inversion: 0x08,
  }];
  using it = pinsRig({ board, device: "npcm7xx-gpio", rules: ["output"] });
  const { gpio } = it.boot(({ gpio }) => {
    gpio.inversion = 1;
    gpio.setDirections(1);
  });
  assertEquals(it.heard(), [[Op.Output, 1]]);
  gpio.setData(1);
  it.turn();
  it.pass(40);
  assertEquals(it.heard(), [[Op.SetValue, 0]]);
  using any = pinsRig({ board, device: "npcm7xx-gpio" });
  any.boot();
  assertStringIncludes(any.log.join(), "is driven to from the two sides");
});

Deno.test("QemuPins says once that no QEMU is at a path, and not after there was one", () => {
  using it = pinsRig();
  it.pass(4900);
  assertEquals(it.log, []);
  it.pass(60_000);
  assertEquals(it.log, [
    `fault ${it.directory}/qmp: no QEMU listens there yet (QEMU makes it with ` +
    `-qmp unix:${it.directory}/qmp,server=on,wait=off, for gpioagg alone)`,
  ]);
  using other = pinsRig();
  other.boot();
  other.kill();
  other.log.length = 0;
  other.pass(60_000);
  assertEquals(other.log, []);
});

Deno.test("QemuPins says of a path that is no socket what is there, and nothing else", () => {
  using it = pinsRig();
  Deno.writeTextFileSync(`${it.directory}/qmp`, "");
  it.pass(60_000);
  assertEquals(it.log, [
    `fault Cannot use ${it.directory}/qmp: it is a regular file, not a ` +
    "socket ()",
  ]);
});

Deno.test("QemuPins counts and tells what QEMU does not take", () => {
  using it = pinsRig({ board: [BY_PROPERTIES] });
  const qemu = it.boot();
  const { levels, lostLevels } = it.pins.counters;
  assertEquals([levels[0], lostLevels[0]], [1, 0]);
  qemu.onCommand = (text) => {
    if (!text.includes("qom-set")) return undefined;
    const { id } = JSON.parse(text);
    return JSON.stringify({ id, error: { desc: "no such property" } });
  };
  it.port.pull(1);
  it.turn();
  assertEquals([levels[0], lostLevels[0]], [1, 1]);
  assertEquals(
    it.log.at(-1),
    "fault /machine/soc/device[6], gpioA0: QEMU " +
      "refused qom-set: no such property ()",
  );
  // Of each pin once, however they take turns, and again of the next QEMU's.
  const faults = () => it.log.filter((text) => text.startsWith("fault")).length;
  const { onCommand } = qemu;
  for (let i = 0; i < 4; i++) {
    for (const port of it.ports) port.pull(i & 1);
    it.turn();
  }
  assertEquals([faults(), lostLevels[0], lostLevels[1]], [2, 5, 3]);
  it.kill();
  it.boot((next) => next.onCommand = onCommand);
  assertEquals(faults(), 4);
});

testLarge(
  "QemuPins keeps the last level for a QEMU that takes no properties, and no endless queue",
  () => {
    using it = pinsRig({ board: [BY_PROPERTIES] });
    const { gpio } = it.boot();
    gpio.inputs.length = 0;
    const edges = 60_001;
    for (let i = 1; i <= edges; i++) it.port.pull(i & 1);
    it.turn(4000);
    assert(gpio.inputs.length < edges);
    assertEquals(gpio.inputs.at(-1), [0, 1]);
    const { levels: [taken], lostLevels: [lost] } = it.pins.counters;
    assertEquals([taken, taken! + lost!], [gpio.inputs.length + 1, edges + 1]);
  },
);

/** A, …, Z, AA, … */
function toLetters(index: number): string {
  const letter = String.fromCharCode(65 + index % 26);
  return index < 26 ? letter : toLetters(Math.floor(index / 26) - 1) + letter;
}
