import { assertEquals } from "@std/assert";
import { GpioGuest } from "../../../tests/doubles/gpio_guest.ts";
import { ModelPort } from "../../../tests/doubles/model_port.ts";
import { InflightLog } from "../queue/inflight.ts";
import { Departure, Edges, LineOperation } from "../../line/port.ts";

// Numbers of the specification, on purpose not the device's own constants.
const GET_DIRECTION = 2;
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const NONE = 0;
const OUT = 1;
const RISING = 1;
const HIGH = 4;
const VALID = [{ line: 0, status: 1, length: 1 }];
const INVALID = [{ line: 0, status: 0, length: 1 }];

interface Rig {
  guest: GpioGuest;
  slow: ModelPort;
  fast: ModelPort;
}

function rig(): Rig {
  const slow = new ModelPort();
  const fast = new ModelPort();
  slow.slow = true;
  return { guest: new GpioGuest([slow, fast]), slow, fast };
}

/** Ends operations until the port has none. */
function finishAll(port: ModelPort): void {
  while (port.isPending) port.finish();
}

/** Sets the interrupt type of the slow line. */
function enable({ guest, slow }: Rig, type: number): void {
  guest.send(SET_IRQ_TYPE, 0, type);
  guest.serve(0);
  finishAll(slow);
  guest.responses();
}

Deno.test("Every request completes later on a slow port, with the right answer", () => {
  const cases: [type: number, value: number, steps: number, answer: number][] =
    [
      [GET_VALUE, 0, 1, 1],
      [SET_DIRECTION, 2, 1, 0],
      [SET_VALUE, 0, 0, 0], // an input: nothing to do for the port
      [SET_DIRECTION, 1, 1, 0],
      [SET_VALUE, 1, 1, 0],
      [GET_VALUE, 0, 1, 1],
      [GET_DIRECTION, 0, 0, 1],
      [SET_DIRECTION, 0, 1, 0],
      [SET_DIRECTION, 2, 1, 0],
      [SET_IRQ_TYPE, 3, 1, 0],
      [SET_IRQ_TYPE, 0, 1, 0],
    ];
  const { guest, slow } = rig();
  slow.pulled = 1;
  for (const [type, value, steps, answer] of cases) {
    const head = guest.send(type, 0, value);
    guest.serve(0);
    for (let i = 0; i < steps; i++) {
      assertEquals(guest.responses(), []);
      slow.finish();
    }
    assertEquals(guest.responses(), [
      { head, status: 0, value: answer, length: 2 },
    ]);
    assertEquals(slow.isPending, false);
  }
});

Deno.test("D5: requests behind a slow one wait, and are answered in order", () => {
  const { guest, slow } = rig();
  const heads = [
    guest.send(SET_VALUE, 0, 1),
    guest.send(SET_DIRECTION, 0, OUT),
    guest.send(GET_DIRECTION, 0),
    guest.send(GET_VALUE, 0),
    guest.send(SET_VALUE, 0, 0),
    guest.send(99, 0),
    guest.send(GET_VALUE, 0),
  ];
  guest.serve(0);
  assertEquals(guest.responses().map((response) => response.head), [heads[0]]);
  slow.finish(); // OUT, then GET_DIRECTION at once
  assertEquals(
    guest.responses().map((response) => [
      response.head,
      response.value,
    ]),
    [[heads[1], 0], [heads[2], 1]],
  );
  finishAll(slow);
  assertEquals(
    guest.responses().map((r) => [r.head, r.status, r.value]),
    [[heads[3], 0, 1], [heads[4], 0, 0], [heads[5], 1, 0], [heads[6], 0, 0]],
  );
});

Deno.test("D5: sixty requests to a slow line keep their order", () => {
  const { guest, slow } = rig();
  const heads: number[] = [];
  for (let i = 0; i < 60; i++) heads.push(guest.send(GET_VALUE, 0));
  guest.serve(0);
  finishAll(slow);
  assertEquals(guest.responses().map((response) => response.head), heads);
});

Deno.test("A flood on a slow line leaves room for the others", () => {
  const { guest } = rig();
  for (let i = 0; i < 60; i++) guest.send(GET_VALUE, 0);
  const head = guest.send(GET_VALUE, 1);
  guest.serve(0);
  assertEquals(guest.responses().map((response) => response.head), [head]);
});

