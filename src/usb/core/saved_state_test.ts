import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsbRig } from "../../../tests/doubles/usb_rig.ts";
import { Direction, Edges, LineOperation } from "../../line/port.ts";
import { Cp2112Device } from "../cp2112/cp2112_device.ts";
import { LjcaDevice } from "../ljca/ljca_device.ts";
import type { UsbDeviceOptions } from "./gpio_usb_device.ts";
import type { GpioUsbDevice } from "./gpio_usb_device.ts";
import { SavedReader } from "./saved_state.ts";
import { TransferStatus } from "./transfers.ts";

const CONFIG = 1;
const READ = 2;
const WRITE = 3;
const UNMASK = 6;
const OUTPUT = 0x14;
const BOTH = 0x40;
const HIGH = 0x48;

/** An adapter that goes on in the next process. */
class Adapter extends UsbRig {
  readonly failed: string[] = [];
  readonly #Device: new (options: UsbDeviceOptions) => GpioUsbDevice;

  constructor(
    Device: new (options: UsbDeviceOptions) => GpioUsbDevice,
    lineCount: number,
  ) {
    super(Device, lineCount);
    this.#Device = Device;
  }

  /** Has its driver's configuration. */
  configured(): this {
    this.controlled(0, 9, 1, 0, 0);
    return this;
  }

  /** Its state, as the next process gets it. */
  saved(): Record<string, unknown> {
    return JSON.parse(JSON.stringify(this.device.save()));
  }

