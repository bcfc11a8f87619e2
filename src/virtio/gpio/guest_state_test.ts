import { assert, assertEquals, assertThrows } from "@std/assert";
import { F_INDIRECT, GpioGuest } from "../../../tests/doubles/gpio_guest.ts";
import { ModelPort } from "../../../tests/doubles/model_port.ts";
import { rounds } from "../../../tests/environment/rounds.ts";
import { SplitQueue } from "../queue/split_queue.ts";
import { GpioDevice } from "./device.ts";
import { Direction, Edges, LineOperation } from "../../line/port.ts";

// Numbers of the specification, on purpose not the device's own constants.
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const OUT = 1;
const IN = 2;
const RISING = 1;
const BOTH = 3;
const HIGH = 4;
const LOW = 8;
const OK = { status: 0, value: 0, length: 2 };
const VALID = [{ line: 0, status: 1, length: 1 }];
/** Bytes before the lines' words. */
const HEAD = 16;

/** Memory as a frontend would keep it, with something around it. */
function newMemory(device: GpioDevice): Uint8Array {
  return new Uint8Array(new ArrayBuffer(device.stateBytes + 16), 8)
    .subarray(0, device.stateBytes);
}

/** A guest on one line whose state is kept. */
function begin(port: ModelPort): { guest: GpioGuest; memory: Uint8Array } {
  const guest = new GpioGuest([port]);
  const memory = newMemory(guest.device);
  guest.device.keepState(memory, false);
  return { guest, memory };
}

/** The same guest, as another process finds it, on a line as it is now. */
function goOn(port: ModelPort, memory: Uint8Array, features?: bigint) {
  const guest = new GpioGuest(
    [port],
    features === undefined ? {} : { features },
  );
  guest.device.keepState(memory, true);
  return guest;
}

function hasDriven(port: ModelPort): boolean {
  return port.calls.some(({ operation }) =>
    operation === LineOperation.Output || operation === LineOperation.SetValue
  );
}

Deno.test("a kept interrupt type is restored, and works", () => {
  for (const [type, level] of [[RISING, 1], [BOTH, 1], [HIGH, 1], [LOW, 0]]) {
    const first = new ModelPort();
    first.pulled = 1 - level!;
    const { guest, memory } = begin(first);
    assertEquals(guest.request(SET_IRQ_TYPE, 0, type), OK);
    const second = new ModelPort();
    second.pulled = 1 - level!;
    const next = goOn(second, memory);
    next.unmask(0);
    assertEquals(next.interrupts(), []);
    second.pull(level!);
    assertEquals(next.interrupts(), VALID);
    assert(!hasDriven(second));
    // Said again by a driver that did notice, it changes nothing.
    const calls = second.calls.length;
    assertEquals(next.request(SET_IRQ_TYPE, 0, type), OK);
    assertEquals(second.calls.length, calls);
  }
});

Deno.test("an edge that was latched while masked is restored and delivered once", () => {
  const port = new ModelPort();
  const { guest, memory } = begin(port);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  port.pull(1);
  const next = goOn(new ModelPort(), memory);
  next.unmask(0);
  assertEquals(next.interrupts(), VALID);
  const last = goOn(new ModelPort(), memory);
  last.unmask(0);
  assertEquals(last.interrupts(), []);
});

Deno.test("an edge is kept as latched until its buffer is published", () => {
  const port = new ModelPort();
  const { guest, memory } = begin(port);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  port.pull(1);
  const words = () => memory.slice(HEAD).join();
  const latched = words();
  const publish = SplitQueue.prototype.publish;
  /** State when the buffer was published. */
  let kept = "";
  SplitQueue.prototype.publish = function () {
    const before = guest.events.usedIndex();
    publish.call(this);
    if (guest.events.usedIndex() !== before) kept = words();
  };
  try {
    guest.unmask(0);
  } finally {
    SplitQueue.prototype.publish = publish;
  }
  assertEquals(guest.interrupts(), VALID);
  assertEquals([kept === latched, words() === latched], [true, false]);
});

