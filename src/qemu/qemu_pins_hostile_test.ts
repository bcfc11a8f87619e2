/** A QEMU that its guest has broken into, and sockets that are none of QEMU's. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { listenUnix } from "../../ffi/unix_socket.ts";
import { pinsRig, PL061 } from "../../tests/doubles/pins_rig.ts";
import { Direction, LineOperation } from "../virtio/line_port.ts";

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

Deno.test("QemuPins tells of a QMP socket that does not greet, as one in use does not", () => {
  using it = pinsRig();
  using silent = listenUnix(`${it.directory}/qmp`);
  it.pass(9000);
  assertEquals(it.log, []);
  it.pass(2000);
  assertStringIncludes(it.log.join(), "for 10 s it did not greet");
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
    assertStringIncludes(it.log.join(), "does not tell which way its pins go");
  }
});

Deno.test("QemuPins gives up on a memory region that is in itself", () => {
  using it = pinsRig();
  bootTampered(it, '"container"', () => ({ return: "/machine/soc/window" }));
  it.turn(400);
  assertStringIncludes(it.log.join(), "does not tell which way its pins go");
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
  assertStringIncludes(it.log.join(), "reports pins without end");
  const asked = it.heard(it.ports[1]).map(([operation]) => operation);
  assertEquals(asked.includes(LineOperation.Output), false);
});

Deno.test("QemuPins keeps no endless queue for a slow line whose direction changes and changes", () => {
  using it = pinsRig();
  const { gpio } = it.boot();
  it.port.slow = true;
  const changes = 20_000;
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
  assert(it.pins.counters.lostRequests[0]! > 0);
  let operations = 0;
  while (it.port.isPending) {
    it.port.finish();
    operations++;
  }
  assert(operations <= 65_540, `${operations} operations waited`);
  assertEquals(it.port.direction, Direction.Input);
});

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
    "stands still",
  ]);
  // What connected meanwhile waits for its answer first.
  qemu.onCommand = undefined;
  it.pass(11_000);
  assertStringIncludes(it.log[2]!, "did not answer qmp_capabilities");
  assertEquals(it.log.slice(3), ["connected", "started"]);
});
