import { assertEquals, assertLessOrEqual, assertThrows } from "@std/assert";
import { Direction, Edges, LineOperation } from "../../line/port.ts";
import { TransferStatus } from "../core/transfers.ts";
import { UsbRig } from "../../../tests/doubles/usb_rig.ts";
import { Cp2112Device } from "./cp2112_device.ts";
import { REPORT_BYTES, REPORT_DESCRIPTOR } from "./protocol.ts";

const { Success, Stall, Babble } = TransferStatus;

/** An adapter that a driver has configured. */
class Cp2112 extends UsbRig {
  constructor(lineCount: number) {
    super(Cp2112Device, lineCount);
    this.controlled(0, 9, 1, 0, 0);
  }

  get(id: number, length = 64) {
    return this.controlled(0xa1, 1, 0x0300 | id, 0, length);
  }

  set(...data: number[]) {
    return this.controlled(
      0x21,
      9,
      0x0300 | data[0]!,
      0,
      data.length,
      data,
    );
  }

  /** Levels that a poll shows, or a read so long after the last one. */
  poll(ms = 40): number {
    this.clock.pass(ms);
    return this.get(3).data[1]!;
  }
}

Deno.test("its report descriptor has every report with its length", () => {
  const lengths = new Map<number, number>();
  for (let i = 0; i + 7 < REPORT_DESCRIPTOR.length; i++) {
    const [id, length, kind] = [1, 3, 6].map((at) => REPORT_DESCRIPTOR[i + at]);
    if (REPORT_DESCRIPTOR[i] !== 0x85 || kind !== 0xb1) continue;
    lengths.set(id!, length! + 1);
  }
  assertEquals(lengths, REPORT_BYTES);
  const rig = new UsbRig(Cp2112Device, 8);
  const { data } = rig.controlled(0x80, 6, 0x0200, 0, 255);
  assertEquals(data.length, data[2]! + 256 * data[3]!);
  assertEquals(rig.controlled(0x81, 6, 0x2200, 0, 4096).data, [
    ...REPORT_DESCRIPTOR,
  ]);
  assertEquals(rig.controlled(0x81, 6, 0x2100, 0, 9).length, 9);
  assertThrows(() => new UsbRig(Cp2112Device, 0), RangeError);
  assertThrows(() => new UsbRig(Cp2112Device, 9), RangeError);
});

Deno.test("a driver's probe is answered", () => {
  const rig = new Cp2112(8);
  assertEquals(rig.controlled(0x21, 10, 0, 0, 0).status, Success);
  assertEquals(rig.get(5).data, [5, 0x0c, 2]);
  const { data } = rig.get(6);
  assertEquals(data.length, 14);
  data[5] = 9;
  assertEquals(rig.set(...data).status, Success);
  assertEquals(rig.get(6).data, data);
  assertEquals(rig.get(0x20).data, [0x20, 0]);
  assertEquals(rig.get(0x21).length, 10);
  assertEquals(rig.get(0x24).length, 63);
  assertEquals(rig.get(0x24, 5).length, 5);
  assertEquals(rig.get(2).data, [2, 0, 0, 0, 0]);
});

Deno.test("reports that are none stall", () => {
  const rig = new Cp2112(8);
  for (let id = 0; id < 256; id++) {
    const bytes = REPORT_BYTES.get(id);
    assertEquals(
      rig.get(id).status,
      bytes === undefined ? Stall : Success,
      `get ${id}`,
    );
    for (let length = 1; length <= 64; length++) {
      if (length === bytes) continue;
      const data = new Array(length).fill(0);
      data[0] = id;
      assertEquals(rig.set(...data).status, Stall, `set ${id}, ${length}`);
    }
  }
  // Of another kind, of two minds, of no bytes, of too many.
  assertEquals(rig.controlled(0xa1, 1, 0x0103, 0, 64).status, Stall);
  assertEquals(rig.controlled(0x21, 9, 0x0304, 0, 3, [2, 0, 0]).status, Stall);
  assertEquals(rig.controlled(0x21, 9, 0x0304, 0, 3, [4, 0]).status, Stall);
  assertEquals(rig.controlled(0x21, 9, 0x0304, 0, 0).status, Stall);
  assertEquals(
    rig.controlled(0x21, 9, 0x0304, 0, 65, new Array(65).fill(4)).status,
    Stall,
  );
  assertEquals(rig.controlled(0x21, 9, 0x0104, 0, 3, [4, 0, 0]).status, Stall);
  assertEquals(rig.controlled(0xa1, 9, 0x0304, 0, 3).status, Stall);
  assertEquals(rig.controlled(0xa1, 77, 0, 0, 3).status, Stall);
  for (const { history } of rig.ports) {
    assertEquals(history, [[LineOperation.GetValue, 0]]);
  }
});

