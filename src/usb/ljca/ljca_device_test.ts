import { assertEquals, assertThrows } from "@std/assert";
import { Direction, Edges, LineOperation } from "../../line/port.ts";
import { TransferStatus } from "../core/transfers.ts";
import { UsbRig } from "../../../tests/doubles/usb_rig.ts";
import { LjcaDevice } from "./ljca_device.ts";
import { encodeEnumeration } from "./protocol.ts";

const { Success, Stall, Invalid, Cancelled, Babble, IoError } = TransferStatus;
const CONFIG = 1;
const READ = 2;
const WRITE = 3;
const EVENT = 4;
const MASK = 5;
const UNMASK = 6;
const INPUT = 0x12;
const OUTPUT = 0x14;
const BOTH = 0x40;
const RISING = 0xc8;
const FALLING = 0xd0;
const HIGH = 0x48;
const LOW = 0x50;

/** An adapter that a driver has configured. */
class Ljca extends UsbRig {
  constructor(lineCount: number) {
    super(LjcaDevice, lineCount);
    this.controlled(0, 9, 1, 0, 0);
  }

  /** Sends a request; its token. */
  send(type: number, command: number, data: readonly number[]): number {
    return this.out(1, [type, command, 5, data.length, ...data]);
  }

  /** Sends a request for a line; its token. */
  gpio(command: number, line: number, value = 0): number {
    return this.send(3, command, [1, line, value]);
  }

  /** Status of a request that is answered at once. */
  status(command: number, line: number, value = 0) {
    return this.answers.get(this.gpio(command, line, value))!.status;
  }

  /** The next message of the device; undefined: there is none. */
  receive(): number[] | undefined {
    const token = this.in(0x81);
    const answer = this.answers.get(token);
    if (answer === undefined) this.device.cancel(token);
    return answer?.data;
  }

  /** All messages of the device. */
  receiveAll(): number[][] {
    const all: number[][] = [];
    for (let one = this.receive(); one !== undefined; one = this.receive()) {
      all.push(one);
    }
    return all;
  }

  /** Has an interrupt of a line reported. */
  arm(line: number, trigger: number): void {
    this.status(CONFIG, line, INPUT);
    this.status(CONFIG, line, trigger);
    this.status(UNMASK, line);
    this.receiveAll();
  }
}

const event = (line: number, level: number) => [3, EVENT, 0, 3, 1, line, level];
const answer = (command: number, data: number[] = []) => [
  3,
  command,
  1,
  data.length,
  ...data,
];

Deno.test("its descriptors are a host's to read, cut to the length", () => {
  const rig = new UsbRig(LjcaDevice, 4);
  const device = rig.controlled(0x80, 6, 0x0100, 0, 64);
  assertEquals(device.data.slice(0, 12), [
    ...[18, 1, 0, 2, 0, 0, 0, 64],
    ...[0x86, 0x80, 0x63, 0x0b],
  ]);
  assertEquals(rig.controlled(0x80, 6, 0x0100, 0, 8).length, 8);
  const { data } = rig.controlled(0x80, 6, 0x0200, 0, 255);
  assertEquals(data.length, data[2]! + 256 * data[3]!);
  // Two interfaces, power of its own, and no need to wake the host.
  assertEquals([data[4], data[7]], [2, 0xc0]);
  assertEquals(rig.controlled(0x80, 6, 0x0300, 0, 255).data, [4, 3, 9, 4]);
  const serial = rig.controlled(0x80, 6, 0x0303, 0x0409, 255).data;
  assertEquals(
    String.fromCharCode(...serial.slice(2).filter((_, i) => i % 2 === 0)),
    "plc0",
  );
  assertEquals(rig.controlled(0x80, 6, 0x0304, 0, 255).status, Stall);
  // The qualifier of a device that has one speed.
  assertEquals(rig.controlled(0x80, 6, 0x0600, 0, 10).status, Stall);
  const report = rig.controlled(0x81, 6, 0x2200, 1, 255);
  assertEquals(report.data.at(-1), 0xc0);
  assertEquals(rig.controlled(0x81, 6, 0x2200, 0, 255).status, Stall);
  assertEquals(rig.controlled(0x81, 6, 0x2200, 2, 255).status, Stall);
});

