/** A QEMU that its guest has broken into, and sockets that are none of QEMU's. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { rounds } from "../../tests/environment/rounds.ts";
import { listenUnix } from "../../ffi/unix_socket.ts";
import { pinsRig, PL061 } from "../../tests/doubles/pins_rig.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";
import { Direction, LineOperation } from "../line/port.ts";

type Rig = ReturnType<typeof pinsRig>;

/** Lets a QEMU answer `command` like this, and all else as it should. */
function bootTampered(
  it: Rig,
  command: string,
  answer: (id: number) => unknown,
): void {
  it.boot((qemu) => {
    qemu.onCommand = (text) => {
      if (!text.includes(command)) return undefined;
      const { id } = JSON.parse(text);
      return JSON.stringify({ id, ...answer(id) as object });
    };
  });
}

Deno.test("QemuPins tells once of a QMP socket that speaks something else", () => {
  for (const greeting of ["null", "1", '"QMP"', "{", "", "SSH-2.0", "OK"]) {
    using it = pinsRig();
    it.boot((qemu) => {
      qemu.greeting = greeting;
    });
    it.pass(3000);
    assertEquals(it.log, [
      `fault ${it.directory}/qmp: it does not speak QMP (QEMU makes it with ` +
      `-qmp unix:${it.directory}/qmp,server=on,wait=off, for gpioagg alone)`,
    ]);
    it.qemu.greeting = '{"QMP": {}}';
    it.pass(1100);
    assertEquals(it.log.slice(1), ["connected", "started"]);
  }
});

/** Clears a screen, sets a title, forges a log line, turns text around. */
const FORGERY = "no\x1b]0;owned\x07\x9b2J\ngpioagg: audit: forged\u202e" +
  "x".repeat(50_000);

Deno.test("QemuPins reports a peer's text without its control characters", () => {
  using it = pinsRig();
  it.boot((qemu) => {
    qemu.onCommand = (text) => {
      const { id } = JSON.parse(text);
      return JSON.stringify({ id, error: { desc: FORGERY } });
    };
  });
  it.pass(3000);
  const [fault] = it.log;
  assertStringIncludes(fault!, "no\\x1b]0;owned\\x07\\x9b2J\\ngpioagg: audit");
  assert(!/[\p{Cc}\p{Cf}]/u.test(fault!) && fault!.length < 2000, fault);
});

Deno.test("QemuPins lists the types that QOM may have, and not all", () => {
  using it = pinsRig({ device: "stm32" });
  const types = Array.from({ length: 40 }, (_, i) => ({
    name: `device[${i}]`,
    type: i === 2 ? "child<gpio\x1b[2J>" : `child<gpio${i}>`,
  }));
  bootTampered(it, "qom-list", () => ({ return: types.splice(0) }));
  it.pass(3000);
  const [fault] = it.log;
  assertStringIncludes(fault!, "gpio0, gpio1, gpio3, gpio4");
  assert(!fault!.includes("2J") && fault!.endsWith("gpio16, …)"), fault);
  assert(!/[\p{Cc}\p{Cf}]/u.test(fault!) && fault!.length < 2000, fault);
});

Deno.test("QemuPins tells of a QMP socket that does not greet, as one in use does not", () => {
  using it = pinsRig();
  using silent = listenUnix(`${it.directory}/qmp`);
  it.pass(9000);
  assertEquals(it.log, []);
  it.pass(2000);
  assertStringIncludes(it.log.join(), "for 10 s it did not send a greeting");
  silent.close();
  Deno.removeSync(`${it.directory}/qmp`);
  it.boot();
  assertEquals(it.log.slice(1), ["connected", "started"]);
});

Deno.test("QemuPins tells once of a QEMU without a qtest socket", () => {
  using it = pinsRig({ qtestPath: "/nonexistent/qtest" });
  it.boot();
  it.pass(3000);
  assertEquals(it.log, [
    "fault /nonexistent/qtest: QEMU does not listen there (QEMU makes it " +
    "with -qtest unix:/nonexistent/qtest,server=on,wait=off, for gpioagg alone)",
  ]);
});

