import { assert, assertEquals, assertThrows } from "@std/assert";
import { CannedBackend } from "../../tests/doubles/canned_backend.ts";
import { GpioDriver, splitNames } from "./driver.ts";
import { RequestRefused, RuleViolation, WaitTimeoutError } from "./errors.ts";
import { EventQueue } from "./event_queue.ts";
import { Frontend } from "./frontend.ts";
import { RequestQueue } from "./request_queue.ts";

const IRQ = 1n << 0n;
const INDIRECT = 1n << 28n;
const PROTOCOL = 1n << 30n;
const VERSION_1 = 1n << 32n;
const SIZE = 8;

/** A device that a test plays by hand, in guest memory, with literal offsets. */
class HandPlayed {
  used = 0;

  constructor(readonly frontend: Frontend, readonly ringIndex: number) {}

  get ring() {
    return this.frontend.rings[this.ringIndex]!;
  }

  view(address: number, length: number): DataView {
    const { buffer, offset } = this.frontend.memory.span(address, length);
    return new DataView(buffer, offset, length);
  }

  /** The head of the n-th available entry. */
  head(n: number): number {
    const avail = this.view(this.ring.availAddress, 4 + 2 * SIZE);
    assert(avail.getUint16(2, true) > n, "nothing was made available");
    return avail.getUint16(4 + 2 * (n % SIZE), true);
  }

  /** Both buffers of a chain: address and length each. */
  buffers(head: number): [number, number][] {
    let table = this.view(this.ring.descriptorAddress, 16 * SIZE);
    let at = 16 * head;
    if (table.getUint16(at + 12, true) & 4) {
      table = this.view(
        Number(table.getBigUint64(at, true)),
        table.getUint32(at + 8, true),
      );
      at = 0;
    }
    const found: [number, number][] = [];
    for (;;) {
      found.push([
        Number(table.getBigUint64(at, true)),
        table.getUint32(at + 8, true),
      ]);
      if ((table.getUint16(at + 12, true) & 1) === 0) return found;
      at = 16 * table.getUint16(at + 14, true);
    }
  }

  /** The request of the n-th available entry, as bytes. */
  request(n: number): string {
    const [[address, length]] = this.buffers(this.head(n)) as [
      [number, number],
    ];
    const view = this.view(address, length);
    return new Uint8Array(view.buffer, view.byteOffset, length).toHex();
  }

  /** Answers the n-th available entry. */
  answer(n: number, bytes: readonly number[], usedLength = bytes.length) {
    const head = this.head(n);
    const [address, length] = this.buffers(head)[1]!;
    const view = this.view(address, length);
    bytes.forEach((byte, i) => view.setUint8(i, byte));
    this.use(head, usedLength);
  }

  use(head: number, usedLength: number) {
    const ring = this.view(this.ring.usedAddress, 4 + 8 * SIZE);
    const at = 4 + 8 * (this.used % SIZE);
    ring.setUint32(at, head, true);
    ring.setUint32(at + 4, usedLength, true);
    ring.setUint16(2, ++this.used, true);
  }
}

function setUp(features = IRQ | INDIRECT | VERSION_1) {
  const stack = new DisposableStack();
  const backend = stack.use(new CannedBackend());
  backend.replyU64(1, features | PROTOCOL);
  backend.replyU64(15, 1n << 9n); // CONFIG
  const frontend = stack.use(Frontend.open(backend.frontendSocket, {
    order: "libkrun",
    timeoutMs: 50,
    queueSize: SIZE,
  }));
  return { backend, frontend, [Symbol.dispose]: () => stack.dispose() };
}

function requestQueue(features?: bigint) {
  const test = setUp(features);
  return {
    ...test,
    queue: new RequestQueue(test.frontend),
    device: new HandPlayed(test.frontend, 0),
  };
}

