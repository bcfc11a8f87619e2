import { assertEquals, assertThrows } from "@std/assert";
import { GpioGuest, UNTOUCHED } from "../../../tests/doubles/gpio_guest.ts";
import { ModelPort } from "../../../tests/doubles/model_port.ts";
import { GpioDevice } from "./device.ts";
import { Departure, Direction, LineOperation } from "../../line/port.ts";

// Numbers of the specification, on purpose not the device's own constants.
const GET_LINE_NAMES = 1;
const GET_DIRECTION = 2;
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const NONE = 0;
const OUT = 1;
const IN = 2;
const OK = { status: 0, value: 0, length: 2 };
const ERR = { status: 1, value: 0, length: 2 };

function ok(value: number) {
  return { status: 0, value, length: 2 };
}

function ports(count: number): ModelPort[] {
  return Array.from({ length: count }, () => new ModelPort());
}

function guestWith(count = 4): { guest: GpioGuest; lines: ModelPort[] } {
  const lines = ports(count);
  return { guest: new GpioGuest(lines), lines };
}

Deno.test("D1: every field of a response is set, and nothing behind it", () => {
  const { guest, lines } = guestWith();
  lines[1]!.pulled = 1;
  const cases: [type: number, line: number, value: number, answer: object][] = [
    [GET_DIRECTION, 0, 0, ok(IN)],
    [SET_DIRECTION, 0, IN, OK],
    [GET_VALUE, 0, 0, ok(0)],
    [GET_VALUE, 1, 0, ok(1)],
    [SET_VALUE, 0, 1, OK],
    [SET_IRQ_TYPE, 0, 1, OK],
    [SET_IRQ_TYPE, 0, 0, OK],
    [SET_DIRECTION, 0, NONE, OK],
    [0, 0, 0, ERR],
    [7, 0, 0, ERR],
    [0xffff, 0, 0, ERR],
    [GET_VALUE, 4, 0, ERR],
    [GET_VALUE, 0xffff, 0, ERR],
  ];
  for (const [type, line, value, answer] of cases) {
    const head = guest.send(type, line, value, 8);
    guest.serve(0);
    const [response] = guest.responses();
    assertEquals(response, { head, ...answer } as typeof response);
  }
  // Six bytes behind the response, in the same buffer.
  const at = guest.slot();
  guest.writeRequest(at, GET_VALUE, 1, 0);
  guest.sendBuffers(0, [
    { address: guest.address(at), length: 8, writable: false },
    { address: guest.address(at + 16), length: 8, writable: true },
  ]);
  assertEquals([...guest.bytes.subarray(at + 16, at + 24)], [
    0,
    1,
    UNTOUCHED,
    UNTOUCHED,
    UNTOUCHED,
    UNTOUCHED,
    UNTOUCHED,
    UNTOUCHED,
  ]);
});

Deno.test("D2: the configuration space has every field", () => {
  const lines = Array.from({ length: 300 }, (_, i) => new ModelPort(`L${i}`));
  const device = new GpioDevice(lines);
  const names = lines.reduce((sum, line) => sum + line.name.length + 1, 0);
  const view = new DataView(device.configSpace.buffer);
  assertEquals(device.configSpace.length, 8);
  assertEquals(view.getUint16(0, true), 300);
  assertEquals(view.getUint16(2, true), 0);
  assertEquals(view.getUint32(4, true), names);
});

Deno.test("D3: gpio_names_size is 0 when no line has a name", () => {
  const device = new GpioDevice(ports(3));
  assertEquals([...device.configSpace], [3, 0, 0, 0, 0, 0, 0, 0]);
});

Deno.test("D3: a driver that asks for names that do not exist gets none", () => {
  const { guest } = guestWith();
  assertEquals(guest.request(GET_LINE_NAMES, 0).length, 1);
  assertEquals(guest.request(GET_LINE_NAMES, 0).status, 0);
});