  /** The adapter in the next process, whose lines are the same. */
  next(prepare: (rig: Adapter) => void = () => {}): Adapter {
    const next = new Adapter(this.#Device, this.ports.length);
    for (const [line, port] of this.ports.entries()) {
      next.ports[line]!.adopt(port);
    }
    prepare(next);
    next.resume(this.saved());
    return next;
  }

  resume(saved: unknown): void {
    this.device.restore(
      new SavedReader(saved),
      () => this.failed.push("a line"),
    );
  }

  /** Sends a request for a line; its token. */
  gpio(command: number, line: number, value = 0): number {
    return this.out(1, [3, command, 4, 3, 1, line, value]);
  }
}

const ljca = (lines: number) => new Adapter(LjcaDevice, lines).configured();

Deno.test("an LJCA goes on: transfers that wait get the events of its armed lines", () => {
  const first = ljca(3);
  first.gpio(CONFIG, 0, BOTH);
  first.gpio(UNMASK, 0);
  first.gpio(CONFIG, 1, OUTPUT);
  first.gpio(WRITE, 1, 1);
  const token = first.in(0x81);
  const next = first.next();
  assertEquals(next.told, ["began"]);
  assertEquals(next.ports[0]!.history, [
    [LineOperation.Input, 0],
    [LineOperation.SetEdges, Edges.Both],
  ]);
  assertEquals(next.ports[1]!.history, [], "an output is left alone");
  assertEquals([next.ports[1]!.direction, next.ports[1]!.level], [
    Direction.Output,
    1,
  ]);
  next.ports[0]!.pull(1);
  assertEquals(next.answers.get(token)!.data, [3, 4, 0, 3, 1, 0, 1]);
  // The level of the event is what the driver reads, also in the process after.
  next.ports[0]!.pull(0);
  const last = next.next();
  const read = last.in(0x81);
  last.out(1, [3, READ, 5, 3, 1, 0, 0]);
  assertEquals(last.answers.get(read)!.data.at(-1), 1);
  // What changed meanwhile comes once it is unmasked.
  const event = last.in(0x81);
  last.gpio(UNMASK, 0);
  assertEquals(last.answers.get(event)!.data.at(-1), 0);
});

Deno.test("an LJCA's level interrupt is looked at as soon as it goes on", () => {
  const first = ljca(1);
  first.gpio(CONFIG, 0, HIGH);
  first.gpio(UNMASK, 0);
  const token = first.in(0x81);
  // While no process sees it.
  first.ports[0]!.pulled = 1;
  const next = first.next();
  assertEquals(next.answers.get(token)!.data.at(-1), 1);
});

Deno.test("what an adapter was asked for is done in the next process, after its lines go on", () => {
  const first = ljca(2);
  first.gpio(CONFIG, 0, BOTH);
  first.gpio(CONFIG, 1, OUTPUT);
  first.ports[1]!.slow = true;
  const write = first.gpio(WRITE, 1, 1);
  const read = first.out(1, [3, READ, 4, 3, 1, 0, 0]);
  const cancelled = first.gpio(WRITE, 1, 0);
  first.device.cancel(cancelled);
  const next = first.next(({ ports }) => ports[0]!.slow = true);
  assertEquals(next.answers.size, 0);
  next.ports[0]!.finish();
  assertEquals(next.answers.size, 0);
  next.ports[0]!.finish();
  next.ports[0]!.finish();
  for (const token of [write, read]) {
    assertEquals(next.answers.get(token)!.status, TransferStatus.Success);
  }
  assertEquals(next.answers.has(cancelled), false);
  assertEquals([next.ports[1]!.direction, next.ports[1]!.level], [
    Direction.Output,
    1,
  ]);
});

Deno.test("a line that does not go on is told of", () => {
  const first = ljca(1);
  first.gpio(CONFIG, 0, BOTH);
  const next = first.next(({ ports }) => ports[0]!.broken = true);
  assert(next.failed.length > 0);
  // The guest may be gone while a slow line goes on.
  const slow = first.next(({ ports }) => ports[0]!.slow = true);
  slow.device.detach();
  assertEquals(slow.told, ["began", "gone"]);
  slow.device.attach(slow);
  slow.ports[0]!.slow = false;
  slow.ports[0]!.finish();
  slow.controlled(0, 9, 1, 0, 0);
  const token = slow.gpio(CONFIG, 0, OUTPUT);
  assertEquals(slow.answers.get(token)!.status, TransferStatus.Success);
});

Deno.test("a CP2112 goes on: directions, and changes that its driver has yet to poll", () => {
  const first = new Adapter(Cp2112Device, 2).configured();
  const report = (data: readonly number[]) =>
    first.controlled(0x21, 9, 0x300 | data[0]!, 0, data.length, data);
  const get = (rig: Adapter) =>
    rig.controlled(0xa1, 1, 0x300 | 3, 0, 2).data[1];
  report([2, 1, 1, 0, 0]);
  report([4, 1, 1]);
  assertEquals(first.ports[0]!.level, 1);
  get(first);
  first.clock.pass(50);
  get(first);
  first.ports[1]!.pull(1);
  first.ports[1]!.pull(0);
  const next = first.next();
  assertEquals(next.told, ["began"]);
  assertEquals(next.ports[0]!.history, []);
  next.clock.pass(50);
  assertEquals(get(next), 0b11);
  next.clock.pass(50);
  assertEquals(get(next), 0b01);
  // A driver that polls no more is noticed.
  next.clock.pass(1000);
  assertEquals(next.clock.pending, 0);
});

Deno.test("a state that does not fit is refused", () => {
  const first = ljca(2);
  first.gpio(CONFIG, 0, BOTH);
  first.in(0x81);
  first.ports[1]!.slow = true;
  first.gpio(CONFIG, 1, BOTH);
  const saved = first.saved();
  const own = saved["own"] as Record<string, unknown>;
  const [request] = saved["requests"] as Record<string, unknown>[];
  const pipes = saved["pipes"] as Record<string, unknown>;
  const bad: unknown[] = [
    null,
    5,
    {},
    { ...saved, product: 1 },
    { ...saved, lines: 3 },
    { ...saved, configuration: 2 },
    { ...saved, requests: new Array(17).fill(request) },
    { ...saved, requests: [{ ...request, token: -1 }] },
    { ...saved, requests: [{ ...request, data: "?" }] },
    { ...saved, requests: [{ ...request, data: "A".repeat(400) }] },
    { ...saved, pipes: {} },
    { ...saved, pipes: { ...pipes, 1: { messages: [1], transfers: [] } } },
    {
      ...saved,
      pipes: { ...pipes, 1: { messages: [], transfers: [{ token: 1.5 }] } },
    },
    ...Object.keys(own).map((key) => ({
      ...saved,
      own: { ...own, [key]: undefined },
    })),
    { ...saved, own: { ...own, triggers: "Bg==" } },
    { ...saved, own: { ...own, triggers: "BgA=" } },
    { ...saved, own: { ...own, levels: ["", "012"] } },
    { ...saved, own: { ...own, levels: ["0".repeat(129), ""] } },
    { ...saved, own: { ...own, levels: [""] } },
  ];
  for (const state of bad) {
    const next = new Adapter(LjcaDevice, 2);
    assertThrows(() => next.resume(state), RangeError);
    assertEquals(next.told, []);
    // The device has no guest, and takes the next one.
    next.device.detach();
    next.device.attach(next);
    next.configured();
    assertEquals(
      next.answers.get(next.gpio(CONFIG, 0, OUTPUT))!.status,
      TransferStatus.Success,
    );
  }
  new Adapter(LjcaDevice, 2).resume(saved);
});