for (
  const [name, features] of [["direct", 0n], ["indirect", INDIRECT]] as const
) {
  Deno.test(`RequestQueue sends a request in ${name} descriptors`, () => {
    using test = requestQueue(VERSION_1 | features);
    const { queue, device } = test;
    const slot = queue.depth - 1;
    queue.prepare(slot, 5, 0x0102, 1);
    queue.submit(slot);
    queue.flush();
    assertEquals(device.request(0), "0500" + "0201" + "01000000");
    assertEquals(device.buffers(device.head(0)).map(([, length]) => length), [
      8,
      2,
    ]);
    assertEquals(queue.reap(), 0);
    assert(queue.isBusy(slot));
    device.answer(0, [0, 0]);
    assertEquals(queue.reap(), 1);
    assertEquals(queue.completed[0], slot);
    assertEquals([queue.answerStatus(slot), queue.answerValue(slot)], [0, 0]);
    assert(!queue.isBusy(slot));
  });
}

Deno.test("RequestQueue keeps a ring's whole depth under way", () => {
  using test = requestQueue();
  const { queue, device } = test;
  assertEquals(queue.depth, SIZE);
  for (let round = 0; round < 5; round++) {
    for (let slot = 0; slot < SIZE; slot++) {
      if (round === 0) queue.prepare(slot, 4, slot, 0);
      queue.submit(slot);
    }
    queue.flush();
    // Lines may be answered in any order among each other.
    for (let n = SIZE - 1; n >= 0; n--) {
      device.answer(round * SIZE + n, [0, n & 1]);
    }
    assertEquals(queue.reap(), SIZE);
    assertEquals(
      Array.from(queue.completed, (slot) => [slot, queue.answerValue(slot)]),
      Array.from({ length: SIZE }, (_, i) => [7 - i, (7 - i) & 1]),
    );
  }
});

Deno.test("RequestQueue names the rule that an answer breaks", () => {
  const wrong: [number, number[], number, string][] = [
    [4, [0, 1], 3, "used length of a response to GET_VALUE is 2; seen: 3"],
    [4, [0, 1], 0, "used length"],
    [
      4,
      [0],
      2,
      "D1: the device sets all fields of a response; seen: an " +
      "answer to GET_VALUE whose value",
    ],
    [4, [], 2, "whose status was left as it was"],
    [4, [2, 0], 2, "D17"],
    [4, [0, 2], 2, "the value in a response to GET_VALUE is at most 1"],
    [2, [0, 3], 2, "the value in a response to GET_DIRECTION is at most 2"],
    [3, [0, 1], 2, "the value in a response to SET_DIRECTION is at most 0"],
  ];
  for (const [type, bytes, length, expected] of wrong) {
    using test = requestQueue();
    const { queue, device } = test;
    queue.prepare(0, type, 0, 0);
    queue.submit(0);
    queue.flush();
    device.answer(0, bytes, length);
    assertThrows(() => queue.reap(), RuleViolation, expected);
  }
});

Deno.test("RequestQueue takes an error status with any value", () => {
  using test = requestQueue();
  const { queue, device } = test;
  queue.prepare(0, 4, 0, 0);
  queue.submit(0);
  queue.flush();
  device.answer(0, [1, 0]);
  assertEquals(queue.reap(), 1);
  assertEquals(queue.answerStatus(0), 1);
});

Deno.test("RequestQueue refuses heads that are not under way", () => {
  for (
    const [features, head] of [[INDIRECT, 1], [INDIRECT, 99], [0n, 1], [
      0n,
      2,
    ]] as const
  ) {
    using test = requestQueue(VERSION_1 | features);
    const { queue, device } = test;
    queue.prepare(0, 4, 0, 0);
    queue.submit(0);
    queue.flush();
    device.use(head, 2);
    assertThrows(() => queue.reap(), RuleViolation, `head ${head}`);
  }
});

Deno.test("RequestQueue sees requests for one line answered out of order", () => {
  using test = requestQueue();
  const { queue, device } = test;
  for (const slot of [0, 1]) {
    queue.prepare(slot, 4, 5, 0);
    queue.submit(slot);
  }
  queue.flush();
  device.answer(1, [0, 0]);
  device.answer(0, [0, 0]);
  assertThrows(() => queue.reap(), RuleViolation, "D5");
});