Deno.test("D4: the names block has every name, zero-terminated, and the exact length", () => {
  const guest = new GpioGuest([
    new ModelPort("START"),
    new ModelPort(""),
    new ModelPort("STOP"),
  ]);
  const head = guest.send(GET_LINE_NAMES, 0, 0, 40);
  guest.serve(0);
  const [response] = guest.responses();
  assertEquals(response, { head, status: 0, value: 0x53, length: 13 });
  assertEquals([...guest.device.configSpace.subarray(4)], [12, 0, 0, 0]);
  const at = guest.bytes.findIndex((byte, i) =>
    byte === 0x53 && guest.bytes[i + 1] === 0x54
  );
  const text = new TextDecoder().decode(guest.bytes.subarray(at, at + 12));
  assertEquals(text, "START\0\0STOP\0");
  assertEquals(guest.bytes[at + 12], UNTOUCHED);
});

Deno.test("D4: names that are not unique or not 7-bit make no device", () => {
  assertThrows(
    () => new GpioDevice([new ModelPort("A"), new ModelPort("A")]),
    RangeError,
    "line 0 has that name",
  );
  assertThrows(
    () => new GpioDevice([new ModelPort("µ")]),
    RangeError,
    "7-bit",
  );
});

Deno.test("D4: a names buffer that is too small gets an ordinary error response", () => {
  const guest = new GpioGuest([new ModelPort("ABCDEFGH")]);
  for (const [room, expected] of [[9, 2], [3, 2], [2, 2], [1, 1]] as const) {
    const head = guest.send(GET_LINE_NAMES, 0, 0, room);
    guest.serve(0);
    const [response] = guest.responses();
    assertEquals(response, {
      head,
      status: 1,
      value: expected === 2 ? 0 : UNTOUCHED,
      length: expected,
    });
  }
});

Deno.test("D5: requests to one line are answered in the order they came", () => {
  const { guest, lines } = guestWith();
  const heads = [
    guest.send(SET_VALUE, 0, 1),
    guest.send(SET_DIRECTION, 0, OUT),
    guest.send(GET_VALUE, 0),
    guest.send(SET_VALUE, 0, 0),
    guest.send(GET_VALUE, 0),
  ];
  guest.serve(0);
  const responses = guest.responses();
  assertEquals(responses.map((response) => response.head), heads);
  assertEquals(responses.map((response) => response.value), [0, 0, 1, 0, 0]);
  assertEquals(lines[0]!.driven, 0);
});

Deno.test("D6: a line that is slow does not hold up another", () => {
  const { guest, lines } = guestWith();
  lines[0]!.slow = true;
  lines[1]!.pulled = 1;
  const slow = guest.send(GET_VALUE, 0);
  const fast = guest.send(GET_VALUE, 1);
  guest.serve(0);
  assertEquals(guest.responses(), [{ head: fast, ...ok(1) }]);
  lines[0]!.finish();
  assertEquals(guest.responses(), [{ head: slow, ...ok(0) }]);
});

Deno.test("D7: SET_DIRECTION NONE discards value, interrupt type, latch and buffer", () => {
  const { guest, lines } = guestWith();
  const line = lines[0]!;
  guest.request(SET_VALUE, 0, 1); // stored
  guest.request(SET_IRQ_TYPE, 0, 3);
  line.pull(1); // latched
  guest.unmask(0);
  assertEquals(guest.interrupts(), [{ line: 0, status: 1, length: 1 }]);
  guest.unmask(0);
  assertEquals(guest.request(SET_DIRECTION, 0, NONE), OK);
  assertEquals(guest.interrupts(), [{ line: 0, status: 0, length: 1 }]);
  assertEquals(line.calls.at(-1), {
    operation: LineOperation.Deactivate,
    argument: Departure.LineReleased,
  });
  // No edge counts any more, and the value is not remembered.
  line.pull(0);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
  guest.request(SET_DIRECTION, 0, OUT);
  assertEquals(line.calls.at(-1), {
    operation: LineOperation.Output,
    argument: -1,
  });
});