Deno.test("standard requests are answered", () => {
  const rig = new Ljca(1);
  assertEquals(rig.controlled(0x80, 0, 0, 0, 2).data, [1, 0]);
  assertEquals(rig.controlled(0x82, 0, 0, 0x81, 2).data, [0, 0]);
  assertEquals(rig.controlled(0x83, 0, 0, 0, 2).status, Stall);
  assertEquals(rig.controlled(2, 1, 0, 0x81, 0).status, Success);
  assertEquals(rig.controlled(0x80, 8, 0, 0, 1).data, [1]);
  assertEquals(rig.controlled(0x81, 10, 0, 1, 1).data, [0]);
  assertEquals(rig.controlled(0x81, 10, 0, 2, 1).status, Stall);
  assertEquals(rig.controlled(1, 11, 0, 1, 0).status, Success);
  assertEquals(rig.controlled(1, 11, 1, 0, 0).status, Stall);
  assertEquals(rig.controlled(0, 9, 2, 0, 0).status, Stall);
  assertEquals(rig.controlled(0, 77, 0, 0, 0).status, Stall);
  // A vendor's request, and a class's of no interface.
  assertEquals(rig.controlled(0xc0, 1, 0, 0, 4).status, Stall);
  assertEquals(rig.controlled(0x21, 10, 0, 5, 0).status, Stall);
  // The keyboard takes what a driver says, and is silent.
  assertEquals(rig.controlled(0x21, 10, 0, 1, 0).status, Success);
  assertEquals(rig.controlled(0xa1, 1, 0x0100, 1, 8).data, [0]);
  const keys = rig.in(0x82);
  assertEquals(rig.answers.has(keys), false);
});

Deno.test("the adapter says what it has", () => {
  const rig = new Ljca(41);
  rig.send(1, 2, [7, 0, 0, 0]);
  rig.send(1, 4, []);
  rig.send(1, 5, []);
  rig.send(1, 8, []);
  assertEquals(rig.receiveAll(), [
    [1, 2, 1, 4, 7, 0, 0, 0],
    [1, 4, 1, 14, ...encodeEnumeration(41)],
    [1, 5, 1, 1, 0],
    [1, 8, 1, 1, 0],
  ]);
  assertEquals([...encodeEnumeration(1)], [1, 1, 0, 1, 1, 0, 0, 0]);
  assertEquals([...encodeEnumeration(32)], [32, 1, 0, 32, 255, 255, 255, 255]);
  assertEquals([...encodeEnumeration(41)], [
    ...[21, 2],
    ...[0, 21, 255, 255, 255, 255],
    ...[1, 21, 255, 1, 0, 0],
  ]);
  assertEquals([...encodeEnumeration(64)].slice(8), [
    1,
    32,
    255,
    255,
    255,
    255,
  ]);
  assertThrows(() => new UsbRig(LjcaDevice, 0), RangeError);
  assertThrows(() => new UsbRig(LjcaDevice, 65), RangeError);
});

Deno.test("an output is driven by the write, and reads back", () => {
  const rig = new Ljca(2);
  const [port] = rig.ports;
  assertEquals(rig.status(CONFIG, 0, OUTPUT), Success);
  assertEquals(port!.direction, Direction.Input);
  assertEquals(rig.status(WRITE, 0, 1), Success);
  assertEquals([port!.direction, port!.driven], [Direction.Output, 1]);
  assertEquals(rig.status(WRITE, 0, 0), Success);
  assertEquals(port!.history, [[LineOperation.Output, 1], [
    LineOperation.SetValue,
    0,
  ]]);
  rig.receiveAll();
  rig.gpio(READ, 0);
  assertEquals(rig.receive(), answer(READ, [1, 0, 0]));
  assertEquals(rig.status(CONFIG, 0, INPUT), Success);
  assertEquals(port!.direction, Direction.Input);
  // What is written to an input changes nothing.
  const calls = port!.calls.length;
  assertEquals(rig.status(WRITE, 0, 1), Success);
  assertEquals(port!.calls.length, calls);
});

Deno.test("what is refused stalls, and has no answer", () => {
  const rig = new Ljca(2);
  rig.rules[0] = "input";
  assertEquals(rig.status(CONFIG, 0, OUTPUT), Stall);
  assertEquals(rig.told, ["began", "refused 0"]);
  rig.ports[1]!.refuses.add(LineOperation.Output);
  assertEquals(rig.status(CONFIG, 1, OUTPUT), Success);
  assertEquals(rig.status(WRITE, 1, 1), Stall);
  rig.ports[0]!.broken = true;
  assertEquals(rig.status(READ, 0), Stall);
  assertEquals(rig.status(CONFIG, 0, INPUT), Stall);
  assertEquals(rig.receiveAll(), [answer(CONFIG)]);
  assertEquals(rig.requests, [
    [0, LineOperation.Output, false],
    [1, LineOperation.Output, true],
    [1, LineOperation.SetValue, false],
    [0, LineOperation.GetValue, false],
    [0, LineOperation.Input, false],
  ]);
});

