/**
 * Findings from reading peers of this device, as tests of ours. A number with #
 * is a row of the table of vhost-device-gpio's defects; one with 1a is an entry
 * of the list of its effects on guests.
 */
import { assertEquals, assertThrows } from "@std/assert";
import { GpioGuest, UNTOUCHED } from "../../../tests/doubles/gpio_guest.ts";
import { ModelPort } from "../../../tests/doubles/model_port.ts";
import { EventCount } from "./counters.ts";
import { GpioDevice } from "./device.ts";
import { Edges } from "../../line/port.ts";

// Numbers of the specification, on purpose not the device's own constants.
const GET_LINE_NAMES = 1;
const GET_DIRECTION = 2;
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const OUT = 1;
const RISING = 1;
const BOTH = 3;
const HIGH = 4;
const OK = { status: 0, value: 0, length: 2 };
const ERR = { status: 1, value: 0, length: 2 };

function rig(count = 2): { guest: GpioGuest; lines: ModelPort[] } {
  const lines = Array.from({ length: count }, () => new ModelPort());
  return { guest: new GpioGuest(lines), lines };
}

Deno.test("#1, 1a.1: a line number out of range is an error in every message", () => {
  const { guest } = rig();
  for (const line of [2, 3, 255, 256, 0x7fff, 0xffff]) {
    for (const type of [2, 3, 4, 5, 6]) {
      assertEquals(guest.request(type, line, 0), ERR);
      assertEquals(guest.request(type, line, 1), ERR);
    }
    guest.unmask(line);
    assertEquals(guest.interrupts(), [{ line, status: 0, length: 1 }]);
  }
  assertEquals(guest.request(GET_VALUE, 1), OK);
});

Deno.test("#2, 1a.6: the configuration space ends after its 8 bytes", () => {
  const { configSpace } = rig().guest.device;
  assertEquals(configSpace.length, 8);
  assertEquals(configSpace.buffer.byteLength, 8);
  assertEquals(configSpace.subarray(4, 12).length, 4);
});

Deno.test("#3: a request need not be two descriptors", () => {
  const { guest, lines } = rig();
  lines[1]!.pulled = 1;
  for (
    const [readable, writable] of [
      [[8], [1, 1]],
      [[4, 4], [2]],
      [[2, 2, 4], [1, 1]],
      [[1, 1, 1, 1, 1, 1, 1, 1], [1, 1]],
      [[3, 5], [1, 0, 1]],
      [[0, 8], [0, 2]],
    ] as const
  ) {
    const at = guest.slot();
    guest.writeRequest(at, GET_VALUE, 1, 0);
    let from = at;
    const buffers = [];
    for (const length of readable) {
      buffers.push({ address: guest.address(from), length, writable: false });
      from += length;
    }
    from = at + 16;
    for (const length of writable) {
      buffers.push({ address: guest.address(from), length, writable: true });
      from += length;
    }
    const head = guest.sendBuffers(0, buffers);
    assertEquals(guest.requests.collect(), [{ head, length: 2 }]);
    assertEquals([guest.bytes[at + 16], guest.bytes[at + 17]], [0, 1]);
  }
});

Deno.test("#4: a bad chain in the middle of a batch costs the others nothing", () => {
  const { guest } = rig();
  const first = guest.send(GET_VALUE, 0);
  const bad = guest.requests.add([
    { address: 0, length: 8, writable: false },
  ]);
  guest.requests.publish();
  const last = guest.send(GET_VALUE, 1);
  guest.serve(0);
  assertEquals(guest.requests.collect(), [
    { head: first, length: 2 },
    { head: bad, length: 0 },
    { head: last, length: 2 },
  ]);
});