Deno.test("QemuPins finds nothing in answers that make no sense", () => {
  for (
    const answer of [
      { return: null },
      { return: 5 },
      { return: {} },
      { return: [null, 1, "x", {}, { name: 5, type: "child<pl061>" }] },
      {},
      { error: null },
      { error: "x" },
      { error: { desc: 5 } },
    ]
  ) {
    using it = pinsRig();
    bootTampered(it, "qom-list", () => answer);
    assertStringIncludes(it.log.join(), "no device of type");
    assertEquals(it.log.length, 1);
  }
});

Deno.test("QemuPins takes no address from QEMU that is none", () => {
  for (const answer of [null, 1.5, -1, 1e300, "x", [], {}]) {
    using it = pinsRig();
    bootTampered(it, '"addr"', () => ({ return: answer }));
    assertStringIncludes(
      it.log.join(),
      "has no known registers for its pins' directions",
    );
  }
});

/** Names that would be words or commands of their own on qtest. */
const HOSTILE_NAMES = [
  "gpio HTTP/1.1\r\nHost: x\r\n\r\nPOST /containers/create HTTP/1.1\r\n",
  "gpio\nquit",
  "gpio 1",
  "gpio/../..",
  "gpio\x1b[2J",
  "gpio\u0085",
  "gpio\u202e",
  "",
  "x".repeat(2000),
  "[0]",
  "gpio[0]x",
];

Deno.test("QemuPins takes no object for a controller whose name is not one of QOM's", () => {
  for (const name of HOSTILE_NAMES) {
    using it = pinsRig();
    const asked: string[] = [];
    it.boot((qemu) => {
      qemu.onCommand = (text) => {
        asked.push(text);
        if (!text.includes('"qom-list"')) return undefined;
        const { id } = JSON.parse(text);
        const list = [{ name, type: "child<pl061>" }];
        return JSON.stringify({ id, return: list });
      };
    });
    it.pass(100);
    assertStringIncludes(it.log.join(), "no device of type");
    assertEquals(it.log.length, 1);
    // Nothing below it was looked at, and nothing went to qtest.
    assertEquals(asked.length, 2);
    assertEquals(it.qemu.qtestClients, 0);
  }
});

Deno.test("QemuPins takes no object for a controller whose type is not one of QOM's", () => {
  for (const type of ["pl061\n", "pl061 x", "pl061\x1b]52;c;x\x07", "pl061>"]) {
    using it = pinsRig();
    bootTampered(it, '"qom-list"', () => ({
      return: [{ name: "gpio", type: `child<${type}>` }],
    }));
    it.pass(100);
    assertEquals(it.log.length, 1);
    const [line] = it.log;
    assertStringIncludes(line!, "no device of type");
    assertEquals(line!.includes("x07") || line!.includes("\x1b"), false);
  }
});

Deno.test("QemuPins sends a fixed command to qtest, and no other before its answer", () => {
  for (
    const answer of [
      "HTTP/1.1 400 Bad Request",
      "FAIL Unknown command 'endianness'",
      "OK",
      "OK Pleased to meet you",
      "+OK",
      "OK 0x0",
      "",
    ]
  ) {
    using it = pinsRig();
    const asked: string[] = [];
    it.boot((qemu) => {
      qemu.onCommand = (text) => {
        if (text.startsWith("{")) return undefined;
        asked.push(text);
        return answer;
      };
    });
    it.pass(5000);
    // Each attempt begins and ends with the question.
    assertEquals(new Set(asked), new Set(["endianness"]));
    assertEquals(it.log.length, 1);
    assertStringIncludes(it.log[0]!, "fault");
    assertStringIncludes(it.log[0]!, "it does not speak qtest");
  }
});