Deno.test("D17: the status follows the port, for every request", () => {
  const cases: [LineOperation, type: number, value: number][] = [
    [LineOperation.GetValue, GET_VALUE, 0],
    [LineOperation.Input, SET_DIRECTION, IN],
    [LineOperation.Output, SET_DIRECTION, OUT],
    [LineOperation.Deactivate, SET_DIRECTION, NONE],
    [LineOperation.SetEdges, SET_IRQ_TYPE, 1],
    [LineOperation.Input, SET_IRQ_TYPE, 1],
  ];
  for (const [operation, type, value] of cases) {
    const { guest, lines } = guestWith();
    lines[2]!.refuses.add(operation);
    assertEquals(guest.request(type, 2, value), ERR);
    assertEquals(guest.device.counters.requestCount(2, type, false), 1);
    lines[2]!.refuses.clear();
    assertEquals(guest.request(type, 2, value), OK);
    assertEquals(guest.device.counters.requestCount(2, type, true), 1);
  }
  const { guest, lines } = guestWith();
  guest.request(SET_DIRECTION, 2, OUT);
  lines[2]!.refuses.add(LineOperation.SetValue);
  assertEquals(guest.request(SET_VALUE, 2, 1), ERR);
});

Deno.test("D18: a line without a name is a zero byte between the others", () => {
  const guest = new GpioGuest([
    new ModelPort(""),
    new ModelPort("B"),
    new ModelPort(""),
  ]);
  const head = guest.send(GET_LINE_NAMES, 0, 0, 5);
  guest.serve(0);
  assertEquals(guest.responses()[0], { head, status: 0, value: 0, length: 5 });
});

Deno.test("D19: a value set before is used when the line becomes an output", () => {
  const { guest, lines } = guestWith();
  const line = lines[0]!;
  assertEquals(guest.request(SET_VALUE, 0, 1), OK);
  assertEquals(line.calls.length, 0, "an input is not driven");
  assertEquals(guest.request(SET_DIRECTION, 0, OUT), OK);
  assertEquals(line.history, [[LineOperation.Output, 1]]);
  assertEquals(line.level, 1);
  // Back to input and out again: the level is still what the guest set last.
  guest.request(SET_DIRECTION, 0, IN);
  guest.request(SET_DIRECTION, 0, OUT);
  assertEquals(line.level, 1);
});

Deno.test("D19: without a value the port keeps the level that the line has", () => {
  const { guest, lines } = guestWith();
  lines[0]!.pulled = 1;
  assertEquals(guest.request(SET_DIRECTION, 0, OUT), OK);
  assertEquals(lines[0]!.history, [[LineOperation.Output, -1]]);
  assertEquals(guest.request(GET_VALUE, 0), ok(1));
});

Deno.test("A line that the host made an output is one for the guest", () => {
  const line = new ModelPort("", Direction.Output);
  const guest = new GpioGuest([line]);
  assertEquals(guest.request(GET_DIRECTION, 0), ok(OUT));
  assertEquals(guest.request(SET_VALUE, 0, 1), OK);
  assertEquals(line.level, 1);
});

Deno.test("GET_DIRECTION never answers NONE", () => {
  const line = new ModelPort("", Direction.None);
  const guest = new GpioGuest([line]);
  assertEquals(guest.request(GET_DIRECTION, 0), ok(IN));
  for (const direction of [IN, OUT]) {
    guest.request(SET_DIRECTION, 0, direction);
    assertEquals(guest.request(GET_DIRECTION, 0), ok(direction));
    guest.request(SET_DIRECTION, 0, NONE);
    // The host's truth, whatever the guest gave up.
    assertEquals(guest.request(GET_DIRECTION, 0), ok(direction));
  }
});

Deno.test("R2: a request with no room for an answer is returned unserved", () => {
  const { guest, lines } = guestWith();
  const at = guest.slot();
  guest.writeRequest(at, SET_DIRECTION, 0, OUT);
  const head = guest.sendBuffers(0, [
    { address: guest.address(at), length: 8, writable: false },
  ]);
  assertEquals(guest.requests.collect(), [{ head, length: 0 }]);
  assertEquals(lines[0]!.calls, []);
  assertEquals(guest.device.counters.refusedChains[0], 1);
});