Deno.test("#5, 1a.2: the queue goes on after any number of bad chains", () => {
  const { guest } = rig();
  for (let i = 0; i < 1000; i++) {
    guest.requests.add([{ address: i, length: 8, writable: i % 2 === 0 }]);
    guest.requests.publish();
    guest.serve(0);
    assertEquals(guest.requests.collect().length, 1);
  }
  assertEquals(guest.queues[0].fault, undefined);
  assertEquals(guest.device.counters.refusedChains[0], 1000);
  assertEquals(guest.request(GET_VALUE, 0), OK);
});

Deno.test("#6: a response buffer of no or one byte is not overrun", () => {
  const { guest } = rig();
  for (const type of [GET_LINE_NAMES, GET_VALUE, 99]) {
    for (const room of [0, 1]) {
      const at = guest.slot();
      guest.writeRequest(at, type, 0, 0);
      const head = guest.sendBuffers(0, [
        { address: guest.address(at), length: 8, writable: false },
        { address: guest.address(at + 16), length: room, writable: true },
      ]);
      assertEquals(guest.requests.collect(), [{ head, length: room }]);
      assertEquals(
        [guest.bytes[at + 16], guest.bytes[at + 17]],
        [room === 1 ? 1 : UNTOUCHED, UNTOUCHED],
      );
    }
  }
});

Deno.test("#7: the used length is what was written, not what there was room for", () => {
  const { guest } = rig();
  for (const room of [2, 3, 8, 40]) {
    guest.send(GET_VALUE, 0, 0, room);
    guest.send(GET_VALUE, 9, 0, room);
    guest.serve(0);
    assertEquals(guest.responses().map((r) => r.length), [2, 2]);
  }
});

Deno.test("#8: numbers are not cut to fewer bits before they are checked", () => {
  const { guest, lines } = rig();
  assertEquals(guest.request(SET_DIRECTION, 0, 257), ERR);
  assertEquals(guest.request(SET_VALUE, 0, 0x1_0001), ERR);
  assertEquals(guest.request(SET_VALUE, 0, 0x100), ERR);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, 0x101), ERR);
  assertEquals(guest.request(0x104, 0), ERR);
  assertEquals(lines[0]!.calls, []);
});

Deno.test("#9, 1a.3, 1a.4: an armed line answers requests at once, and so do the others", () => {
  const { guest, lines } = rig();
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  guest.unmask(0);
  lines[0]!.pulled = 1;
  assertEquals(guest.request(GET_VALUE, 0), { status: 0, value: 1, length: 2 });
  assertEquals(guest.request(GET_VALUE, 1), OK);
});

Deno.test("#10, 1a.5: NONE stops the edges, drops what was kept, and returns the buffer", () => {
  const { guest, lines } = rig();
  guest.request(SET_IRQ_TYPE, 0, RISING);
  lines[0]!.pull(1);
  guest.unmask(0);
  guest.interrupts();
  lines[0]!.pull(0);
  lines[0]!.pull(1); // kept
  guest.unmask(0);
  guest.interrupts();
  guest.unmask(0);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, 0), OK);
  assertEquals(guest.interrupts(), [{ line: 0, status: 0, length: 1 }]);
  assertEquals(lines[0]!.edges, Edges.None);
  guest.request(SET_IRQ_TYPE, 0, RISING);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
});

Deno.test("#11: level interrupts are served, both of them", () => {
  const { guest, lines } = rig();
  lines[0]!.pulled = 1;
  assertEquals(guest.request(SET_IRQ_TYPE, 0, HIGH), OK);
  assertEquals(guest.request(SET_IRQ_TYPE, 1, 8), OK);
  guest.unmask(0);
  guest.unmask(1);
  assertEquals(guest.interrupts().map((i) => [i.line, i.status]), [
    [0, 1],
    [1, 1],
  ]);
});

Deno.test("#12: names are checked before a guest can see them", () => {
  for (const names of [["a", "a"], ["ä"], ["a\0"]]) {
    assertThrows(
      () => new GpioDevice(names.map((name) => new ModelPort(name))),
      RangeError,
    );
  }
});

