import { assertEquals, assertStringIncludes } from "@std/assert";
import { UsbRig } from "../../tests/doubles/usb_rig.ts";
import {
  T,
  type UsbPacket,
  UsbredirPeer,
} from "../../tests/doubles/usbredir_peer.ts";
import { Cp2112Device } from "../usb/cp2112/cp2112_device.ts";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";
import { UsbredirWire } from "./wire.ts";

/** A connection with a device behind it. */
class WireRig {
  readonly usb: UsbRig;
  readonly wire: UsbredirWire;
  readonly peer: UsbredirPeer;
  outputs = 0;

  constructor(
    Device: typeof LjcaDevice | typeof Cp2112Device = LjcaDevice,
    capabilities = 0xff,
  ) {
    this.usb = new UsbRig(Device, 4);
    this.peer = new UsbredirPeer(capabilities);
    this.wire = new UsbredirWire(this.usb.device, () => this.outputs++);
  }

  /** Bytes that are sent; all of them are taken. */
  take(isFirst = false): UsbPacket[] {
    const { output } = this.wire;
    const bytes = output.waiting.slice();
    output.sent(bytes.length);
    return this.peer.parse(bytes, isFirst);
  }

  /** Passes bytes on, and what is answered at once. */
  send(...all: Uint8Array[]): UsbPacket[] {
    this.feed(...all);
    return this.take();
  }

  /** Passes bytes on. */
  feed(...all: Uint8Array[]): void {
    for (const bytes of all) {
      for (let at = 0; at < bytes.length;) {
        const { room } = this.wire;
        const piece = bytes.subarray(at, at + room.length);
        if (piece.length === 0) throw new Error("there is no room");
        room.set(piece);
        this.wire.received(piece.length);
        at += piece.length;
        while (this.wire.next());
        if (this.wire.fault !== "") return;
      }
    }
  }

  /** A device that is configured. */
  begin(): this {
    this.feed(this.peer.hello(), this.peer.packet(T.setConfiguration, 1, [1]));
    this.take(true);
    return this;
  }
}

Deno.test("both say hello, then the device is told of", () => {
  const rig = new WireRig();
  const [own] = rig.take();
  assertEquals([own!.type, own!.body.length], [T.hello, 68]);
  assertEquals(own!.body[64], 0x7a);
  const told = rig.send(rig.peer.hello());
  assertEquals(told.map(({ type }) => type), [
    T.interfaces,
    T.endpoints,
    T.connect,
  ]);
  const [interfaces, endpoints, device] = told.map(({ body }) => body);
  assertEquals([...interfaces!.slice(0, 6)], [2, 0, 0, 0, 0, 1]);
  assertEquals([...interfaces!.slice(36, 38)], [0xff, 3]);
  assertEquals(interfaces!.length, 4 + 4 * 32);
  assertEquals(endpoints!.length, 32 * 3 + 64);
  assertEquals([0, 1, 2, 16, 17, 18].map((i) => endpoints![i]), [
    ...[0, 2, 255],
    ...[0, 2, 3],
  ]);
  assertEquals(endpoints![64 + 18], 1);
  assertEquals([...endpoints!.slice(96 + 34, 96 + 38)], [64, 0, 8, 0]);
  assertEquals([...device!], [1, 0, 0, 0, 0x86, 0x80, 0x63, 0x0b, 0, 1]);
});

Deno.test("a peer of fewer capabilities is spoken to as it can", () => {
  const rig = new WireRig(LjcaDevice, 0);
  const told = rig.send(rig.peer.hello()).slice(1);
  assertEquals(told.map(({ body }) => body.length), [132, 96, 8]);
  const [status] = rig.send(rig.peer.packet(T.setConfiguration, 5, [1]));
  assertEquals([status!.type, status!.id, ...status!.body], [8, 5, 0, 1]);
  const [answer] = rig.send(rig.peer.bulk(6, 1, [1, 4, 5, 0]));
  assertEquals([...answer!.body], [1, 0, 4, 0, 0, 0, 0, 0]);
});