Deno.test("R2: a request with room for one byte of answer is refused in it", () => {
  const { guest, lines } = guestWith();
  const head = guest.send(SET_DIRECTION, 0, OUT, 1);
  guest.serve(0);
  assertEquals(guest.responses(), [
    { head, status: 1, value: UNTOUCHED, length: 1 },
  ]);
  assertEquals(lines[0]!.calls, []);
});

Deno.test("R3: a request of too few readable bytes is refused, more are accepted", () => {
  const { guest, lines } = guestWith();
  for (const bytes of [0, 1, 7]) {
    const at = guest.slot();
    guest.writeRequest(at, SET_DIRECTION, 0, OUT);
    const head = guest.sendBuffers(0, [
      { address: guest.address(at), length: bytes, writable: false },
      { address: guest.address(at + 16), length: 2, writable: true },
    ]);
    assertEquals(guest.requests.collect(), [{ head, length: 2 }]);
    assertEquals([guest.bytes[at + 16], guest.bytes[at + 17]], [1, 0]);
  }
  assertEquals(lines[0]!.calls, []);
  const at = guest.slot();
  guest.writeRequest(at, SET_DIRECTION, 0, OUT);
  guest.sendBuffers(0, [
    { address: guest.address(at), length: 12, writable: false },
    { address: guest.address(at + 16), length: 2, writable: true },
  ]);
  assertEquals(guest.bytes[at + 16], 0);
  assertEquals(lines[0]!.calls.length, 1);
});

Deno.test("R3: a chain with the response first is malformed and returned", () => {
  const { guest, lines } = guestWith();
  const at = guest.slot();
  guest.writeRequest(at, SET_DIRECTION, 0, OUT);
  const head = guest.sendBuffers(0, [
    { address: guest.address(at + 16), length: 2, writable: true },
    { address: guest.address(at), length: 8, writable: false },
  ]);
  assertEquals(guest.requests.collect(), [{ head, length: 0 }]);
  assertEquals(guest.bytes[at + 16], UNTOUCHED);
  assertEquals(lines[0]!.calls, []);
  assertEquals(guest.request(GET_VALUE, 0), ok(0));
});

Deno.test("R4: many requests in parallel, to one line and to all, are one batch", () => {
  const { guest } = guestWith();
  const heads: number[] = [];
  for (let i = 0; i < 60; i++) heads.push(guest.send(GET_VALUE, i % 4));
  guest.serve(0);
  assertEquals(guest.responses().map((response) => response.head), heads);
  assertEquals(guest.notifications, ["requests"]);
});

Deno.test("Directions and values outside their range are errors, not truncated", () => {
  const { guest, lines } = guestWith();
  for (const value of [3, 256, 257, 258, 0x10000, 0x10001, 0xffff_ffff]) {
    assertEquals(guest.request(SET_DIRECTION, 0, value), ERR);
  }
  for (const value of [2, 256, 257, 0x10001, 0x8000_0000, 0xffff_ffff]) {
    assertEquals(guest.request(SET_VALUE, 0, value), ERR);
  }
  for (const value of [5, 6, 7, 9, 256, 257, 0x10001, 0xffff_ffff]) {
    assertEquals(guest.request(SET_IRQ_TYPE, 0, value), ERR);
  }
  assertEquals(lines[0]!.calls, []);
});

Deno.test("A port that answers anything above 0 to a read means high", () => {
  const line = new ModelPort();
  line.pulled = 4;
  const guest = new GpioGuest([line]);
  assertEquals(guest.request(GET_VALUE, 0), ok(1));
});

