import { assertEquals } from "@std/assert";
import { GpioGuest } from "../../../tests/doubles/gpio_guest.ts";
import { ModelPort } from "../../../tests/doubles/model_port.ts";
import { EventCount } from "./counters.ts";
import { Edges, LineOperation } from "../../line/port.ts";

// Numbers of the specification, on purpose not the device's own constants.
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const OUT = 1;
const IN = 2;
const RISING = 1;
const FALLING = 2;
const BOTH = 3;
const HIGH = 4;
const LOW = 8;
const OK = { status: 0, value: 0, length: 2 };
const ERR = { status: 1, value: 0, length: 2 };

interface Rig {
  guest: GpioGuest;
  line: ModelPort;
  other: ModelPort;
}

function rig(type?: number): Rig {
  const line = new ModelPort();
  const other = new ModelPort();
  const guest = new GpioGuest([line, other]);
  if (type !== undefined) {
    assertEquals(guest.request(SET_IRQ_TYPE, 0, type), OK);
  }
  return { guest, line, other };
}

const VALID = [{ line: 0, status: 1, length: 1 }];
const INVALID = [{ line: 0, status: 0, length: 1 }];

Deno.test("D8: an edge while masked is kept, and delivered once when unmasked", () => {
  const { guest, line } = rig(BOTH);
  const { counters } = guest.device;
  line.pull(1);
  line.pull(0);
  line.pull(1);
  assertEquals(guest.interrupts(), []);
  guest.unmask(0);
  assertEquals(guest.interrupts(), VALID);
  guest.unmask(0);
  assertEquals(guest.interrupts(), [], "three edges while masked are one");
  assertEquals(counters.eventCount(0, EventCount.Latched), 1);
  assertEquals(counters.eventCount(0, EventCount.Coalesced), 2);
  assertEquals(counters.eventCount(0, EventCount.Delivered), 1);
});

Deno.test("D8: only the edges that the type names are kept", () => {
  const cases: [type: number, levels: number[], delivered: boolean][] = [
    [RISING, [1], true],
    [RISING, [0], false],
    [FALLING, [0], true],
    [FALLING, [1], false],
    [BOTH, [1], true],
    [BOTH, [0], true],
  ];
  for (const [type, levels, delivered] of cases) {
    for (const isMasked of [false, true]) {
      const { guest } = rig(type);
      if (!isMasked) guest.unmask(0);
      // A port may have more in its event buffer than was asked for last.
      for (const level of levels) guest.device.edge(0, level);
      if (isMasked) guest.unmask(0);
      assertEquals(guest.interrupts(), delivered ? VALID : []);
    }
  }
});

Deno.test("D9: a level that ended while masked is not delivered", () => {
  for (const [type, active] of [[HIGH, 1], [LOW, 0]] as const) {
    const { guest, line } = rig();
    line.pulled = 1 - active;
    guest.request(SET_IRQ_TYPE, 0, type);
    line.pull(active);
    line.pull(1 - active);
    guest.unmask(0);
    assertEquals(guest.interrupts(), []);
    line.pull(active);
    assertEquals(guest.interrupts(), VALID);
  }
});

Deno.test("D10: an edge that is kept is discarded when the interrupt is disabled", () => {
  const { guest, line } = rig(RISING);
  line.pull(1);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, 0), OK);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, RISING), OK);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
  assertEquals(guest.device.counters.eventCount(0, EventCount.Discarded), 1);
});

Deno.test("D11: no event is sent unless the interrupt is enabled and unmasked", () => {
  for (const type of [RISING, FALLING, BOTH, HIGH, LOW]) {
    const { guest, line } = rig();
    guest.unmask(0); // unmasked, not enabled
    line.pull(1);
    line.pull(0);
    guest.device.edge(0, 1);
    assertEquals(guest.interrupts(), []);
    const masked = rig(type); // enabled, not unmasked
    masked.line.pull(1);
    masked.line.pull(0);
    assertEquals(masked.guest.events.usedIndex(), 0);
    assertEquals(masked.guest.notifications, ["requests"]);
  }
});