Deno.test("an output is driven by its level, after its direction", () => {
  const rig = new Cp2112(8);
  rig.ports[1]!.pulled = 1;
  assertEquals(rig.set(2, 0b1000, 0b1000, 0, 0).status, Success);
  assertEquals(rig.ports[3]!.calls.length, 0);
  assertEquals(rig.get(2).data, [2, 0b1000, 0b1000, 0, 0]);
  assertEquals(rig.set(4, 0b1000, 0b1000).status, Success);
  assertEquals(rig.ports[3]!.direction, Direction.Output);
  assertEquals(rig.get(3).data, [3, 0b1010]);
  assertEquals(rig.set(4, 0, 0b1010).status, Success);
  assertEquals(rig.get(3).data, [3, 0b0010]);
  assertEquals(rig.set(2, 0, 0, 0, 0).status, Success);
  assertEquals(rig.ports[3]!.direction, Direction.Input);
  assertEquals(rig.ports[1]!.direction, Direction.Input);
  assertEquals(rig.ports[3]!.calls.slice(0, 2), [
    { operation: LineOperation.Output, argument: 1 },
    { operation: LineOperation.GetValue, argument: 0 },
  ]);
});

Deno.test("lines that are outputs by rule are outputs from the beginning", () => {
  const rig = new UsbRig(Cp2112Device, 3);
  rig.ports[1]!.direction = Direction.Output;
  rig.ports[1]!.refuses.add(LineOperation.Input);
  rig.rules[0] = "input";
  rig.controlled(0, 9, 1, 0, 0);
  const get = () => rig.controlled(0xa1, 1, 0x0302, 0, 5).data[1];
  const set = (directions: number) =>
    rig.controlled(0x21, 9, 0x0302, 0, 5, [2, directions, 0, 0, 0]).status;
  assertEquals(get(), 0b010);
  // Changing another line leaves them alone.
  assertEquals(set(0b110), Success);
  assertEquals(get(), 0b110);
  assertEquals(set(0b111), Stall);
  assertEquals(rig.told.at(-1), "refused 0");
  assertEquals(set(0b100), Stall);
  assertEquals(get(), 0b110);
});

Deno.test("pins without a line are inputs that read 0, and never outputs", () => {
  for (let lineCount = 1; lineCount <= 8; lineCount++) {
    const rig = new Cp2112(lineCount);
    for (const port of rig.ports) port.pulled = 1;
    const present = 2 ** lineCount - 1;
    assertEquals(rig.get(3).data, [3, present]);
    for (let pin = 0; pin < 8; pin++) {
      const isPresent = pin < lineCount;
      assertEquals(
        rig.set(2, 1 << pin, 0, 0, 0).status,
        isPresent ? Success : Stall,
      );
      assertEquals(rig.get(2).data[1], isPresent ? 1 << pin : 0);
      // As for an input that is there, a level without a direction is nothing.
      assertEquals(rig.set(4, 0, 1 << pin).status, Success);
      assertEquals(rig.set(2, 0, 0, 0, 0).status, Success);
    }
    assertEquals(rig.device.counters.invalid, 8 - lineCount);
  }
});

Deno.test("a line that cannot be driven stalls, one that cannot be read does not", () => {
  const rig = new Cp2112(2);
  rig.set(2, 1, 0, 0, 0);
  rig.ports[1]!.pulled = 1;
  assertEquals(rig.get(3).data, [3, 2]);
  for (const port of rig.ports) port.broken = true;
  assertEquals(rig.set(4, 1, 1).status, Stall);
  assertEquals(rig.get(3).data, [3, 2]);
  assertEquals(rig.requests.at(-1), [1, LineOperation.GetValue, false]);
});