Deno.test("a buffer that came before the restore is looked at", () => {
  for (const [type, pulled] of [[BOTH, 0], [HIGH, 1]] as const) {
    const port = new ModelPort();
    const { guest, memory } = begin(port);
    guest.request(SET_IRQ_TYPE, 0, type);
    port.pull(1);
    const now = new ModelPort();
    now.pulled = pulled;
    const next = new GpioGuest([now]);
    next.unmask(0);
    next.device.keepState(memory, true);
    assertEquals(next.interrupts(), VALID);
  }
});

Deno.test("an input is an input again, also where the host began with an output", () => {
  for (const type of [0, BOTH]) {
    const { guest, memory } = begin(new ModelPort());
    guest.request(SET_DIRECTION, 0, IN);
    if (type !== 0) guest.request(SET_IRQ_TYPE, 0, type);
    const port = new ModelPort("", Direction.Output);
    goOn(port, memory);
    assertEquals(port.direction, Direction.Input);
    assert(!hasDriven(port));
    const asked = port.calls.map(({ operation }) => operation);
    assertEquals(
      asked,
      type === 0
        ? [LineOperation.Input]
        : [LineOperation.Input, LineOperation.SetEdges],
    );
  }
});

Deno.test("an output is not driven by a restore, but by the driver's next SET_VALUE", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_VALUE, 0, 1);
  guest.request(SET_DIRECTION, 0, OUT);
  // It went to its safe value 0: it is an output still.
  const safe = new ModelPort("", Direction.Output);
  const next = goOn(safe, memory);
  assertEquals(safe.history, []);
  assertEquals(next.request(SET_VALUE, 0, 1), OK);
  assertEquals(safe.history, [[LineOperation.SetValue, 1]]);
  // An output all the time: a host that makes it an input has its way.
  safe.direction = Direction.Input;
  assertEquals(next.request(SET_VALUE, 0, 1), OK);
  assertEquals(safe.direction, Direction.Input);
  // It was made an input: the driver will not say again that it is an output.
  const input = new ModelPort();
  const other = goOn(input, memory);
  assertEquals(input.history, []);
  assertEquals(other.request(GET_VALUE, 0).status, 0);
  assertEquals(input.direction, Direction.Input);
  assertEquals(other.request(SET_VALUE, 0, 1), OK);
  assertEquals([input.direction, input.level], [Direction.Output, 1]);
  other.request(SET_VALUE, 0, 0);
  assertEquals(input.history.at(-1), [LineOperation.SetValue, 0]);
  // Once it was taken again, a host that makes it an input has its way.
  input.direction = Direction.Input;
  assertEquals(other.request(SET_VALUE, 0, 1), OK);
  assertEquals(input.direction, Direction.Input);
});

Deno.test("a driver that makes a restored output an input does not get it back by SET_VALUE", () => {
  for (const direction of [IN, 0]) {
    const { guest, memory } = begin(new ModelPort());
    guest.request(SET_DIRECTION, 0, OUT);
    const port = new ModelPort();
    const next = goOn(port, memory);
    assertEquals(next.request(SET_DIRECTION, 0, direction), OK);
    assertEquals(next.request(SET_VALUE, 0, 1), OK);
    assert(!hasDriven(port));
  }
});

Deno.test("a level set before the line became an output is restored with it", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_VALUE, 0, 1);
  const port = new ModelPort();
  const next = goOn(port, memory);
  assertEquals(next.request(SET_VALUE, 0, 1), OK);
  assert(!hasDriven(port));
  next.request(SET_DIRECTION, 0, OUT);
  assertEquals(port.history, [[LineOperation.Output, 1]]);
  // Once it drives, the line itself knows its level.
  const last = goOn(port, memory);
  last.request(SET_DIRECTION, 0, OUT);
  assertEquals(port.history.at(-1), [LineOperation.Output, -1]);
});

Deno.test("what the driver took back is not restored", () => {
  const undo: [type: number, value: number][] = [
    [SET_IRQ_TYPE, 0],
    [SET_DIRECTION, 0],
    [SET_DIRECTION, OUT],
  ];
  for (const [message, value] of undo) {
    const { guest, memory } = begin(new ModelPort());
    guest.request(SET_IRQ_TYPE, 0, BOTH);
    assertEquals(guest.request(message, 0, value), OK);
    const port = new ModelPort();
    goOn(port, memory);
    assertEquals(port.edges, Edges.None);
  }
});