Deno.test("D12: SET_IRQ_TYPE NONE returns the buffer as INVALID", () => {
  for (const type of [RISING, HIGH]) {
    const { guest, line } = rig(type);
    guest.unmask(0);
    assertEquals(guest.request(SET_IRQ_TYPE, 0, 0), OK);
    assertEquals(guest.interrupts(), INVALID);
    line.pull(1);
    assertEquals(guest.interrupts(), []);
    assertEquals(line.edges, Edges.None);
    // The same type again is a new request for it.
    line.pull(0);
    assertEquals(guest.request(SET_IRQ_TYPE, 0, type), OK);
    guest.unmask(0);
    line.pull(1);
    assertEquals(guest.interrupts(), VALID);
  }
});

Deno.test("D12: NONE also returns a buffer of a line that was never enabled", () => {
  const { guest } = rig();
  guest.unmask(0);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, 0), OK);
  assertEquals(guest.interrupts(), INVALID);
});

Deno.test("D12: NONE also returns a buffer that still lies in the event ring", () => {
  for (const type of [SET_IRQ_TYPE, SET_DIRECTION]) {
    const { guest } = rig(RISING);
    guest.queueEvent(0); // its kick is under way on another fd
    guest.notifications.length = 0;
    assertEquals(guest.request(type, 0, 0), OK);
    assertEquals(guest.interrupts(), INVALID);
    assertEquals(guest.notifications, ["events", "requests"]);
  }
});

Deno.test("D12: the guest sees the returned buffer before the answer to NONE", () => {
  for (const slow of [false, true]) {
    const { guest, line } = rig(BOTH);
    guest.unmask(0);
    guest.notifications.length = 0;
    line.slow = slow;
    let seen: number | undefined;
    line.onSubmit = () => {
      // The port is told to stop: the buffer is in the used ring, no answer is.
      seen = guest.events.usedIndex();
      assertEquals(guest.requests.usedIndex(), 1);
    };
    guest.send(SET_IRQ_TYPE, 0, 0);
    guest.serve(0);
    if (slow) line.finish();
    assertEquals(seen, 1);
    assertEquals(guest.notifications, ["events", "requests"]);
  }
});

Deno.test("D13: a line is masked after an event until its buffer comes again", () => {
  const { guest, line } = rig(BOTH);
  guest.unmask(0);
  line.pull(1);
  line.pull(0);
  assertEquals(guest.interrupts(), VALID);
  guest.unmask(0);
  assertEquals(guest.interrupts(), VALID, "the edge while masked");
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
});

Deno.test("D14: a level that is still active notifies again, at the guest's pace", () => {
  for (const [type, active] of [[HIGH, 1], [LOW, 0]] as const) {
    const { guest, line } = rig();
    line.pulled = active;
    guest.request(SET_IRQ_TYPE, 0, type);
    for (let i = 0; i < 5; i++) {
      guest.unmask(0);
      assertEquals(guest.interrupts(), VALID);
    }
    assertEquals(guest.device.counters.eventCount(0, EventCount.Delivered), 5);
    const reads = line.calls.filter((call) =>
      call.operation === LineOperation.GetValue
    );
    assertEquals(reads.length, 5, "one read per buffer: no storm");
    line.pull(1 - active);
    guest.unmask(0);
    assertEquals(guest.interrupts(), []);
  }
});

Deno.test("D14: the level is read again at an edge, not taken from it", () => {
  const { guest, line } = rig(HIGH);
  guest.unmask(0);
  // An old event from the port's queue: the line is low again.
  guest.device.edge(0, 1);
  assertEquals(guest.interrupts(), []);
  line.pulled = 1;
  guest.device.edge(0, 0);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("D14: a level interrupt asks an edge-only port for both edges", () => {
  for (const type of [HIGH, LOW]) {
    const { line } = rig(type);
    assertEquals(line.edges, Edges.Both);
  }
});

Deno.test("D14: enabling a level that is active answers first, then interrupts", () => {
  const { guest, line } = rig();
  line.pulled = 1;
  guest.unmask(0);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, HIGH), OK);
  assertEquals(guest.interrupts(), VALID);
  assertEquals(guest.notifications, ["requests", "events"]);
});