Deno.test("messages that are none stall, of every length", () => {
  const rig = new Ljca(3);
  for (let length = 0; length <= 64; length++) {
    for (const claimed of [0, 1, 2, 3, 4, 60, 255]) {
      const data = new Array(length).fill(1);
      data.splice(0, 4, 3, READ, 5, claimed);
      const token = rig.out(1, data.slice(0, length));
      const isRead = claimed === 3 && length === 7;
      assertEquals(
        rig.answers.get(token)!.status,
        isRead ? Success : Stall,
        `${length} bytes, which say ${claimed}`,
      );
    }
  }
  assertEquals(
    rig.answers.get(rig.out(1, new Array(65).fill(0)))!.status,
    Stall,
  );
  for (let command = 0; command < 256; command++) {
    const isKnown = command === READ || command === CONFIG ||
      command === WRITE || command === MASK || command === UNMASK;
    assertEquals(rig.status(command, 3), Stall);
    assertEquals(rig.status(command, 255), Stall);
    assertEquals(rig.status(command, 2), isKnown ? Success : Stall);
    rig.receiveAll();
  }
  for (const data of [[2, 0, 0], [0, 0, 0], [1, 0], [1, 0, 0, 0]]) {
    assertEquals(rig.answers.get(rig.send(3, READ, data))!.status, Stall);
  }
  assertEquals(rig.answers.get(rig.send(1, 2, [1]))!.status, Stall);
  assertEquals(rig.answers.get(rig.send(1, 99, []))!.status, Stall);
  assertEquals(rig.answers.get(rig.send(4, 1, []))!.status, Stall);
});

Deno.test("endpoints that are not there are invalid, and before a configuration all", () => {
  const rig = new UsbRig(LjcaDevice, 1);
  const status = (token: number) => rig.answers.get(token)!.status;
  assertEquals(status(rig.out(1, [1, 4, 5, 0])), Invalid);
  assertEquals(status(rig.in(0x81)), Invalid);
  rig.controlled(0, 9, 1, 0, 0);
  for (let endpoint = 0; endpoint < 16; endpoint++) {
    if (endpoint !== 1) assertEquals(status(rig.out(endpoint, [1])), Invalid);
    if (endpoint !== 1 && endpoint !== 2) {
      assertEquals(status(rig.in(0x80 | endpoint)), Invalid);
    }
  }
  rig.out(1, [1, 4, 5, 0]);
  assertEquals(status(rig.in(0x81, 11)), Babble);
  assertEquals(rig.answers.get(rig.in(0x81, 12))!.length, 12);
});

Deno.test("an event disarms its line until it is unmasked; nothing is lost", () => {
  const rig = new Ljca(2);
  rig.arm(1, RISING);
  const port = rig.ports[1]!;
  assertEquals(port.edges, Edges.Rising);
  for (let i = 0; i < 5; i++) {
    port.pull(1);
    port.pull(0);
  }
  assertEquals(rig.receiveAll(), [event(1, 1)]);
  for (let i = 0; i < 4; i++) {
    rig.gpio(UNMASK, 1);
    assertEquals(rig.receiveAll(), [answer(UNMASK), event(1, 1)]);
  }
  rig.gpio(UNMASK, 1);
  assertEquals(rig.receiveAll(), [answer(UNMASK)]);
  rig.arm(0, FALLING);
  rig.ports[0]!.pull(1);
  rig.ports[0]!.pull(0);
  assertEquals(rig.receiveAll(), [event(0, 0)]);
});

Deno.test("a pulse that is over reads as rising, then as falling", () => {
  const rig = new Ljca(1);
  rig.arm(0, BOTH);
  const [port] = rig.ports;
  port!.pull(1);
  port!.pull(0);
  assertEquals(rig.receive(), event(0, 1));
  // The driver's work may come before its thread that reads.
  rig.gpio(UNMASK, 0);
  assertEquals(rig.receiveAll(), [answer(UNMASK)]);
  rig.gpio(READ, 0);
  assertEquals(rig.receiveAll(), [answer(READ, [1, 0, 1]), event(0, 0)]);
  rig.gpio(READ, 0);
  rig.gpio(UNMASK, 0);
  assertEquals(rig.receiveAll(), [answer(READ, [1, 0, 0]), answer(UNMASK)]);
  // Nothing is held any more.
  port!.pulled = 1;
  rig.gpio(READ, 0);
  assertEquals(rig.receive(), answer(READ, [1, 0, 1]));
});