Deno.test("a reset erases what is kept, and a lost frontend's reset does not", () => {
  const port = new ModelPort();
  const { guest, memory } = begin(port);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const kept = memory.slice();
  guest.device.stopQueue(0);
  guest.device.stopQueue(1);
  guest.device.keepState(undefined, false);
  guest.device.reset();
  assertEquals(memory, kept);
  assertEquals(port.edges, Edges.None);
  guest.device.setFeatures(guest.features);
  guest.device.keepState(memory, true);
  assertEquals(port.edges, Edges.Both);
  guest.device.reset();
  assertEquals(memory.subarray(HEAD), new Uint8Array(memory.length - HEAD));
  assertEquals(memory.subarray(0, HEAD), kept.subarray(0, HEAD));
});

Deno.test("memory of another guest, device or version is ignored and written anew", () => {
  const ruin: Record<string, (memory: Uint8Array) => void> = {
    "magic": (memory) => memory[0]!++,
    "version": (memory) => memory[4]!++,
    "line count": (memory) => memory[6]!++,
    "names": (memory) => memory[8]!++,
    "never written": (memory) => memory.fill(0),
  };
  for (const [what, change] of Object.entries(ruin)) {
    const { guest, memory } = begin(new ModelPort());
    const fresh = memory.slice();
    guest.request(SET_IRQ_TYPE, 0, BOTH);
    change(memory);
    const port = new ModelPort();
    goOn(port, memory);
    assertEquals(port.history, [], what);
    assertEquals(memory, fresh, what);
  }
  const { guest, memory } = begin(new ModelPort("one"));
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const other = new ModelPort("two");
  goOn(other, memory);
  assertEquals(other.history, []);
  const port = new ModelPort("two");
  const next = new GpioGuest([port]);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  next.device.keepState(memory, false);
  assertEquals(port.history, []);
  assertThrows(
    () => next.device.keepState(memory.subarray(1), false),
    RangeError,
  );
});

Deno.test("without VIRTIO_GPIO_F_IRQ no interrupt is restored", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const port = new ModelPort();
  goOn(port, memory, F_INDIRECT);
  assertEquals(port.edges, Edges.None);
});

Deno.test("no word in the memory throws, drives a line or sets a type that is none", () => {
  const ports = [
    new ModelPort("", Direction.Input),
    new ModelPort("", Direction.Output),
  ];
  const device = new GpioDevice(ports);
  const memory = newMemory(device);
  const words = new DataView(memory.buffer, memory.byteOffset + HEAD);
  device.keepState(memory, false);
  const edges = new Set<number>();
  for (let word = 0; word <= 0xffff;) {
    device.setFeatures(1n);
    words.setUint16(0, word, true);
    words.setUint16(2, word, true);
    ports[1]!.direction = Direction.Output;
    device.keepState(memory, true);
    for (const port of ports) {
      if (port.edges !== Edges.None) {
        edges.add(word & 0xf);
        assertEquals(port.direction, Direction.Input);
      }
      assert(!hasDriven(port), `word ${word}`);
      port.calls.length = 0;
    }
    // What is kept from now on is what was believed.
    const after = words.getUint16(0, true);
    assert(after === word || after === (word & ~0x1f) || after === 0);
    device.keepState(undefined, false);
    device.reset();
    for (const port of ports) port.calls.length = 0;
    // No word with a bit above the lowest nine is believed.
    word += word < 0x1000 ? 1 : rounds(1, 7);
  }
  assertEquals([...edges].sort(), [1, 2, 3, 4, 8]);
});