Deno.test("QemuPins drives nothing by reports of a peer that has not shown it is qtest", () => {
  using it = pinsRig({
    rules: ["output"],
    board: [{ ...PL061, type: "x.gpio" }],
    device: "x.gpio",
  });
  it.boot((qemu) => {
    qemu.onCommand = (text) => text === "endianness" ? null : undefined;
  });
  it.qemu.babble("IRQ raise 0");
  it.turn(6);
  assertEquals(it.heard(it.port), []);
  it.qemu.onCommand = undefined;
  it.qemu.babble("OK little");
  it.turn(6);
  assertEquals(it.log, ["connected", "started"]);
  assertEquals(it.port.level, 1);
});

Deno.test("QemuPins gives up on reports without end before the first answer", () => {
  using it = pinsRig();
  it.boot((qemu) => {
    qemu.onCommand = (text) => text === "endianness" ? null : undefined;
  });
  it.qemu.babble("IRQ raise 1\n".repeat(5000).trimEnd());
  it.turn(10);
  assertStringIncludes(it.log.join(), "sends reports without end");
});

Deno.test("QemuPins knows what happened while qtest had not answered", () => {
  using it = pinsRig();
  it.boot((qemu) => {
    qemu.onCommand = (text) => text === "endianness" ? null : undefined;
  });
  it.qemu.tell("SHUTDOWN");
  it.qemu.tell("constructor");
  it.turn(6);
  assertEquals(it.log, []);
  it.qemu.babble("OK big");
  it.turn(6);
  assertEquals(it.log, ["connected"]);
  it.qemu.onCommand = undefined;
  it.qemu.reset();
  it.turn(6);
  assertEquals(it.log.slice(1).includes("started"), true);
});

Deno.test("QemuPins takes no answer to qmp_capabilities for one that is none", () => {
  for (
    const answer of [{ return: null }, { return: "OK" }, { return: [] }, {}]
  ) {
    using it = pinsRig();
    bootTampered(it, "qmp_capabilities", () => answer);
    assertStringIncludes(it.log.join(), "it does not speak QMP");
  }
});

Deno.test("QemuPins takes an answer that is too long for one without objects", () => {
  using it = pinsRig();
  const many = Array.from({ length: 5000 }, (_, i) => ({
    name: `unnamed-gpio-in[${i}]`,
    type: "child<irq>",
  }));
  it.boot((qemu) => {
    qemu.onCommand = (text) => {
      if (!text.includes('"/machine/soc/uart"')) return undefined;
      // As QEMU has it: what the answer belongs to stands at its end.
      const { id } = JSON.parse(text);
      return JSON.stringify({ return: many, id });
    };
  });
  it.turn(200);
  assertEquals(it.log, ["connected", "started"]);
});

testLarge("QemuPins gives up on lines without an end", () => {
  using it = pinsRig();
  it.boot((qemu) => {
    qemu.onCommand = () => null;
    qemu.greeting = `{"QMP":${" ".repeat(5 << 20)}`;
  });
  it.turn(2000);
  assertStringIncludes(it.log.join(), "a line that does not end");
});

Deno.test("QemuPins ends a connection by a long line on qtest", () => {
  using it = pinsRig();
  const qemu = it.boot();
  it.log.length = 0;
  qemu.babble("x".repeat(5000));
  it.turn(10);
  assertStringIncludes(it.log.join(), "a line of more than 4096 characters");
});

Deno.test("QemuPins takes no deep answers", () => {
  for (const depth of [20, 30_000]) {
    for (const key of ["return", "error"]) {
      using it = pinsRig();
      it.boot((qemu) => {
        qemu.onCommand = (text) => {
          if (!text.includes("qom-list")) return undefined;
          const { id } = JSON.parse(text);
          const deep = "[".repeat(depth) + "]".repeat(depth);
          return `{"id": ${id}, "${key}": ${deep}}`;
        };
      });
      it.turn(20);
      assertStringIncludes(it.log.join(), "it does not speak QMP");
    }
  }
});