Deno.test("EventQueue names the rule that a returned buffer breaks", () => {
  for (
    const [bytes, length, expected] of [
      [[1], 2, "the used length of an event buffer is 1; seen: 2 for line 3"],
      [[], 1, "none was written for line 3"],
      [[7], 1, "7 for line 3"],
    ] as const
  ) {
    using test = setUp();
    const queue = new EventQueue(test.frontend);
    const device = new HandPlayed(test.frontend, 1);
    queue.arm(3);
    assertEquals(device.request(0), "0300");
    device.answer(0, bytes, length);
    assertThrows(() => queue.reap(), RuleViolation, expected);
  }
});

Deno.test("EventQueue gives buffers back in the order of their return", () => {
  using test = setUp();
  const queue = new EventQueue(test.frontend);
  const device = new HandPlayed(test.frontend, 1);
  for (const line of [3, 4, 5]) queue.arm(line);
  device.answer(2, [1]);
  device.answer(0, [0]);
  assertEquals(queue.wait(0), { lineNumber: 5, status: 1 });
  assertEquals(queue.wait(0), { lineNumber: 3, status: 0 });
  assertEquals(queue.wait(1), undefined);
  assertEquals([3, 4, 5].map((line) => queue.armed(line)), [0, 1, 0]);
});

Deno.test("EventQueue.arm() says when all entries are under way", () => {
  using test = setUp();
  const queue = new EventQueue(test.frontend);
  for (let line = 0; line < SIZE; line++) queue.arm(line);
  assertThrows(() => queue.arm(SIZE), RangeError, "all 8 entries");
});

function attach(config: readonly number[]) {
  const test = setUp();
  const payload = new Uint8Array(12 + 8);
  payload.set(config, 12);
  test.backend.reply(24, payload);
  return { ...test, attach: () => GpioDriver.attach(test.frontend) };
}

Deno.test("GpioDriver reads the configuration and starts the rings", () => {
  using test = attach([8, 0, 0, 0, 40, 0, 0, 0]);
  const driver = test.attach();
  assertEquals([driver.lineCount, driver.namesBytes], [8, 40]);
  assert(test.frontend.running);
});

Deno.test("GpioDriver refuses a configuration that no GPIO device has", () => {
  for (
    const [config, expected] of [
      [[0, 0, 0, 0, 0, 0, 0, 0], "at least one line"],
      [[8, 0, 1, 0, 0, 0, 0, 0], "D2"],
      [[8, 0, 0, 0, 7, 0, 0, 0], "D4"],
    ] as const
  ) {
    using test = attach(config);
    assertThrows(test.attach, RuleViolation, expected);
  }
});

Deno.test("GpioDriver says which request was not answered", () => {
  using test = attach([8, 0, 0, 0, 0, 0, 0, 0]);
  const driver = test.attach();
  assertThrows(
    () => driver.getValue(3),
    WaitTimeoutError,
    "No answer to GET_VALUE on line 3 within 50 ms",
  );
});

Deno.test("GpioDriver frees the entry of an answer that comes too late", () => {
  using test = attach([8, 0, 0, 0, 0, 0, 0, 0]);
  const driver = test.attach();
  const device = new HandPlayed(test.frontend, 0);
  for (let i = 0; i < 3 * SIZE; i++) {
    assertThrows(() => driver.getValue(i % 8), WaitTimeoutError);
    device.answer(i, [0, 0]);
  }
});

Deno.test("splitNames() wants one zero-terminated name for each line", () => {
  const block = (text: string) => new TextEncoder().encode(text);
  assertEquals(splitNames(block("a\0\0bc\0"), 3), ["a", "", "bc"]);
  assertEquals(splitNames(block("\0\0"), 2), ["", ""]);
  for (
    const [text, lines, expected] of [
      ["a\0b", 2, "has no end"],
      ["a\0b\0", 3, "2 names for 3 lines"],
      ["a\0b\0c\0", 2, "3 names for 2 lines"],
      ["a\0a\0", 2, `"a" twice`],
      ["ä\0", 1, "not 7-bit"],
    ] as const
  ) {
    assertThrows(
      () => splitNames(block(text), lines),
      RuleViolation,
      expected,
    );
  }
});

Deno.test("a refusal names the request and the line", () => {
  assertEquals(
    new RequestRefused("SET_VALUE 1", 3).message,
    "The device refused SET_VALUE 1 on line 3 (status ERR)",
  );
});