Deno.test("a slow line is restored after the last guest's leave, before the next request", () => {
  const port = new ModelPort();
  const { guest, memory } = begin(port);
  const { device } = guest;
  guest.request(SET_IRQ_TYPE, 0, HIGH);
  port.slow = true;
  const stopped = [guest.stop(0), guest.stop(1)];
  device.keepState(undefined, false);
  device.reset();
  assert(port.isPending);
  device.setFeatures(guest.features);
  device.keepState(memory, true);
  guest.start(0, stopped[0]);
  guest.start(1, stopped[1]);
  port.pulled = 1;
  guest.unmask(0);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  port.calls.length = 0;
  for (let i = 0; i < 8 && port.isPending; i++) port.finish();
  assertEquals(port.history, [
    [LineOperation.Input, 0],
    [LineOperation.SetEdges, Edges.Both],
    [LineOperation.GetValue, 0], // for the interrupt
    [LineOperation.GetValue, 0],
  ]);
  assertEquals(guest.interrupts(), VALID);
  assertEquals(guest.responses().map((each) => each.value), [1]);
});

Deno.test("a guest that leaves while its slow line is restored leaves what is kept", () => {
  const first = new ModelPort();
  const { guest, memory } = begin(first);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const kept = memory.slice();
  for (const steps of [0, 1]) {
    const port = new ModelPort();
    port.slow = true;
    const { device } = goOn(port, memory);
    for (let i = 0; i < steps; i++) port.finish();
    device.stopQueue(0);
    device.stopQueue(1);
    device.keepState(undefined, false);
    device.reset();
    while (port.isPending) port.finish();
    assertEquals(port.edges, Edges.None);
    assertEquals(memory, kept);
  }
});

Deno.test("what a line's chip is not there for is restored when it is back", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_IRQ_TYPE, 0, HIGH);
  const kept = memory.slice();
  for (const refused of [LineOperation.Input, LineOperation.SetEdges]) {
    const port = new ModelPort();
    port.refuses.add(refused);
    const next = goOn(port, memory);
    next.unmask(0);
    assertEquals(memory, kept);
    port.pulled = 1;
    next.device.restored(0); // refused once more
    assertEquals(next.interrupts(), []);
    port.refuses.clear();
    next.device.restored(0);
    assertEquals(next.interrupts(), VALID);
    assertEquals(memory, kept);
  }
});

Deno.test("what the driver says of a line whose chip is away goes before what was kept", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_IRQ_TYPE, 0, HIGH);
  const port = new ModelPort();
  port.broken = true;
  const next = goOn(port, memory);
  assertEquals(next.request(SET_IRQ_TYPE, 0, 0), OK);
  port.broken = false;
  next.device.restored(0);
  assertEquals(port.edges, Edges.None);
  assertEquals(memory[HEAD]! & 0xf, 0);
});

Deno.test("what the driver asks in vain of a line whose chip is away changes nothing of what was kept", () => {
  for (
    const [message, value] of [
      [SET_DIRECTION, IN],
      [SET_DIRECTION, OUT],
      [SET_IRQ_TYPE, RISING],
    ] as const
  ) {
    const { guest, memory } = begin(new ModelPort());
    guest.request(SET_IRQ_TYPE, 0, BOTH);
    const kept = memory.slice();
    const port = new ModelPort();
    port.broken = true;
    const next = goOn(port, memory);
    assertEquals(next.request(message, 0, value).status, 1);
    assertEquals(memory, kept);
    port.broken = false;
    next.device.restored(0);
    assertEquals(port.edges, Edges.Both);
    next.unmask(0);
    port.pull(1);
    assertEquals(next.interrupts(), VALID);
  }
});

Deno.test("a driver that makes something else of a line before its edges are back is followed", () => {
  for (
    const [message, value, edges] of [
      [SET_DIRECTION, OUT, Edges.None],
      [SET_DIRECTION, 0, Edges.None],
      [SET_IRQ_TYPE, RISING, Edges.Rising],
      [SET_DIRECTION, IN, Edges.Both], // no change: it has its interrupt
    ] as const
  ) {
    const { guest, memory } = begin(new ModelPort());
    guest.request(SET_IRQ_TYPE, 0, BOTH);
    const port = new ModelPort();
    port.refuses.add(LineOperation.SetEdges);
    const next = goOn(port, memory);
    port.refuses.clear();
    assertEquals(next.request(message, 0, value), OK);
    next.device.restored(0);
    assertEquals(port.edges, edges, `${message} ${value}`);
    assertEquals(
      port.direction,
      value === OUT && message === SET_DIRECTION
        ? Direction.Output
        : Direction.Input,
    );
  }
});

