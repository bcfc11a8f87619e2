import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../config/config_error.ts";
import { readCreation } from "./create.ts";

const RULES = { socketDirectory: "/run/agg", socketAccess: { mode: 0o600 } };
const PINS = { qtest: "/run/q/qtest", qmp: "/run/q/qmp" };

function exposureOf(keys: object) {
  const { name: _name, lines: _lines, ...exposure } = readCreation({
    name: "a",
    lines: ["gpiochip0/0,as=START", "gpiochip0/1,as=STOP"],
    ...keys,
  }, RULES).specification;
  return exposure;
}

Deno.test("readCreation() presents an aggregator at a vhost-user socket unless it is told otherwise", () => {
  assertEquals(exposureOf({}), {
    vhostUser: { socketPath: "/run/agg/a.sock", access: { mode: 0o600 } },
  });
  assertEquals(exposureOf({ socket: { mode: "660", group: "plc" } }), {
    vhostUser: {
      socketPath: "/run/agg/a.sock",
      access: { mode: 0o660, group: "plc" },
    },
  });
});

Deno.test("readCreation() reads a kernel chip", () => {
  assertEquals(exposureOf({ kernelChip: {} }), { kernelChip: { access: {} } });
  assertEquals(
    exposureOf({
      kernelChip: {
        interface: "sysfs",
        mode: "0660",
        owner: "root",
        group: "7",
      },
    }),
    {
      kernelChip: {
        interface: "sysfs",
        access: { mode: 0o660, owner: "root", group: "7" },
      },
    },
  );
});

Deno.test("readCreation() reads pins inside QEMU, by number, by name, or one to one", () => {
  assertEquals(exposureOf({ qemuPins: PINS }), {
    qemuPins: { ...PINS, device: "pl061" },
  });
  assertEquals(
    exposureOf({
      qemuPins: {
        ...PINS,
        device: "aspeed.gpio-ast2600",
        index: 1,
        pins: { gpioB0: "STOP", "3": "START" },
      },
    }),
    {
      qemuPins: {
        ...PINS,
        device: "aspeed.gpio-ast2600",
        index: 1,
        pins: [
          { pin: 3, lineNumber: 0 },
          { pin: 8, name: "gpioB0", lineNumber: 1 },
        ],
      },
    },
  );
});

const long = `/${"x".repeat(99)}`;

const REFUSED: readonly (readonly [keys: object, says: string])[] = [
  [
    { kernelChip: {}, qemuPins: PINS },
    "qemuPins: a is presented by kernelChip already",
  ],
  [{ socket: {}, kernelChip: {} }, "kernelChip: a is presented by socket"],
  [{ kernelChip: true }, "kernelChip: is a JSON object"],
  [{ kernelChip: null }, "kernelChip: is a JSON object"],
  [{ kernelChip: { interface: "ioctl" } }, 'kernelChip.interface: "ioctl" is'],
  [{ kernelChip: { interface: 1 } }, "kernelChip.interface: is configfs or"],
  [{ kernelChip: { mode: "9" } }, "kernelChip.mode: is three octal digits"],
  [{ kernelChip: { owner: "" } }, 'kernelChip.owner: "" is not'],
  [{ kernelChip: { owner: "root\0x" } }, "kernelChip.owner: "],
  [{ kernelChip: { modus: "660" } }, "kernelChip.modus: is no key"],
  [
    { name: "a.b", kernelChip: {} },
    'name: "a.b" is no name for a chip',
  ],
  [
    { lines: ["gpiochip0/1,safe=0"], kernelChip: {} },
    "--line gpiochip0/1,safe=0: a kernel chip cannot put a line into a safe",
  ],
  [
    { lines: ["gpiochip0/1,active-low"], kernelChip: {} },
    "a kernel chip cannot invert a line",
  ],
  [
    { lines: ["sim/2"], kernelChip: {} },
    "--line sim/2: a kernel chip cannot hold such a line",
  ],
  [
    { lines: ["gpiochip0/0,as=A", "gpiochip0/1,as=A"], kernelChip: {} },
    'the name "A" is taken by gpiochip0/0,as=A',
  ],
  [
    { lines: ["gpiochip0/0-512"], kernelChip: {} },
    "513 lines are too many: the kernel takes at most 512",
  ],
  [{ qemuPins: [] }, "qemuPins: is a JSON object"],
  [{ qemuPins: {} }, "qemuPins.qtest: is an absolute socket path, as a string"],
  [{ qemuPins: { qtest: "/q" } }, "qemuPins.qmp: is an absolute"],
  [
    { qemuPins: { ...PINS, qtest: "run/qtest" } },
    'qemuPins.qtest: "run/qtest" is not an absolute socket path',
  ],
  [{ qemuPins: { ...PINS, qmp: "/run/\0qmp" } }, "qemuPins.qmp: "],
  [{ qemuPins: { ...PINS, qtest: long } }, "is longer than 99 bytes"],
  [{ qemuPins: { ...PINS, qtest: 5 } }, "qemuPins.qtest: is an absolute"],
  [
    { qemuPins: { ...PINS, device: "pl061\nirq_intercept_out /machine" } },
    "qemuPins.device: ",
  ],
  [{ qemuPins: { ...PINS, device: "" } }, "qemuPins.device: "],
  [{ qemuPins: { ...PINS, index: "0" } }, "qemuPins.index: is a device's"],
  [{ qemuPins: { ...PINS, index: 1.5 } }, "qemuPins.index: is a device's"],
  [{ qemuPins: { ...PINS, index: -1 } }, 'qemuPins.index: "-1" is not'],
  [{ qemuPins: { ...PINS, pins: {} } }, "qemuPins.pins: is at least one pin"],
  [
    { qemuPins: { ...PINS, pins: { "0": "LAMP" } } },
    'qemuPins.pins.0: no line here has the name "LAMP"',
  ],
  [
    { qemuPins: { ...PINS, pins: { x: "STOP" } } },
    'qemuPins.pins.x: "x" is no pin',
  ],
  [
    { qemuPins: { ...PINS, pins: { "0": "STOP", "1": "STOP" } } },
    "qemuPins.pins.1: the line is at pin 0 already",
  ],
  [
    {
      qemuPins: {
        ...PINS,
        device: "x",
        pins: { "8": "STOP", gpioB0: "START" },
      },
    },
    "the pin has a line already",
  ],
  [
    { qemuPins: { ...PINS, pins: { "8": "STOP" } } },
    "qemuPins: a PL061 has pins 0 to 7, but there is pin 8",
  ],
  [
    { lines: ["sim/9"], qemuPins: PINS },
    "qemuPins: a PL061 has pins 0 to 7, but there is pin 8",
  ],
  [{ qemuPins: { ...PINS, adress: 1 } }, "qemuPins.adress: is no key"],
];

for (const [keys, says] of REFUSED) {
  const title = JSON.stringify(keys).replace(long, "/xxx…");
  Deno.test(`readCreation() refuses an exposure: ${title}`, () => {
    assertThrows(() => exposureOf(keys), ConfigError, says);
  });
}