Deno.test("requests are answered with their id and fields", () => {
  const rig = new WireRig().begin();
  const { peer } = rig;
  const big = 2 ** 40 + 7;
  const [device] = rig.send(peer.control(big, 0x80, 6, 0x0100, 0, 18));
  assertEquals(device!.id, big);
  assertEquals([...device!.body.slice(0, 12)], [
    ...[0x80, 6, 0x80, 0, 0, 1, 0, 0, 18, 0],
    ...[18, 1],
  ]);
  const [stalled] = rig.send(peer.control(3, 0x80, 6, 0x0600, 0, 10));
  assertEquals([...stalled!.body], [0x80, 6, 0x80, 4, 0, 6, 0, 0, 0, 0]);
  const [alt] = rig.send(peer.packet(T.setAlt, 4, [1, 0]));
  assertEquals([alt!.type, ...alt!.body], [T.alt, 0, 1, 0]);
  assertEquals(rig.send(peer.packet(T.setAlt, 4, [1, 1]))[0]!.body[0], 2);
  assertEquals(rig.send(peer.packet(T.getAlt, 4, [2]))[0]!.body[0], 2);
  assertEquals(rig.send(peer.packet(T.getAlt, 4, [0]))[0]!.body[0], 0);
  const [iso] = rig.send(peer.packet(T.startIso, 4, [0x83, 1, 1]));
  assertEquals([iso!.type, ...iso!.body], [T.iso, 2, 0x83]);
  const [twice] = rig.send(peer.packet(T.setConfiguration, 9, [2]));
  assertEquals([...twice!.body], [2, 1]);
  assertEquals([...rig.send(peer.packet(7, 9))[0]!.body], [0, 1]);
});

Deno.test("an event travels in a transfer that waits for it", () => {
  const rig = new WireRig().begin();
  const { peer } = rig;
  for (const [command, value] of [[1, 0x12], [1, 0x40], [6, 0]]) {
    rig.feed(peer.bulk(10, 1, [3, command!, 4, 3, 1, 2, value!]));
  }
  rig.take();
  assertEquals(rig.send(peer.bulk(11, 0x81, [], 64)), []);
  rig.outputs = 0;
  rig.usb.ports[2]!.pull(1);
  assertEquals(rig.outputs, 1);
  const [event] = rig.take();
  assertEquals([event!.type, event!.id], [T.bulk, 11]);
  assertEquals([...event!.body], [
    ...[0x81, 0, 7, 0, 0, 0, 0, 0, 0, 0],
    ...[3, 4, 0, 3, 1, 2, 1],
  ]);
});

Deno.test("a transfer is cancelled by its id, and only that", () => {
  const rig = new WireRig().begin();
  const { peer } = rig;
  rig.feed(peer.bulk(11, 0x81, [], 64), peer.bulk(12, 0x81, [], 64));
  const [cancelled] = rig.send(peer.packet(T.cancel, 12));
  assertEquals([cancelled!.id, cancelled!.body[1]], [12, 1]);
  assertEquals(rig.send(peer.packet(T.cancel, 12)), []);
  assertEquals(rig.send(peer.packet(T.cancel, 99)), []);
  const answers = rig.send(peer.bulk(13, 1, [1, 4, 5, 0]));
  assertEquals(answers.map(({ id }) => id), [13, 11]);
});

Deno.test("an interrupt endpoint sends by itself once it is started", () => {
  const rig = new WireRig(Cp2112Device).begin();
  const { peer } = rig;
  const [status] = rig.send(peer.packet(T.startInterrupt, 5, [0x81]));
  assertEquals([status!.type, ...status!.body], [T.interruptStatus, 0, 0x81]);
  for (let i = 0; i < 3; i++) {
    const [sent, done] = rig.send(peer.interrupt(7, 1, [0x15, 1]))
      .sort((a, b) => a.body.length - b.body.length);
    assertEquals([sent!.id, ...sent!.body], [7, 1, 0, 2, 0]);
    assertEquals([...done!.body.slice(0, 6)], [0x81, 0, 7, 0, 0x16, 3]);
  }
  rig.feed(peer.packet(T.stopInterrupt, 6, [0x81]));
  rig.take();
  assertEquals(rig.send(peer.interrupt(8, 1, [0x15, 1])).length, 1);
  // Of an endpoint that is none.
  for (const endpoint of [0x82, 1, 0, 0xff]) {
    const [refused] = rig.send(peer.packet(T.startInterrupt, 5, [endpoint]));
    assertEquals(refused!.body[0], 2);
  }
});

Deno.test("a reset is the end of everything under way", () => {
  const rig = new WireRig().begin();
  const { peer, usb } = rig;
  usb.ports[0]!.slow = true;
  rig.feed(
    peer.bulk(11, 0x81, [], 64),
    peer.bulk(12, 1, [3, 2, 5, 3, 1, 0, 0]),
    peer.packet(T.reset, 0),
  );
  assertEquals(usb.told, ["began", "gone"]);
  usb.ports[0]!.finish();
  assertEquals(rig.take(), []);
  rig.feed(peer.packet(T.setConfiguration, 1, [1]));
  rig.wire.close();
  assertEquals(usb.told, ["began", "gone", "began", "gone"]);
});

Deno.test("a first packet that is not a hello ends the connection", () => {
  for (const type of [T.bulk, T.control, T.reset, T.cancel, 0xffffffff]) {
    const rig = new WireRig();
    rig.feed(new UsbredirPeer().packet(type, 1, []));
    assertStringIncludes(rig.wire.fault, "not a hello");
    assertEquals(rig.usb.told, []);
  }
});