Deno.test("A port that fails later makes an error, and the next request goes on", () => {
  const { guest, slow } = rig();
  slow.broken = true;
  guest.send(SET_IRQ_TYPE, 0, RISING);
  guest.send(SET_DIRECTION, 0, OUT);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  finishAll(slow);
  assertEquals(guest.responses().map((response) => response.status), [1, 1, 1]);
});

Deno.test("A response in two parts is written when the request completes later", () => {
  const { guest, slow } = rig();
  slow.pulled = 1;
  const at = guest.slot();
  guest.writeRequest(at, GET_VALUE, 0, 0);
  guest.sendBuffers(0, [
    { address: guest.address(at), length: 3, writable: false },
    { address: guest.address(at + 3), length: 5, writable: false },
    { address: guest.address(at + 16), length: 1, writable: true },
    { address: guest.address(at + 24), length: 1, writable: true },
  ]);
  slow.finish();
  assertEquals([guest.bytes[at + 16], guest.bytes[at + 24]], [0, 1]);
});

Deno.test("A level on a slow port is read at unmasking and at each edge", () => {
  const r = rig();
  const { guest, slow } = r;
  enable(r, HIGH);
  guest.unmask(0);
  slow.finish(); // low
  assertEquals(guest.interrupts(), []);
  slow.pull(1);
  slow.finish();
  assertEquals(guest.interrupts(), VALID);
  guest.unmask(0);
  slow.finish();
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("An edge while the port is busy makes the level be read afterwards", () => {
  const r = rig();
  const { guest, slow } = r;
  enable(r, HIGH);
  guest.unmask(0);
  slow.finish();
  guest.send(GET_VALUE, 0);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  slow.pull(1);
  slow.finish();
  // Before the second request, so that a flood cannot keep it waiting.
  assertEquals(slow.calls.at(-1)?.operation, LineOperation.GetValue);
  assertEquals(guest.responses().length, 1);
  slow.finish();
  assertEquals(guest.interrupts(), VALID);
  assertEquals(guest.responses().length, 0);
  slow.finish();
  assertEquals(guest.responses().length, 1);
});

Deno.test("A level that went while it was read is delivered only if the reading says so", () => {
  const r = rig();
  const { guest, slow } = r;
  enable(r, HIGH);
  slow.pulled = 1;
  guest.unmask(0);
  slow.pull(0); // an edge during the reading: read once more afterwards
  slow.finish();
  assertEquals(guest.interrupts(), []);
  slow.finish();
  assertEquals(guest.interrupts(), []);
  assertEquals(slow.isPending, false);
});

Deno.test("NONE on a slow port returns the buffer at once and answers later", () => {
  const r = rig();
  const { guest, slow } = r;
  enable(r, RISING);
  guest.unmask(0);
  guest.send(SET_IRQ_TYPE, 0, NONE);
  guest.serve(0);
  assertEquals(guest.interrupts(), INVALID);
  assertEquals(guest.responses(), []);
  slow.report(1); // an edge that was under way: the interrupt is off already
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
  slow.finish();
  assertEquals(guest.responses().length, 1);
  assertEquals(slow.isPending, false, "no interrupt wants its level");
});

Deno.test("A completion after the queue was stopped does not touch the ring", () => {
  const { guest, slow } = rig();
  guest.send(SET_DIRECTION, 0, OUT);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  const stopped = guest.stop(0);
  assertEquals(stopped.resubmit.length, 2);
  const before = guest.bytes.slice();
  slow.finish();
  assertEquals(guest.bytes, before);
  assertEquals(slow.isPending, false, "what waited was forgotten");
  assertEquals(guest.notifications, []);
});

Deno.test("A resumed request queue answers what was pending, once and in order", () => {
  for (const finishBefore of [true, false]) {
    const { guest, slow } = rig();
    const heads = [
      guest.send(SET_VALUE, 0, 1),
      guest.send(SET_DIRECTION, 0, OUT),
      guest.send(GET_VALUE, 0),
    ];
    guest.serve(0);
    assertEquals(guest.responses().length, 1);
    const stopped = guest.stop(0);
    if (finishBefore) slow.finish();
    guest.start(0, stopped);
    guest.serve(0);
    finishAll(slow);
    assertEquals(
      guest.responses().map((r) => [r.head, r.status, r.value]),
      [[heads[1], 0, 0], [heads[2], 0, 1]],
    );
  }
});

Deno.test("A resumed event queue holds its buffers again and keeps what was kept", () => {
  const line = new ModelPort();
  const other = new ModelPort();
  const guest = new GpioGuest([line, other]);
  guest.request(SET_IRQ_TYPE, 0, RISING);
  guest.request(SET_IRQ_TYPE, 1, RISING);
  guest.unmask(0);
  other.pull(1); // kept: line 1 is masked
  const stopped = guest.stop(1);
  assertEquals(stopped.resubmit.length, 1);
  const before = guest.bytes.slice();
  line.pull(1); // while the guest is paused
  assertEquals(guest.bytes, before);
  guest.start(1, stopped);
  guest.serve(1);
  assertEquals(guest.interrupts(), VALID);
  guest.unmask(1);
  assertEquals(guest.interrupts(), [{ line: 1, status: 1, length: 1 }]);
});

Deno.test("A resumed event queue reads its level lines again", () => {
  const line = new ModelPort();
  const guest = new GpioGuest([line]);
  guest.request(SET_IRQ_TYPE, 0, HIGH);
  guest.unmask(0);
  const stopped = guest.stop(1);
  line.pull(1);
  guest.start(1, stopped);
  guest.serve(1);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("A level read for a buffer of an earlier run is read again", () => {
  const r = rig();
  const { guest, slow } = r;
  enable(r, HIGH);
  slow.pulled = 1;
  guest.unmask(0); // the reading is under way
  guest.resume(1);
  slow.finish(); // high, but that was before the buffer came
  assertEquals(guest.interrupts(), []);
  assertEquals(slow.isPending, true);
  slow.pulled = 0;
  slow.finish();
  assertEquals(guest.interrupts(), []);
  slow.pull(1);
  slow.finish();
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("reset() discards everything and tells every port that the guest is gone", () => {
  const line = new ModelPort();
  const other = new ModelPort();
  const guest = new GpioGuest([line, other]);
  guest.request(SET_VALUE, 0, 1);
  guest.request(SET_IRQ_TYPE, 0, RISING);
  line.pull(1); // kept
  guest.stop(0);
  guest.stop(1);
  guest.device.reset();
  for (const port of [line, other]) {
    assertEquals(port.calls.at(-1), {
      operation: LineOperation.Deactivate,
      argument: Departure.GuestGone,
    });
    assertEquals(port.edges, Edges.None);
  }
  // The next guest finds no trace: features, latch, value.
  guest.start(0, { nextAvail: guest.requests.availIndex });
  guest.start(1, { nextAvail: guest.events.availIndex });
  assertEquals(guest.request(SET_IRQ_TYPE, 0, RISING).status, 1);
  guest.device.setFeatures(guest.features);
  assertEquals(guest.request(SET_IRQ_TYPE, 0, RISING).status, 0);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
  guest.request(SET_DIRECTION, 0, OUT);
  assertEquals(line.calls.at(-1)?.argument, -1);
});

Deno.test("reset() during a pending operation lets the line go when it is done", () => {
  const { guest, slow } = rig();
  guest.send(SET_IRQ_TYPE, 0, RISING);
  guest.serve(0);
  const { nextAvail } = guest.stop(0);
  guest.stop(1);
  guest.device.reset();
  assertEquals(slow.history, [[LineOperation.Input, 0]]);
  slow.finish();
  assertEquals(slow.history.at(-1), [
    LineOperation.Deactivate,
    Departure.GuestGone,
  ]);
  // The next guest is there before that is done, and waits for it.
  guest.device.setFeatures(guest.features);
  guest.responses();
  guest.start(0, { nextAvail });
  const head = guest.send(GET_VALUE, 0);
  guest.serve(0);
  assertEquals(guest.responses(), []);
  slow.finish();
  slow.finish();
  assertEquals(guest.responses().map((response) => response.head), [head]);
  assertEquals(slow.edges, Edges.None);
});

Deno.test("Completions that nothing waits for are counted, not believed", () => {
  const { guest, slow } = rig();
  guest.device.completed(0, 1);
  guest.device.completed(99, 1);
  guest.device.edge(99, 1);
  assertEquals(guest.device.counters.strayCompletions[0], 2);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  slow.finish();
  guest.device.completed(0, 1);
  assertEquals(guest.responses().length, 1);
  assertEquals(guest.requests.usedIndex(), 1);
});

Deno.test("A queue that is stopped inside a request stays stopped", () => {
  const line = new ModelPort();
  const guest = new GpioGuest([line]);
  guest.send(GET_VALUE, 0);
  guest.send(GET_VALUE, 0);
  guest.send(GET_VALUE, 0);
  line.onSubmit = () => {
    if (line.calls.length === 2) guest.device.stopQueue(0);
  };
  assertEquals(guest.device.processQueue(0, 64), false);
  assertEquals(guest.requests.usedIndex(), 1, "what was done is published");
  assertEquals(line.calls.length, 2, "the third is not taken");
  assertEquals(guest.device.processQueue(0, 64), false);
});

Deno.test("A kick from inside the serving of a queue is served by that one", () => {
  const line = new ModelPort();
  const guest = new GpioGuest([line]);
  guest.send(GET_VALUE, 0);
  line.onSubmit = () => {
    if (line.calls.length === 1) {
      guest.send(GET_VALUE, 0);
      assertEquals(guest.device.processQueue(0, 64), false);
    }
  };
  guest.device.processQueue(0, 64);
  assertEquals(guest.responses().length, 2);
});

Deno.test("A queue that does not run, or does not exist, has nothing to serve", () => {
  const { guest } = rig();
  guest.stop(0);
  guest.stop(1);
  for (const index of [0, 1, 2, -1]) {
    assertEquals(guest.device.processQueue(index, 64), false);
  }
});

Deno.test("A completion serves some of the requests that wait, and the transport the rest, in order", () => {
  const { guest, slow } = rig();
  let wanted = 0;
  guest.device.onMore = () => wanted++;
  guest.budget = 16;
  const heads = [guest.send(SET_DIRECTION, 0, 0)];
  // What needs nothing of the port is answered at once.
  for (let i = 0; i < 50; i++) heads.push(guest.send(99, 0));
  for (let i = 0; i < 4; i++) guest.serve(0);
  slow.finish();
  const first = guest.responses().map((response) => response.head);
  assertEquals([first.length < heads.length, wanted], [true, 1]);
  // One that comes now is not served before them.
  heads.push(guest.send(99, 0));
  const rest: number[] = [];
  for (let i = 0; i < 6; i++) {
    guest.serve(0);
    rest.push(...guest.responses().map((response) => response.head));
  }
  assertEquals([...first, ...rest], heads);
});

Deno.test("The transport is not asked to go on where nothing is left to serve", () => {
  const { guest, slow } = rig();
  guest.device.onMore = () => {
    throw new Error("nothing is left");
  };
  guest.send(SET_DIRECTION, 0, 0);
  for (let i = 0; i < 32; i++) guest.send(99, 0);
  guest.serve(0);
  slow.finish();
  assertEquals(guest.responses().length, 33);
});

Deno.test("A level interrupt whose request had to wait looks at the level at once", () => {
  const { guest, slow } = rig();
  slow.pulled = 1;
  guest.unmask(0);
  guest.send(GET_VALUE, 0);
  guest.send(SET_IRQ_TYPE, 0, HIGH);
  guest.serve(0);
  slow.slow = false;
  slow.finish();
  assertEquals(guest.responses().length, 2);
  assertEquals(guest.interrupts(), VALID);
});

Deno.test("Answers of the request queue are in order until one comes later", () => {
  const { guest } = rig();
  assertEquals(guest.device.answersInOrder(0), true);
  assertEquals(guest.device.answersInOrder(1), false);
});

Deno.test("A log begins with the first answer that comes later, and knows what is in flight", () => {
  const buffer = new ArrayBuffer(InflightLog.bytesFor(64));
  const laterLog = InflightLog.open(buffer, 0, 64);
  if (typeof laterLog === "string") throw new Error(laterLog);
  const slow = new ModelPort();
  slow.slow = true;
  const guest = new GpioGuest([slow, new ModelPort()], {
    queueOptions: { laterLog, resubmit: [] },
  });
  guest.request(GET_VALUE, 1);
  assertEquals(guest.queues[0].log, undefined);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  assertEquals(guest.queues[0].log, laterLog);
  slow.finish();
  assertEquals(guest.responses().length, 1);
});