Deno.test("each level is shown for one poll, and to reads beside it", () => {
  const rig = new Cp2112(8);
  assertEquals([rig.poll(), rig.poll()], [0, 0]);
  assertEquals(rig.ports[5]!.edges, Edges.Both);
  const [bit] = [1 << 5];
  for (let i = 0; i < 3; i++) {
    rig.ports[5]!.pull(1);
    rig.ports[5]!.pull(0);
  }
  const seen: number[] = [];
  for (let i = 0; i < 8; i++) {
    seen.push(rig.poll());
    // The driver looks which edge it was.
    rig.clock.pass(2);
    assertEquals(rig.get(3).data[1], seen.at(-1));
  }
  assertEquals(seen, [bit, 0, bit, 0, bit, 0, 0, 0]);
});

Deno.test("a driver that polls no more has nothing kept", () => {
  const rig = new Cp2112(1);
  rig.poll();
  rig.poll();
  rig.ports[0]!.pull(1);
  rig.ports[0]!.pull(0);
  rig.clock.pass(1000);
  assertEquals(rig.clock.pending, 0);
  assertEquals(rig.ports[0]!.edges, Edges.None);
  assertEquals(rig.get(3).data, [3, 0]);
  for (let i = 0; i < 3; i++) rig.poll();
  for (let i = 1; i <= 1001; i++) rig.ports[0]!.pull(i % 2);
  const seen = Array.from({ length: 200 }, () => rig.poll());
  const changes = seen.filter((level, i) => level !== (seen[i - 1] ?? 0));
  assertEquals(seen.at(-1), 1);
  assertEquals(rig.device.counters.lostEdges[0], 1001 - changes.length);
});

Deno.test("a program that reads again and again is no driver that polls", () => {
  const rig = new Cp2112(1);
  for (let i = 1; i < 50; i++) {
    rig.ports[0]!.pull(i % 2);
    assertEquals(rig.poll(125), i % 2);
  }
  assertEquals(rig.ports[0]!.edges, Edges.None);
});

Deno.test("a level is shown to a driver within three seconds, however slowly it polls", () => {
  const rig = new Cp2112(1);
  const slowest = 110;
  for (let i = 0; i < 3; i++) rig.poll(slowest);
  for (let i = 1; i <= 1000; i++) rig.ports[0]!.pull(i % 2);
  const seen = Array.from({ length: 200 }, () => rig.poll(slowest));
  assertEquals(seen.at(-1), 0);
  assertLessOrEqual(seen.lastIndexOf(1) * slowest, 3000);
});

Deno.test("slow lines are waited for", () => {
  const rig = new Cp2112(8);
  for (const line of [2, 6]) rig.ports[line]!.slow = true;
  rig.ports[6]!.pulled = 1;
  const token = rig.control(0xa1, 1, 0x0303, 0, 2);
  const next = rig.control(0xa1, 1, 0x0305, 0, 3);
  rig.ports[6]!.finish();
  assertEquals([rig.answers.has(token), rig.answers.has(next)], [false, false]);
  rig.ports[2]!.finish();
  assertEquals(rig.answers.get(token)!.data, [3, 0x40]);
  assertEquals(rig.answers.get(next)!.data, [5, 0x0c, 2]);
  rig.control(0xa1, 1, 0x0303, 0, 2);
  rig.device.reset();
  for (const line of [2, 6]) rig.ports[line]!.finish();
  for (const line of [2, 6]) rig.ports[line]!.finish();
  for (const { calls } of rig.ports) {
    assertEquals(calls.at(-1)!.operation, LineOperation.Deactivate);
  }
  assertEquals(rig.clock.pending, 0);
});

Deno.test("I2C is answered by its failure", () => {
  const rig = new Cp2112(1);
  const token = rig.in(0x81);
  assertEquals(
    rig.answers.get(rig.out(1, [0x14, 0x20, 1, 7]))!.status,
    Success,
  );
  assertEquals(rig.answers.has(token), false);
  assertEquals(rig.answers.get(rig.out(1, [0x15, 1]))!.status, Success);
  assertEquals(rig.answers.get(token)!.data, [0x16, 3, 0, 0, 0, 0, 0]);
  assertEquals(rig.answers.get(rig.out(1, []))!.status, Stall);
  assertEquals(
    rig.controlled(0x21, 9, 0x0215, 0, 2, [0x15, 1]).status,
    Success,
  );
  assertEquals(rig.answers.get(rig.in(0x81, 6))!.status, Babble);
  assertEquals(rig.answers.get(rig.in(0x81, 7))!.data[0], 0x16);
  for (let i = 0; i < 100; i++) rig.out(1, [0x15, 1]);
  assertEquals(rig.device.counters.overflows, 96);
});