Deno.test("QemuPins looks at so many devices of a type, and not at more", () => {
  using it = pinsRig();
  const devices = Array.from({ length: 300 }, (_, i) => ({
    name: `device[${i}]`,
    type: "child<pl061>",
  }));
  bootTampered(it, "qom-list", () => ({ return: devices.splice(0) }));
  it.turn(2000);
  assertStringIncludes(it.log.join(), "more than 256 devices of type");
});

/** Lets each call of a line take 0.25 ms: a slice is used up by one. */
function slowDown(it: Rig): void {
  const submit = it.port.submit.bind(it.port);
  it.port.submit = (...call) => {
    it.clock.now += 0.25;
    return submit(...call);
  };
}

Deno.test("QemuPins does a burst of its guest's in slices, complete and in order", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  gpio.setDirections(1);
  it.pass(40);
  it.heard();
  slowDown(it);
  const edges = 200;
  for (let i = 1; i <= edges; i++) gpio.setData(i & 1);
  let turns = 0;
  let most = 0;
  const levels: number[] = [];
  for (; levels.length < edges && turns < 3000; turns++) {
    it.clock.now += 5;
    it.turn(1);
    const calls = it.heard();
    most = Math.max(most, calls.length);
    levels.push(...calls.map(([, level]) => level!));
  }
  assertEquals(levels, Array.from({ length: edges }, (_, i) => (i + 1) & 1));
  assert(most <= 2, `${most} calls in one turn`);
});

Deno.test("QemuPins does what waits for its turn before its QEMU's end", () => {
  for (const end of ["kill", "SHUTDOWN"]) {
    using it = pinsRig();
    const qemu = it.boot();
    qemu.gpio.setDirections(1);
    it.pass(40);
    it.heard();
    slowDown(it);
    for (let i = 1; i <= 101; i++) qemu.gpio.setData(i & 1);
    for (let i = 0; i < 12; i++) {
      it.clock.now++;
      it.turn(1);
    }
    if (end === "kill") it.kill();
    else qemu.tell(end);
    it.pass(200);
    const done = it.heard().filter(([operation]) =>
      operation === LineOperation.SetValue
    ).map(([, level]) => level);
    assertEquals(done, Array.from({ length: 101 }, (_, i) => (i + 1) & 1));
  }
});

Deno.test("QemuPins does the last of too many changes at its QEMU's end", () => {
  using it = pinsRig({ rules: ["output", "output"] });
  const qemu = it.boot();
  qemu.gpio.setDirections(3);
  it.pass(40);
  it.heard();
  it.heard(it.ports[1]);
  // Nothing confirms what comes now.
  qemu.onCommand = (text) => text.startsWith("readl") ? null : undefined;
  qemu.gpio.setData(2);
  for (let i = 1; i <= 4001; i++) qemu.gpio.setData(2 | (i & 1));
  it.turn(40);
  it.kill();
  const values = it.heard().filter(([operation]) =>
    operation !== LineOperation.Deactivate
  );
  assert(values.length > 1000 && values.length < 1100, `${values.length}`);
  assertEquals(values.at(-1)?.[1], 1);
  assertEquals(it.heard(it.ports[1])[0]?.[1], 1);
});

Deno.test("QemuPins gives up on a memory region that is in itself", () => {
  using it = pinsRig();
  bootTampered(it, '"container"', () => ({ return: "/machine/soc/window" }));
  it.turn(400);
  assertStringIncludes(
    it.log.join(),
    "has no known registers for its pins' directions",
  );
});

Deno.test("QemuPins gives up on a machine without an end", () => {
  using it = pinsRig();
  const children = Array.from(
    { length: 100 },
    (_, i) => ({ name: `x${i}`, type: "child<x>" }),
  );
  bootTampered(it, "qom-list", () => ({ return: children }));
  it.turn(1000);
  assertStringIncludes(it.log.join(), "has more than 16384 objects");
});