Deno.test("packets come in any pieces", () => {
  const rig = new WireRig();
  const { peer } = rig;
  const bytes = [
    peer.hello(),
    peer.packet(T.setConfiguration, 1, [1]),
    peer.bulk(2, 1, [1, 4, 5, 0]),
  ];
  for (const part of bytes) {
    for (const byte of part) rig.feed(Uint8Array.of(byte));
  }
  assertEquals(rig.take(true).at(-1)!.id, 2);
});

Deno.test("a packet of a wrong length ends the connection", () => {
  const lengths: Record<number, number[]> = {
    [T.reset]: [0],
    [T.setConfiguration]: [1],
    7: [0],
    [T.setAlt]: [2],
    [T.getAlt]: [1],
    [T.startIso]: [3],
    13: [1],
    [T.startInterrupt]: [1],
    [T.stopInterrupt]: [1],
    [T.cancel]: [0],
  };
  for (const [type, [right]] of Object.entries(lengths)) {
    for (let length = 0; length < 6; length++) {
      const rig = new WireRig().begin();
      const body = new Array(length).fill(0);
      rig.feed(rig.peer.packet(Number(type), 1, body));
      assertEquals(rig.wire.fault === "", length === right, `type ${type}`);
    }
  }
  for (const type of [T.control, T.bulk, T.interrupt]) {
    const shortest = type === T.interrupt ? 4 : 10;
    for (let length = 0; length < 20; length++) {
      const rig = new WireRig().begin();
      rig.feed(rig.peer.packet(type, 1, new Array(length).fill(0)));
      assertEquals(rig.wire.fault === "", length === shortest, `type ${type}`);
    }
  }
});

Deno.test("what must not come, and what is too long, ends the connection", () => {
  for (let type = 0; type < 128; type++) {
    const rig = new WireRig().begin();
    rig.feed(rig.peer.packet(type, 1, []));
    const isFine = [3, 7, 21, 22, 23, 24].includes(type);
    assertEquals(rig.wire.fault === "", isFine, `type ${type}`);
  }
  const header = new WireRig().begin();
  const huge = header.peer.packet(T.bulk, 1);
  new DataView(huge.buffer).setUint32(4, 0xffffffff, true);
  header.feed(huge);
  assertStringIncludes(header.wire.fault, "4294967295 bytes");
  for (const length of [0, 63, 65, 132, 4096]) {
    const rig = new WireRig();
    rig.feed(new UsbredirPeer().packet(T.hello, 0, new Array(length).fill(0)));
    assertEquals(rig.wire.fault === "", false, `hello of ${length}`);
  }
  const twice = new WireRig().begin();
  twice.feed(twice.peer.packet(T.hello, 0, new Array(68).fill(0)));
  assertStringIncludes(twice.wire.fault, "twice");
  const in103 = new WireRig().begin();
  in103.feed(in103.peer.interrupt(1, 0x81, []));
  assertStringIncludes(in103.wire.fault, "sends to it");
});

Deno.test("the longest transfers are refused, and nothing else suffers", () => {
  const rig = new WireRig().begin();
  const { peer } = rig;
  const most = new Array(0xffff).fill(0);
  const [control] = rig.send(peer.control(1, 0x21, 9, 0x0300, 0, 0xffff, most));
  assertEquals(control!.body[3], 4);
  const [bulk] = rig.send(peer.bulk(2, 1, most));
  assertEquals(bulk!.body[1], 4);
  const [none] = rig.send(peer.bulk(3, 9, [1]));
  assertEquals(none!.body[1], 2);
  assertEquals(rig.send(peer.bulk(4, 1, [1, 4, 5, 0])).length, 1);
  rig.feed(peer.bulk(5, 0x81, [], 0xffff_ffff));
  assertEquals(rig.wire.fault, "");
});

Deno.test("more transfers than fit fail, one by one", () => {
  const rig = new WireRig().begin();
  const { peer } = rig;
  for (let i = 0; i < 100; i++) rig.feed(peer.bulk(i, 0x81, [], 64));
  const failed = rig.take();
  assertEquals(failed.map(({ body }) => body[1]), new Array(36).fill(3));
  rig.usb.ports[0]!.slow = true;
  for (let i = 0; i < 100; i++) {
    rig.feed(peer.bulk(1000 + i, 1, [3, 2, 5, 3, 1, 0, 0]));
  }
  assertEquals(rig.take().length, 84);
  assertEquals(rig.wire.fault, "");
});

Deno.test("a peer that reads nothing is given up before it fills memory", () => {
  const rig = new WireRig().begin();
  let count = 0;
  while (rig.wire.fault === "" && count++ < 100_000) {
    rig.feed(rig.peer.control(1, 0x80, 6, 0x0200, 0, 255));
  }
  assertStringIncludes(rig.wire.fault, "does not read");
});
