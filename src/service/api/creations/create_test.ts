import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../../config/document/config_error.ts";
import { readCreation, readPlay } from "./create.ts";

const RULES = {
  socketDirectory: "/run/agg",
  socketAccess: { mode: 0o600 },
  qemuSockets: ["/srv", "/"],
};
const PINS = { qtest: "/run/q/qtest", qmp: "/run/q/qmp" };

function createdExposure(keys: object) {
  const { name: _name, lines: _lines, ...exposure } = readCreation({
    name: "a",
    lines: ["gpiochip0/0,as=START", "gpiochip0/1,as=STOP"],
    ...keys,
  }, RULES).specification;
  return exposure;
}

Deno.test("readCreation() presents an aggregator at a vhost-user socket unless it is told otherwise", () => {
  assertEquals(createdExposure({}), {
    vhostUser: { socketPath: "/run/agg/a.sock", access: { mode: 0o600 } },
  });
  assertEquals(createdExposure({ socket: { mode: "660", group: "plc" } }), {
    vhostUser: {
      socketPath: "/run/agg/a.sock",
      access: { mode: 0o660, group: "plc" },
    },
  });
});

Deno.test("readCreation() reads a kernel chip", () => {
  assertEquals(createdExposure({ kernelChip: {} }), {
    kernelChip: { access: {} },
  });
  assertEquals(
    createdExposure({
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

Deno.test("readCreation() reads a kernel chip of lines with rules", () => {
  const kernelChip = { interface: "usb", device: "cp2112", mode: "660" };
  assertEquals(
    createdExposure({ kernelChip, lines: ["sim/2,safe=0", "const/1"] }),
    {
      kernelChip: {
        interface: "usb",
        device: "cp2112",
        access: { mode: 0o660 },
      },
    },
  );
});

Deno.test("readCreation() reads pins inside QEMU, by number, by name, or one to one", () => {
  assertEquals(createdExposure({ qemuPins: PINS }), {
    qemuPins: { ...PINS, device: "pl061", allowed: RULES.qemuSockets },
  });
  assertEquals(
    createdExposure({
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
        allowed: RULES.qemuSockets,
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

Deno.test("readCreation() puts the socket of a PCI card where others are", () => {
  assertEquals(createdExposure({ vfioUser: { mode: "600", group: "kvm" } }), {
    vfioUser: {
      socketPath: `${RULES.socketDirectory}/a.sock`,
      access: { ...RULES.socketAccess, mode: 0o600, group: "kvm" },
    },
  });
});

Deno.test("readCreation() makes sockets of USB adapters, or takes those of a QEMU", () => {
  assertEquals(createdExposure({ usbredir: { mode: "600" } }), {
    usbredir: {
      device: "ljca",
      socketPath: `${RULES.socketDirectory}/a.sock`,
      access: { ...RULES.socketAccess, mode: 0o600 },
    },
  });
  const connect = PINS.qmp;
  assertEquals(createdExposure({ usbredir: { device: "cp2112", connect } }), {
    usbredir: {
      device: "cp2112",
      socketPath: connect,
      connects: true,
      allowed: RULES.qemuSockets,
    },
  });
});

Deno.test("readCreation() takes no path of a QEMU's where no directory is allowed", () => {
  const { qemuSockets: _, ...rules } = RULES;
  const error = assertThrows(
    () => readCreation({ name: "a", lines: ["sim/1"], qemuPins: PINS }, rules),
    ConfigError,
    "no directory of QEMU sockets is allowed to clients of this service",
  );
  assertEquals(error.path, "qemuPins.qtest");
});

const long = `/${"x".repeat(99)}`;

const REFUSED: readonly (readonly [keys: object, says: string])[] = [
  [{ vfioUser: {}, kernelChip: {} }, "the aggregator is presented by"],
  [{ usbredir: { device: "ftdi" } }, `usbredir.device: "ftdi" is not known`],
  [
    { usbredir: { connect: "/run/../x" } },
    "usbredir.connect: is not a plain path",
  ],
  [
    { usbredir: { connect: PINS.qmp, mode: "600" } },
    "usbredir.mode: cannot be combined with connect",
  ],
  [{ usbredir: { fd: 3 } }, 'usbredir.fd: unknown key "fd"'],
  [{ usbredir: {}, lines: ["sim/65"] }, "usbredir: has 65 lines"],
  [{ usbredir: {}, vfioUser: {} }, "is presented by"],
  [{ usbredir: {}, pausedFor: "1s" }, "pausedFor: is for a vhost-user socket"],
  [{ vfioUser: 1 }, "vfioUser: must be an object, not 1"],
  [{ vfioUser: { fd: 3 } }, 'vfioUser.fd: unknown key "fd"'],
  [{ vfioUser: {}, pausedFor: "1s" }, "pausedFor: is for a vhost-user socket"],
  [
    { vfioUser: {}, lines: ["sim/110"] },
    "vfioUser: has 110 lines, but a PCI card has 109",
  ],
  [
    { kernelChip: {}, qemuPins: PINS },
    "qemuPins: the aggregator is presented by kernelChip already",
  ],
  [
    { socket: {}, kernelChip: {} },
    "kernelChip: the aggregator is presented by socket",
  ],
  [{ kernelChip: true }, "kernelChip: must be an object, not the"],
  [{ kernelChip: null }, "kernelChip: must be an object, not null"],
  [{ kernelChip: { interface: "ioctl" } }, 'kernelChip.interface: "ioctl" is'],
  [
    { kernelChip: { interface: 1 } },
    "kernelChip.interface: must be a string, not 1",
  ],
  [
    { kernelChip: { mode: "9" } },
    'kernelChip.mode: "9" is not a valid file mode',
  ],
  [{ kernelChip: { owner: "" } }, 'kernelChip.owner: "" is not'],
  [{ kernelChip: { owner: "root\0x" } }, "kernelChip.owner: "],
  [{ kernelChip: { modus: "660" } }, 'kernelChip.modus: unknown key "modus"'],
  [
    { name: "a.b", kernelChip: {} },
    'name: "a.b" is not a valid name for a chip',
  ],
  [
    { lines: ["gpiochip0/1,safe=0"], kernelChip: { interface: "sysfs" } },
    "--line gpiochip0/1,safe=0: a kernel chip cannot put a line into a safe",
  ],
  [
    { lines: ["gpiochip0/1,active-low"], kernelChip: { interface: "sysfs" } },
    "a kernel chip cannot invert a line",
  ],
  [
    { lines: ["gpiochip0/1,direction=any"], kernelChip: {} },
    "--line gpiochip0/1,direction=any: a kernel chip has no rules",
  ],
  [
    { lines: ["sim/2"], kernelChip: { interface: "configfs" } },
    "--line sim/2: a kernel chip cannot have such a line",
  ],
  [
    { lines: ["gpiochip0/0,as=A", "gpiochip0/1,as=A"], kernelChip: {} },
    'the name "A" is taken by gpiochip0/0,as=A',
  ],
  [
    { lines: ["gpiochip0/0-512"], kernelChip: {} },
    "has 513 lines, but the kernel supports at most 512",
  ],
  [{ qemuPins: [] }, "qemuPins: must be an object, not an array"],
  [{ qemuPins: {} }, "qemuPins.qtest: is missing"],
  [
    { qemuPins: { ...PINS, qtest: "/run/q/../docker.sock" } },
    "qemuPins.qtest: is not a plain path below /srv or /",
  ],
  [{ qemuPins: { qtest: "/q" } }, "qemuPins.qmp: is missing"],
  [
    { qemuPins: { ...PINS, qtest: "run/qtest" } },
    'qemuPins.qtest: "run/qtest" is not an absolute socket path',
  ],
  [{ qemuPins: { ...PINS, qmp: "/run/\0qmp" } }, "qemuPins.qmp: "],
  [{ qemuPins: { ...PINS, qtest: long } }, "is longer than 99 bytes"],
  [
    { qemuPins: { ...PINS, qtest: 5 } },
    "qemuPins.qtest: must be a string, not 5",
  ],
  [
    { qemuPins: { ...PINS, device: "pl061\nirq_intercept_out /machine" } },
    "qemuPins.device: ",
  ],
  [{ qemuPins: { ...PINS, device: "" } }, "qemuPins.device: "],
  [{ qemuPins: { ...PINS, index: "0" } }, "qemuPins.index: must be a number"],
  [{ qemuPins: { ...PINS, index: 1.5 } }, "qemuPins.index: 1.5 is not"],
  [{ qemuPins: { ...PINS, index: -1 } }, "qemuPins.index: -1 is not"],
  [
    { qemuPins: { ...PINS, pins: {} } },
    "qemuPins.pins: must have at least 1 key",
  ],
  [
    { qemuPins: { ...PINS, pins: { "0": "LAMP" } } },
    'qemuPins.pins.0: no line here has the name "LAMP"',
  ],
  [
    { qemuPins: { ...PINS, pins: { x: "STOP" } } },
    'qemuPins.pins.x: "x" is not a valid pin',
  ],
  [
    { qemuPins: { ...PINS, pins: { "0": "STOP", "1": "STOP" } } },
    'qemuPins.pins.1: line "STOP" is at pin 0 already',
  ],
  [
    {
      qemuPins: {
        ...PINS,
        device: "x",
        pins: { "8": "STOP", gpioB0: "START" },
      },
    },
    "which has a line already",
  ],
  [
    { qemuPins: { ...PINS, pins: { "8": "STOP" } } },
    "qemuPins: a PL061 has pins 0 to 7, but there is pin 8",
  ],
  [
    { lines: ["sim/9"], qemuPins: PINS },
    "qemuPins: a PL061 has pins 0 to 7, but there is pin 8",
  ],
  [
    { qemuPins: { ...PINS, adress: 1 } },
    'qemuPins.adress: unknown key "adress"',
  ],
];

for (const [keys, says] of REFUSED) {
  const title = JSON.stringify(keys).replace(long, "/xxx…");
  Deno.test(`readCreation() refuses an exposure: ${title}`, () => {
    assertThrows(() => createdExposure(keys), ConfigError, says);
  });
}

Deno.test("readCreation() reads how long a driver may be stopped", () => {
  const vhostUser = {
    socketPath: "/run/agg/a.sock",
    access: { mode: 0o600 },
  };
  assertEquals(createdExposure({ pausedFor: "keep" }), {
    vhostUser,
    pausedForUs: "keep",
  });
  assertEquals(createdExposure({ pausedFor: "500ms" }), {
    vhostUser,
    pausedForUs: 500_000,
  });
  for (
    const keys of [
      { pausedFor: 5 },
      { pausedFor: "long" },
      { pausedFor: "1s", qemuPins: PINS },
      { pausedFor: "1s", kernelChip: {} },
    ]
  ) {
    const error = assertThrows(() => createdExposure(keys), ConfigError);
    assertEquals(error.path, "pausedFor");
  }
});

function createdLines(...lines: string[]) {
  return readCreation({ name: "a", lines }, RULES).specification.lines;
}

Deno.test("readCreation() limits a client's chips to device files", () => {
  assertEquals(
    createdLines("gpiochip0/3", "ESTOP", "const/1").map((l) => l.source),
    [
      { kind: "chip", chip: "gpiochip0", offset: 3, devicesOnly: true },
      { kind: "line-name", lineName: "ESTOP", devicesOnly: true },
      { kind: "const", value: 1 },
    ],
  );
});

Deno.test("readCreation() numbers the simulated lines of all specs", () => {
  assertEquals(
    createdLines("sim/2", "const/1,as=ONE", "sim/1").map(({ name }) => name),
    ["sim0", "sim1", "ONE", "sim2"],
  );
});

Deno.test("readCreation() takes 4096 lines and no more", () => {
  const specs = new Array<string>(8).fill("sim/512");
  assertEquals(createdLines(...specs).length, 4096);
  assertThrows(
    () => createdLines(...specs, "sim/1"),
    ConfigError,
    "lines: has more than the 4096 lines",
  );
});

Deno.test("readCreation() gives a process of its own to what stays within it", () => {
  assertEquals(createdExposure({ isolate: "process" }).isolate, "process");
  const kernelChip = { interface: "usb", device: "cp2112" };
  const cases: [keys: object, says: string][] = [
    [{ kernelChip, lines: ["sim/1"] }, "isolate: is not possible"],
    [{ lines: ["gpiochip0/0,shared"] }, "shared works within one process"],
    [
      { lines: ["gpiochip0/0,combine=or"] },
      "combine works within one process",
    ],
  ];
  for (const [keys, says] of cases) {
    assertThrows(
      () => createdExposure({ isolate: "process", ...keys }),
      ConfigError,
      says,
    );
    createdExposure(keys);
  }
});

Deno.test("readPlay() takes steps in order of time", () => {
  const play = (...times: number[]) =>
    readPlay({
      from: "5",
      steps: times.map((afterNs) => ({ afterNs, line: "A", value: 1 })),
    });
  assertEquals(play(0, 7, 7).steps.length, 3);
  for (const times of [[7, 6], [0, 2 ** 53]]) {
    const error = assertThrows(() => play(...times), ConfigError);
    assertEquals(error.path, "steps.1.afterNs");
  }
});