Deno.test("a driver that does not read has its events all the same", () => {
  const rig = new Ljca(1);
  rig.arm(0, BOTH);
  const [port] = rig.ports;
  port!.pull(1);
  port!.pull(0);
  rig.gpio(UNMASK, 0);
  assertEquals(rig.receiveAll(), [event(0, 1), answer(UNMASK)]);
  rig.clock.pass(49);
  assertEquals(rig.receive(), undefined);
  rig.clock.pass(1);
  assertEquals(rig.receive(), event(0, 0));
});

Deno.test("more changes than are kept are counted, and end with the level", () => {
  const rig = new Ljca(1);
  rig.arm(0, BOTH);
  for (let i = 1; i <= 1001; i++) rig.ports[0]!.pull(i % 2);
  const seen: number[] = [];
  for (let one = rig.receive(); one !== undefined; one = rig.receive()) {
    seen.push(one[6]!);
    rig.gpio(READ, 0);
    assertEquals(rig.receive()![6], one[6]);
    rig.gpio(UNMASK, 0);
    assertEquals(rig.receive(), answer(UNMASK));
  }
  for (const [i, level] of seen.entries()) assertEquals(level, 1 - i % 2);
  assertEquals(seen.at(-1), 1);
  assertEquals(rig.device.counters.lostEdges[0], 1001 - seen.length);
});

Deno.test("a level interrupt comes at each unmask while its level holds", () => {
  const rig = new Ljca(2);
  rig.ports[0]!.pulled = 1;
  rig.arm(0, LOW);
  rig.ports[0]!.pull(0);
  assertEquals(rig.receiveAll(), [event(0, 0)]);
  rig.gpio(UNMASK, 0);
  assertEquals(rig.receiveAll(), [answer(UNMASK), event(0, 0)]);
  rig.ports[0]!.pull(1);
  rig.gpio(UNMASK, 0);
  assertEquals(rig.receiveAll(), [answer(UNMASK)]);
  rig.ports[1]!.pulled = 1;
  rig.status(CONFIG, 1, INPUT);
  rig.status(CONFIG, 1, HIGH);
  assertEquals(rig.receiveAll().length, 2);
  rig.gpio(UNMASK, 1);
  assertEquals(rig.receiveAll(), [answer(UNMASK), event(1, 1)]);
  // What cannot be read is no interrupt; back again, it is looked at.
  rig.ports[1]!.broken = true;
  rig.gpio(UNMASK, 1);
  assertEquals(rig.receiveAll(), [answer(UNMASK)]);
  rig.ports[1]!.broken = false;
  rig.device.restored(1);
  assertEquals(rig.receiveAll(), [event(1, 1)]);
});

Deno.test("no event comes before the first unmask, nor after a mask", () => {
  const rig = new Ljca(1);
  rig.status(CONFIG, 0, INPUT);
  rig.status(CONFIG, 0, BOTH);
  rig.receiveAll();
  rig.ports[0]!.pull(1);
  assertEquals(rig.receive(), undefined);
  rig.gpio(UNMASK, 0);
  assertEquals(rig.receiveAll(), [answer(UNMASK), event(0, 1)]);
  rig.gpio(MASK, 0);
  rig.ports[0]!.pull(0);
  assertEquals(rig.receiveAll(), [answer(MASK)]);
  assertEquals(rig.ports[0]!.edges, Edges.None);
  // A driver that begins anew cannot take any.
  rig.arm(0, BOTH);
  rig.send(1, 2, [0, 0, 0, 0]);
  rig.receiveAll();
  rig.ports[0]!.pull(1);
  assertEquals(rig.receive(), undefined);
});

Deno.test("bits of an interrupt in a direction change the direction only", () => {
  const rig = new Ljca(1);
  rig.arm(0, RISING);
  const calls = rig.ports[0]!.calls.length;
  // Input again: it goes on reporting.
  assertEquals(rig.status(CONFIG, 0, INPUT | RISING), Success);
  assertEquals(rig.ports[0]!.calls.length, calls);
  assertEquals(rig.status(CONFIG, 0, OUTPUT | RISING), Success);
  assertEquals(rig.status(WRITE, 0, 1), Success);
  assertEquals(rig.ports[0]!.direction, Direction.Output);
  // An output has no interrupt.
  assertEquals(rig.status(CONFIG, 0, BOTH), Stall);
  // An interrupt alone makes a line an input.
  const other = new Ljca(1);
  assertEquals(other.status(CONFIG, 0, BOTH), Success);
  assertEquals(other.ports[0]!.history, [
    [LineOperation.Input, 0],
    [LineOperation.SetEdges, Edges.Both],
  ]);
});