Deno.test("QemuPins is greeted once by each QEMU", () => {
  using it = pinsRig();
  const qemu = it.boot();
  qemu.tellRaw(qemu.greeting);
  for (const text of ['{"return": {}}', '{"id": {}}', '{"id": 1}', "{}"]) {
    qemu.tellRaw(text);
  }
  it.turn();
  assertEquals(it.log, ["connected", "started"]);
});

Deno.test("QemuPins ends a connection whose registers hold no numbers", () => {
  for (const answer of ["OK what", "OK", "OK 1", "OK 0x", "FAIL no"]) {
    using it = pinsRig();
    const qemu = it.boot();
    it.log.length = 0;
    qemu.onCommand = (text) => text.startsWith("readl") ? answer : undefined;
    it.pass(40);
    assertEquals(it.log[0], "gone");
    assertStringIncludes(it.log[1]!, "it does not speak qtest");
    qemu.onCommand = undefined;
    it.pass(1100);
    assertEquals(it.log.slice(2), ["connected", "started"]);
  }
});

Deno.test("QemuPins ends a connection that reports pins and answers nothing", () => {
  using it = pinsRig();
  const qemu = it.boot();
  it.log.length = 0;
  qemu.onCommand = () => null;
  const some = "IRQ raise 1\nIRQ lower 1\n".repeat(5000);
  for (let i = 0; i <= 100; i++) {
    qemu.babble(some.trimEnd());
    it.turn(4);
  }
  assertStringIncludes(it.log.join(), "sends reports without end");
  const asked = it.heard(it.ports[1]).map(([operation]) => operation);
  assertEquals(asked.includes(LineOperation.Output), false);
});

testLarge(
  "QemuPins keeps no endless queue for a slow line whose direction changes and changes",
  () => {
    using it = pinsRig();
    const { gpio } = it.boot();
    it.port.slow = true;
    // How many may wait is a matter of PinLine, and of its tests.
    const changes = rounds(20_000, 1000);
    for (let i = 0; i < changes; i++) {
      gpio.setDirections(1);
      gpio.setData(1);
      it.turn(6);
      gpio.setDirections(0);
      it.clock.now += 20;
      it.turn(6);
      // It is not idle, only slower.
      it.port.finish();
    }
    const isLimited = changes === 20_000;
    assertEquals(it.pins.counters.lostRequests[0]! > 0, isLimited);
    let operations = 0;
    while (it.port.isPending) {
      it.port.finish();
      operations++;
    }
    assert(operations <= 65_540, `${operations} operations waited`);
    assertEquals(it.port.direction, Direction.Input);
  },
);

Deno.test("QemuPins says the same of a QEMU that is killed before it has read everything", () => {
  using it = pinsRig({
    board: [{ ...PL061, properties: ["gpioA0", "gpioA1"], inputs: 0 }],
  });
  it.boot();
  it.log.length = 0;
  it.port.pull(1);
  it.kill();
  assertEquals(it.log, [
    "gone",
    `disconnected ${it.directory}/qmp: it closed the connection`,
  ]);
});

Deno.test("QemuPins takes a QEMU that answers nothing for 10 s for one that is gone", () => {
  using it = pinsRig();
  const qemu = it.boot();
  it.log.length = 0;
  qemu.onCommand = () => null;
  it.pass(8000);
  assertEquals(it.log, []);
  it.pass(5000);
  assertEquals(it.log, [
    "gone",
    `disconnected ${it.directory}/qtest: for 10 s it did not answer: QEMU ` +
    "is stopped",
  ]);
  // What connected meanwhile waits for its answer first.
  qemu.onCommand = undefined;
  it.pass(11_000);
  assertStringIncludes(it.log[2]!, "did not answer qmp_capabilities");
  assertEquals(it.log.slice(3), ["connected", "started"]);
});