Deno.test("A device has 1 to 65535 lines", () => {
  assertThrows(() => new GpioDevice([]), RangeError, "of 0 lines");
  // One port will do: 65,536 would cost more than all else here.
  const many = new Array<ModelPort>(65536).fill(new ModelPort());
  assertThrows(() => new GpioDevice(many), RangeError, "of 65536 lines");
  many.pop();
  const device = new GpioDevice(many);
  assertEquals([...device.configSpace.subarray(0, 2)], [255, 255]);
});

Deno.test("Requests are counted by line, type and outcome", () => {
  const { guest } = guestWith();
  const { counters } = guest.device;
  guest.request(GET_VALUE, 1);
  guest.request(GET_VALUE, 1);
  guest.request(SET_VALUE, 1, 9);
  guest.request(99, 1);
  guest.request(GET_VALUE, 99);
  guest.request(GET_LINE_NAMES, 0);
  assertEquals(counters.requestCount(1, GET_VALUE, true), 2);
  assertEquals(counters.requestCount(1, SET_VALUE, false), 1);
  assertEquals(counters.requestCount(1, 0, false), 1);
  assertEquals(counters.requestCount(0, GET_VALUE, true), 0);
  assertEquals(counters.unattributedCount(GET_VALUE, false), 1);
  assertEquals(counters.unattributedCount(GET_LINE_NAMES, true), 1);
});

Deno.test("The budget ends a turn, and the rest is served in the next", () => {
  const { guest } = guestWith();
  for (let i = 0; i < 20; i++) guest.send(GET_VALUE, 0);
  assertEquals(guest.device.processQueue(0, 8), true);
  assertEquals(guest.responses().length, 8);
  assertEquals(guest.device.processQueue(0, 8), true);
  assertEquals(guest.device.processQueue(0, 8), false);
  assertEquals(guest.responses().length, 12);
});

Deno.test("A budget that ends with the ring leaves the driver asked for kicks", () => {
  const { guest } = guestWith();
  for (let i = 0; i < 8; i++) guest.send(GET_VALUE, 0);
  assertEquals(guest.device.processQueue(0, 8), false);
  assertEquals(guest.requests.availEvent(), 8);
});

Deno.test("A driver is asked for the kick of its next event buffer", () => {
  const guest = new GpioGuest([new ModelPort(), new ModelPort()]);
  for (const line of [0, 1]) {
    guest.unmask(line);
    assertEquals(guest.events.availEvent(), line + 1);
  }
});

Deno.test("Long chains use up the budget faster", () => {
  const { guest } = guestWith();
  const spend = () => {
    const at = guest.slot();
    guest.writeRequest(at, GET_VALUE, 0, 0);
    const parts = [{ address: guest.address(at), length: 8, writable: false }];
    for (let i = 0; i < 31; i++) {
      parts.push({
        address: guest.address(at + 16 + i),
        length: 1,
        writable: true,
      });
    }
    guest.requests.add(parts);
    guest.requests.publish();
  };
  spend();
  spend();
  assertEquals(guest.device.processQueue(0, 3), true);
  assertEquals(guest.requests.collect().length, 1);
  assertEquals(guest.device.processQueue(0, 3), false);
});

Deno.test("A chain across many regions uses up the budget faster", () => {
  const { guest } = guestWith();
  const regions = 64;
  const first = 2 ** 40;
  const buffer = new ArrayBuffer(regions * 16);
  for (let i = 0; i < regions; i++) {
    guest.memory.add({
      guestAddress: first + i * 16,
      userAddress: first + i * 16,
      length: 16,
      buffer,
      bufferOffset: i * 16,
    });
  }
  const spend = () => {
    const at = guest.slot();
    guest.writeRequest(at, GET_VALUE, 0, 0);
    guest.requests.add([
      { address: guest.address(at), length: 8, writable: false },
      { address: first, length: buffer.byteLength, writable: true },
    ]);
    guest.requests.publish();
  };
  spend();
  spend();
  assertEquals(guest.device.processQueue(0, 5), true);
  assertEquals(guest.requests.collect().length, 1);
  assertEquals(guest.device.processQueue(0, 6), false);
});