Deno.test("a restore that is refused is tried again when the chip is back, and not before", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const port = new ModelPort();
  port.slow = true;
  port.broken = true;
  const next = goOn(port, memory);
  port.finish();
  assert(!port.isPending);
  next.send(GET_VALUE, 0);
  next.serve(0);
  port.finish();
  assert(!port.isPending);
  assertEquals(next.responses().map(({ status }) => status), [1]);
});

Deno.test("a guest that has left is not restored when the chip is back", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const port = new ModelPort();
  port.broken = true;
  const { device } = goOn(port, memory);
  device.keepState(undefined, false);
  device.reset();
  port.broken = false;
  port.calls.length = 0;
  device.restored(0);
  assertEquals(port.history, []);
});

Deno.test("a level that the driver sets before the chip is back is the newer one", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_DIRECTION, 0, IN);
  guest.request(SET_VALUE, 0, 1);
  const port = new ModelPort();
  port.broken = true;
  const next = goOn(port, memory);
  assertEquals(next.request(SET_VALUE, 0, 0), OK);
  port.broken = false;
  next.device.restored(0);
  assertEquals(next.request(SET_DIRECTION, 0, OUT), OK);
  assertEquals(port.history.at(-1), [LineOperation.Output, 0]);
});

Deno.test("edges that a line reports before its guest is back are for that guest", () => {
  for (
    const [type, level, isDue] of [
      [BOTH, 0, true],
      [RISING, 1, true],
      [RISING, 0, false],
      [LOW, 1, false],
    ] as const
  ) {
    const first = new ModelPort();
    const { guest: before, memory } = begin(first);
    before.request(SET_IRQ_TYPE, 0, type);
    // As a kept line does that was asked for edges by an earlier process.
    const port = new ModelPort();
    port.pulled = 1;
    const guest = new GpioGuest([port]);
    guest.device.edge(0, level);
    guest.device.keepState(memory, true);
    guest.unmask(0);
    assertEquals(guest.interrupts(), isDue ? VALID : [], `${type} ${level}`);
    if (!isDue) continue;
    guest.unmask(0);
    assertEquals(guest.interrupts(), [], "once");
  }
});

Deno.test("an edge that was there before the guest was is kept until it is delivered", () => {
  const { guest, memory } = begin(new ModelPort());
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  const masked = new GpioGuest([new ModelPort()]);
  masked.device.edge(0, 1);
  masked.device.keepState(memory, true);
  // Restarted once more, before the guest has unmasked its interrupt.
  const next = goOn(new ModelPort(), memory);
  next.unmask(0);
  assertEquals(next.interrupts(), VALID);
});

Deno.test("identity tells devices with other lines apart", () => {
  const identityOf = (...names: string[]) =>
    new GpioDevice(names.map((name) => new ModelPort(name))).identity;
  assertEquals(identityOf("a", "b"), identityOf("a", "b"));
  const others = [["a"], ["a", "c"], ["b", "a"], ["a", "b", ""]];
  const all = others.map((names) => identityOf(...names));
  assertEquals(new Set([identityOf("a", "b"), ...all]).size, 5);
});

Deno.test("earlier edges do not reach a guest that enables the interrupt afresh", () => {
  const port = new ModelPort();
  const guest = new GpioGuest([port]);
  guest.device.edge(0, 1);
  guest.request(SET_IRQ_TYPE, 0, BOTH);
  guest.unmask(0);
  assertEquals(guest.interrupts(), []);
  port.pull(1);
  assertEquals(guest.interrupts(), VALID);
  // Nor a guest that returns after another one was served.
  const { guest: before, memory } = begin(new ModelPort());
  before.request(SET_IRQ_TYPE, 0, BOTH);
  const next = new GpioGuest([new ModelPort()]);
  next.device.edge(0, 1);
  next.device.reset();
  next.device.setFeatures(next.features);
  next.device.keepState(memory, true);
  next.unmask(0);
  assertEquals(next.interrupts(), []);
});