Deno.test("#13: bad requests are counted, and nothing is printed", () => {
  const printed: unknown[] = [];
  const methods = ["log", "info", "warn", "error", "debug"] as const;
  const originals = methods.map((method) => console[method]);
  for (const method of methods) {
    console[method] = (...words: unknown[]) => printed.push(words);
  }
  try {
    const { guest } = rig();
    for (let i = 0; i < 100; i++) {
      guest.request(99, 0);
      guest.request(GET_VALUE, 99);
      guest.sendBuffers(0, [{ address: 0, length: 1, writable: true }]);
      guest.requests.collect();
    }
    guest.requests.setAvailIndex(guest.requests.availIndex + 1000);
    guest.serve(0);
    assertEquals(guest.queues[0].fault === undefined, false);
    assertEquals(guest.device.counters.refusedChains[0], 100);
    assertEquals(
      guest.device.counters.unattributedCount(GET_VALUE, false),
      100,
    );
  } finally {
    methods.forEach((method, i) => console[method] = originals[i]!);
  }
  assertEquals(printed, []);
});

Deno.test("#16: the double is a model: pulling a line makes its edge", () => {
  const { guest, lines } = rig();
  guest.request(SET_IRQ_TYPE, 0, RISING);
  guest.unmask(0);
  lines[0]!.pull(0);
  assertEquals(guest.interrupts(), [], "no change, no edge");
  lines[0]!.pull(1);
  assertEquals(guest.interrupts().length, 1);
});

Deno.test("1a.7: an output needs no value set before", () => {
  const { guest } = rig();
  assertEquals(guest.request(SET_DIRECTION, 0, OUT), OK);
  assertEquals(guest.request(GET_DIRECTION, 0).value, OUT);
});

Deno.test("1a.8: many edges while masked are one interrupt, and none is stale later", () => {
  const { guest, lines } = rig();
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  for (let i = 1; i <= 16; i++) lines[0]!.pull(i % 2);
  guest.unmask(0);
  assertEquals(guest.interrupts().length, 1);
  for (let i = 1; i <= 16; i++) lines[0]!.pull(i % 2);
  guest.request(SET_IRQ_TYPE, 0, 0);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
  const { counters } = guest.device;
  assertEquals(counters.eventCount(0, EventCount.Coalesced), 30);
});

Deno.test("1a.9: an error to GET_LINE_NAMES claims two bytes, since it wrote two", () => {
  const guest = new GpioGuest([new ModelPort("A"), new ModelPort("BCDEFGHIJ")]);
  guest.send(GET_LINE_NAMES, 0, 0, 12);
  guest.serve(0);
  const [response] = guest.responses();
  assertEquals(response!.length, 2);
  assertEquals([response!.status, response!.value], [1, 0]);
});

Deno.test("1a.10: a chip without names has no names block", () => {
  assertEquals([...rig(4).guest.device.configSpace.subarray(4)], [0, 0, 0, 0]);
});

Deno.test("Lost kick: what was there before the queue started is served", () => {
  const { guest } = rig();
  guest.stop(0);
  const head = guest.send(GET_VALUE, 0); // and the kick went nowhere
  guest.start(0);
  guest.serve(0);
  assertEquals(guest.responses().map((response) => response.head), [head]);
});

Deno.test("Lost kick: an entry added while the queue is served needs no kick", () => {
  const { guest, lines } = rig();
  guest.send(GET_VALUE, 0);
  let kicked: boolean | undefined;
  lines[0]!.onSubmit = () => {
    lines[0]!.onSubmit = undefined;
    const at = guest.slot();
    guest.writeRequest(at, GET_VALUE, 1, 0);
    guest.requests.add([
      { address: guest.address(at), length: 8, writable: false },
      { address: guest.address(at + 16), length: 2, writable: true },
    ]);
    kicked = guest.requests.publish();
  };
  guest.serve(0);
  assertEquals(kicked, false);
  assertEquals(guest.requests.collect().length, 2);
});