Deno.test("D15: an edge that was kept is delivered as soon as the buffer comes", () => {
  const { guest, line } = rig(FALLING);
  line.pull(1);
  line.pull(0);
  guest.queueEvent(0);
  guest.serve(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("D16: a buffer for a line that is not enabled is held, not bounced", () => {
  const { guest, line } = rig();
  guest.unmask(0);
  assertEquals(guest.interrupts(), [], "bouncing it makes Linux send it again");
  assertEquals(guest.request(SET_IRQ_TYPE, 0, RISING), OK);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("D16: a buffer after a refused SET_IRQ_TYPE is held too", () => {
  const { guest, line } = rig();
  line.refuses.add(LineOperation.SetEdges);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, HIGH), ERR);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
});

Deno.test("R1: a request on the event queue is not carried out", () => {
  const { guest, line } = rig();
  const at = guest.slot();
  guest.writeRequest(at, SET_DIRECTION, 0, OUT);
  const head = guest.sendBuffers(1, [
    { address: guest.address(at), length: 8, writable: false },
    { address: guest.address(at + 16), length: 2, writable: true },
  ]);
  // It reads as the buffer of line 3, which is not there.
  assertEquals(guest.events.collect(), [{ head, length: 1 }]);
  assertEquals(guest.bytes[at + 16], 0);
  assertEquals(line.calls, []);
});

Deno.test("R5: interrupt requests are errors without VIRTIO_GPIO_F_IRQ", () => {
  const line = new ModelPort();
  const guest = new GpioGuest([line], { features: 0x3000_0000n });
  for (const type of [0, RISING, HIGH]) {
    assertEquals(guest.request(SET_IRQ_TYPE, 0, type), ERR);
  }
  assertEquals(line.calls, []);
  assertEquals(guest.device.counters.requestCount(0, SET_IRQ_TYPE, false), 3);
});

Deno.test("R6: an output's interrupt cannot be enabled", () => {
  const { guest, line } = rig();
  guest.request(SET_DIRECTION, 0, OUT);
  for (const type of [RISING, FALLING, BOTH, HIGH, LOW]) {
    assertEquals(guest.request(SET_IRQ_TYPE, 0, type), ERR);
  }
  assertEquals(guest.request(SET_IRQ_TYPE, 0, 0), OK);
  assertEquals(line.level, 0);
  // The buffer that Linux sends nevertheless is held: no ping-pong.
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
});

Deno.test("R6: an output that becomes an input can interrupt", () => {
  const { guest, line } = rig();
  guest.request(SET_DIRECTION, 0, OUT);
  guest.request(SET_DIRECTION, 0, IN);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, RISING), OK);
  guest.unmask(0);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("SET_DIRECTION OUT disables an enabled interrupt and returns its buffer", () => {
  const { guest, line } = rig(BOTH);
  line.pull(1); // kept
  guest.unmask(0);
  guest.interrupts();
  guest.unmask(0);
  guest.notifications.length = 0;
  assertEquals(guest.request(SET_DIRECTION, 0, OUT), OK);
  assertEquals(guest.notifications, ["events", "requests"]);
  assertEquals(guest.interrupts(), INVALID);
  assertEquals(line.edges, Edges.None);
  assertEquals(guest.request(SET_DIRECTION, 0, IN), OK);
  guest.unmask(0);
  line.pull(0);
  assertEquals(guest.interrupts(), [], "the guest has to enable it anew");
  assertEquals(guest.request(SET_IRQ_TYPE, 0, BOTH), OK);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("SET_DIRECTION OUT that is refused leaves the interrupt as it is", () => {
  const { guest, line } = rig(RISING);
  line.refuses.add(LineOperation.Output);
  guest.unmask(0);
  assertEquals(guest.request(SET_DIRECTION, 0, OUT), ERR);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("SET_DIRECTION IN keeps an enabled interrupt", () => {
  const { guest, line } = rig(RISING);
  guest.unmask(0);
  const calls = line.calls.length;
  assertEquals(guest.request(SET_DIRECTION, 0, IN), OK);
  assertEquals(line.calls.length, calls, "a new request would lose edges");
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("SET_DIRECTION IN reaches an input that the host drives by now", () => {
  const { guest, line } = rig();
  assertEquals(guest.request(SET_DIRECTION, 0, IN), OK);
  line.direction = OUT;
  assertEquals(guest.request(SET_DIRECTION, 0, IN), OK);
  assertEquals(line.direction, IN);
});

Deno.test("R7, R8: a type may change without NONE; what was kept is discarded", () => {
  const { guest, line } = rig(RISING);
  guest.unmask(0);
  line.pull(1);
  guest.interrupts();
  line.pull(0);
  line.pull(1); // kept
  assertEquals(guest.request(SET_IRQ_TYPE, 0, FALLING), OK);
  guest.unmask(0);
  assertEquals(guest.interrupts(), [], "no rising edge for a falling type");
  line.pull(0);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("R8: a change of type keeps the buffer that is there", () => {
  const { guest, line } = rig(RISING);
  guest.unmask(0);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, LOW), OK);
  assertEquals(guest.interrupts(), VALID, "the line is low");
  guest.unmask(0);
  guest.interrupts();
  line.pull(1);
  guest.unmask(0);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, FALLING), OK);
  assertEquals(guest.interrupts(), []);
  line.pull(0);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("R8: a change of type that the port refuses leaves the old one", () => {
  const { guest, line } = rig(RISING);
  line.refuses.add(LineOperation.SetEdges);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, FALLING), ERR);
  guest.unmask(0);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("The same type again is OK, asks nothing of the port, and keeps what was kept", () => {
  const { guest, line } = rig(RISING);
  line.pull(1);
  const calls = line.calls.length;
  assertEquals(guest.request(SET_IRQ_TYPE, 0, RISING), OK);
  assertEquals(line.calls.length, calls);
  guest.unmask(0);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("R9: unmasking before or after enabling works alike", () => {
  for (const first of ["unmask", "enable"]) {
    for (const type of [RISING, HIGH]) {
      const { guest, line } = rig();
      if (first === "unmask") guest.unmask(0);
      guest.request(SET_IRQ_TYPE, 0, type);
      if (first === "enable") guest.unmask(0);
      line.pull(1);
      assertEquals(guest.interrupts(), VALID);
    }
  }
});

Deno.test("R10: buffers of different lines come back independently", () => {
  const { guest, line, other } = rig(RISING);
  guest.request(SET_IRQ_TYPE, 1, RISING);
  guest.unmask(0);
  guest.unmask(1);
  other.pull(1);
  assertEquals(guest.interrupts(), [{ line: 1, status: 1, length: 1 }]);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("R11: a second buffer for a line comes back INVALID, the first stays", () => {
  const { guest, line } = rig(RISING);
  guest.unmask(0);
  guest.unmask(0);
  assertEquals(guest.interrupts(), INVALID);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
  assertEquals(guest.device.counters.eventCount(0, EventCount.Returned), 1);
});

Deno.test("An event buffer for a line that does not exist comes back INVALID", () => {
  const { guest } = rig();
  for (const lineNumber of [2, 0xffff]) {
    guest.unmask(lineNumber);
    assertEquals(guest.interrupts(), [
      { line: lineNumber, status: 0, length: 1 },
    ]);
  }
});

Deno.test("No more event buffers are taken at a time than the budget has", () => {
  const lines = Array.from({ length: 6 }, () => new ModelPort());
  const guest = new GpioGuest(lines);
  for (let line = 0; line < 6; line++) {
    guest.request(SET_IRQ_TYPE, line, RISING);
  }
  for (let line = 0; line < 6; line++) guest.queueEvent(line);
  assertEquals(guest.device.processQueue(1, 2), true);
  const paused = { take: () => false };
  assertEquals(guest.device.processQueue(1, 64, paused), true);
  for (const line of lines) line.pull(1);
  assertEquals(guest.interrupts().map(({ line }) => line), [0, 1, 2]);
  assertEquals(guest.device.processQueue(1, 64), false);
  assertEquals(guest.interrupts().map(({ line }) => line), [3, 4, 5]);
});

Deno.test("What is reported of lines that the device does not have is ignored", () => {
  const { guest } = rig(HIGH);
  guest.device.edge(2, 1);
  guest.device.restored(2);
  guest.device.completed(2, 0);
  assertEquals(guest.interrupts(), []);
  assertEquals(guest.device.counters.strayCompletions[0], 1);
});

Deno.test("Event buffers that are malformed come back at once, and the rest goes on", () => {
  const { guest, line } = rig(RISING);
  const at = guest.slot();
  const readable = (length: number) => ({
    address: guest.address(at),
    length,
    writable: false,
  });
  const writable = {
    address: guest.address(at + 8),
    length: 1,
    writable: true,
  };
  guest.view.setUint16(at, 0, true);
  const noRoom = guest.sendBuffers(1, [readable(2)]);
  assertEquals(guest.events.collect(), [{ head: noRoom, length: 0 }]);
  const noLine = guest.sendBuffers(1, [readable(1), writable]);
  assertEquals(guest.events.collect(), [{ head: noLine, length: 1 }]);
  assertEquals(guest.bytes[at + 8], 0);
  const wrongWay = guest.sendBuffers(1, [writable, readable(2)]);
  assertEquals(guest.events.collect(), [{ head: wrongWay, length: 0 }]);
  assertEquals(guest.device.counters.refusedChains[1], 2);
  guest.unmask(0);
  line.pull(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("SET_IRQ_TYPE makes a line an input that was never requested", () => {
  const { line } = rig(RISING);
  assertEquals(line.history, [
    [LineOperation.Input, 0],
    [LineOperation.SetEdges, Edges.Rising],
  ]);
});

Deno.test("A line whose chip is gone holds its buffer silently, and comes back", () => {
  const { guest, line } = rig(HIGH);
  line.broken = true;
  line.pulled = 1;
  guest.unmask(0);
  guest.device.edge(0, 1);
  assertEquals(guest.interrupts(), []);
  assertEquals(guest.request(GET_VALUE, 0), ERR);
  line.broken = false;
  guest.device.edge(0, 1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("An interrupt can be disabled while its chip is gone", () => {
  const { guest, line } = rig(RISING);
  guest.unmask(0);
  line.broken = true;
  assertEquals(guest.request(SET_IRQ_TYPE, 0, 0), OK);
  assertEquals(guest.interrupts(), INVALID);
});

Deno.test("A wire between two lines of one device interrupts after the answer", () => {
  const { guest, line, other } = rig();
  guest.request(SET_IRQ_TYPE, 1, BOTH);
  guest.unmask(1);
  guest.request(SET_DIRECTION, 0, OUT);
  line.onSubmit = (call) => {
    if (call.operation === LineOperation.SetValue) other.pull(call.argument);
  };
  guest.notifications.length = 0;
  assertEquals(guest.request(SET_VALUE, 0, 1), OK);
  assertEquals(guest.interrupts(), [{ line: 1, status: 1, length: 1 }]);
  assertEquals(guest.notifications, ["requests", "events"]);
});

Deno.test("A batch that moves many wired lines is one notification of each kind", () => {
  const lines = Array.from({ length: 16 }, () => new ModelPort());
  const guest = new GpioGuest(lines);
  for (let i = 0; i < 8; i++) {
    guest.request(SET_DIRECTION, i, OUT);
    guest.request(SET_IRQ_TYPE, i + 8, i % 2 === 0 ? RISING : HIGH);
    guest.unmask(i + 8);
    lines[i]!.onSubmit = (call) => lines[i + 8]!.pull(call.argument);
  }
  guest.notifications.length = 0;
  for (let i = 0; i < 8; i++) guest.send(SET_VALUE, i, 1);
  guest.serve(0);
  assertEquals(guest.notifications, ["requests", "events"]);
  assertEquals(guest.interrupts().map((event) => event.line), [
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
  ]);
});

Deno.test("An edge inside the serving of event buffers reaches another line", () => {
  const { guest, line, other } = rig(HIGH);
  guest.request(SET_IRQ_TYPE, 1, RISING);
  guest.unmask(1);
  // Reading line 0 for its level makes line 1 change, as a computed line may.
  line.onSubmit = (call) => {
    if (call.operation === LineOperation.GetValue) other.pull(1);
  };
  line.pulled = 1;
  guest.unmask(0);
  assertEquals(guest.interrupts(), [
    { line: 1, status: 1, length: 1 },
    { line: 0, status: 1, length: 1 },
  ]);
});

Deno.test("an answer and the edge that it led to are published before the driver is notified of either", () => {
  const { guest, line, other } = rig(BOTH);
  guest.request(SET_DIRECTION, 1, OUT);
  guest.unmask(0);
  other.onSubmit = ({ argument }) => line.pull(argument);
  const used: number[][] = [];
  guest.notifications.push = () =>
    used.push([guest.requests.usedIndex(), guest.events.usedIndex()]);
  assertEquals(guest.request(SET_VALUE, 1, 1), OK);
  assertEquals(used, [[3, 1], [3, 1]]);
});