Deno.test("a slow line is waited for, and requests stay in order", () => {
  const rig = new Ljca(2);
  const [port] = rig.ports;
  port!.slow = true;
  const first = rig.gpio(READ, 0);
  const second = rig.gpio(READ, 1);
  assertEquals([rig.answers.has(first), rig.answers.has(second)], [
    false,
    false,
  ]);
  port!.finish();
  assertEquals(rig.receiveAll(), [
    answer(READ, [1, 0, 0]),
    answer(READ, [1, 1, 0]),
  ]);
  // More than can wait fail.
  rig.gpio(READ, 0);
  const tokens = Array.from({ length: 20 }, () => rig.gpio(READ, 1));
  const failed = tokens.filter((token) =>
    rig.answers.get(token)?.status === IoError
  );
  assertEquals(failed.length, 5);
  port!.finish();
});

Deno.test("a request that is cancelled is not answered by a message", () => {
  const rig = new Ljca(2);
  const [port] = rig.ports;
  port!.slow = true;
  const first = rig.gpio(READ, 0);
  const second = rig.gpio(READ, 1);
  assertEquals(rig.device.cancel(first), true);
  assertEquals(rig.device.cancel(second), true);
  assertEquals(rig.device.cancel(first), false);
  assertEquals(rig.answers.get(first)!.status, Cancelled);
  assertEquals(rig.answers.get(second)!.status, Cancelled);
  port!.finish();
  assertEquals(rig.receive(), undefined);
  port!.slow = false;
  rig.gpio(READ, 0);
  assertEquals(rig.receive(), answer(READ, [1, 0, 0]));
});

Deno.test("a transfer that is cancelled loses no event", () => {
  const rig = new Ljca(1);
  rig.arm(0, BOTH);
  const waiting = rig.in(0x81);
  assertEquals(rig.device.cancel(waiting), true);
  rig.ports[0]!.pull(1);
  assertEquals(rig.receive(), event(0, 1));
});

for (const way of ["reset", "deconfigured", "configured again", "detached"]) {
  Deno.test(`${way}: the guest is gone`, () => {
    const rig = new Ljca(2);
    const [port, slow] = rig.ports;
    rig.arm(0, BOTH);
    slow!.slow = true;
    const pending = rig.gpio(READ, 1);
    if (way === "reset") rig.device.reset();
    else if (way === "deconfigured") rig.controlled(0, 9, 0, 0, 0);
    else if (way === "configured again") rig.controlled(0, 9, 1, 0, 0);
    else rig.device.detach();
    assertEquals(rig.told.slice(0, 2), ["began", "gone"]);
    assertEquals(port!.edges, Edges.None);
    assertEquals(port!.calls.at(-1)!.operation, LineOperation.Deactivate);
    // The line that was busy is left once it is done.
    slow!.finish();
    assertEquals(slow!.calls.at(-1)!.operation, LineOperation.Deactivate);
    slow!.finish();
    const status = rig.answers.get(pending)?.status;
    assertEquals(
      status,
      way === "reset" || way === "detached" ? status : IoError,
    );
    slow!.slow = false;
    rig.device.attach(rig);
    rig.controlled(0, 9, 1, 0, 0);
    rig.gpio(READ, 1);
    assertEquals(rig.receiveAll(), [answer(READ, [1, 1, 0])]);
  });
}

Deno.test("the next guest's request waits until a line was left", () => {
  const rig = new Ljca(1);
  const [port] = rig.ports;
  port!.slow = true;
  rig.gpio(READ, 0);
  rig.device.reset();
  rig.controlled(0, 9, 1, 0, 0);
  port!.pulled = 1;
  const token = rig.gpio(READ, 0);
  port!.finish();
  assertEquals(port!.calls.at(-1)!.operation, LineOperation.Deactivate);
  assertEquals(rig.answers.has(token), false);
  port!.finish();
  port!.finish();
  assertEquals(rig.receive(), answer(READ, [1, 0, 1]));
});

Deno.test("a host that takes no messages loses only what it does not take", () => {
  const rig = new Ljca(64);
  for (let line = 0; line < 64; line++) rig.arm(line, BOTH);
  for (let i = 0; i < 200; i++) rig.gpio(READ, 0);
  for (const port of rig.ports) port.pull(1);
  const all = rig.receiveAll();
  const events = all.filter(([, command]) => command === EVENT);
  assertEquals(new Set(events.map(([, , , , , line]) => line)).size, 64);
});
