import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsbRig } from "../../tests/doubles/usb_rig.ts";
import { T, UsbredirPeer } from "../../tests/doubles/usbredir_peer.ts";
import { SavedReader } from "../usb/core/saved_state.ts";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";
import { UsbredirWire } from "./wire.ts";

const BOTH = 0x40;

/** A connection of one process after another. */
class Connection {
  readonly peer: UsbredirPeer;
  usb = new UsbRig(LjcaDevice, 2);
  wire = new UsbredirWire(this.usb.device, () => {});

  constructor(capabilities = 0xff) {
    this.peer = new UsbredirPeer(capabilities);
    this.feed(this.peer.hello());
    this.feed(this.peer.packet(T.setConfiguration, 1, [1]));
    this.wire.output.sent(this.wire.output.backlog);
  }

  feed(bytes: Uint8Array): void {
    this.wire.room.set(bytes);
    this.wire.received(bytes.length);
    while (this.wire.next());
  }

  /** Packets that were sent since. */
  heard() {
    const { output } = this.wire;
    const bytes = output.waiting.slice();
    output.sent(bytes.length);
    return this.peer.parse(bytes);
  }

  saved(): Record<string, unknown> {
    return JSON.parse(JSON.stringify(this.wire.save()));
  }

  /** The next process goes on. */
  restart(saved: unknown = this.saved()): void {
    const { ports } = this.usb;
    this.usb = new UsbRig(LjcaDevice, 2);
    for (const [line, port] of ports.entries()) {
      this.usb.ports[line]!.adopt(port);
    }
    this.usb.device.detach();
    this.wire = new UsbredirWire(this.usb.device, () => {});
    this.wire.restore(new SavedReader(saved), () => {});
  }

  gpio(id: number, command: number, line: number, value: number): Uint8Array {
    return this.peer.bulk(id, 1, [3, command, 4, 3, 1, line, value]);
  }
}

for (const capabilities of [0xff, 0]) {
  Deno.test(`a connection goes on in the middle of packets (capabilities ${capabilities})`, () => {
    const it = new Connection(capabilities);
    it.feed(it.peer.bulk(40, 0x81, [], 64));
    it.feed(it.peer.packet(T.startInterrupt, 41, [0x82]));
    it.feed(it.gpio(42, 1, 0, BOTH));
    const unmask = it.gpio(43, 6, 0, 0);
    it.feed(unmask.subarray(0, 9));
    // Nothing of this has been sent yet.
    it.restart();
    assertEquals(it.heard().map(({ id }) => id), [41, 42]);
    it.feed(unmask.subarray(9));
    assertEquals(it.heard().map(({ id }) => id), [43]);
    it.restart();
    it.usb.ports[0]!.pull(1);
    const [event, ...others] = it.heard();
    assertEquals([event!.id, event!.body.at(-1)], [40, 1]);
    assertEquals(others, []);
    // Its slot is free again, and the others are.
    for (let id = 100; id < 500; id++) it.feed(it.gpio(id, 6, 0, 0));
    assertEquals(it.heard().length, 400);
    assertEquals(it.wire.fault, "");
    it.feed(it.peer.packet(T.stopInterrupt, 44, [0x82]));
    assertEquals(it.heard().map(({ id }) => id), [44]);
  });
}

Deno.test("a connection without a hello is not one to go on with", () => {
  const wire = new UsbredirWire(new UsbRig(LjcaDevice, 1).device, () => {});
  assertEquals(wire.save(), undefined);
});

Deno.test("a connection's state that does not fit is refused", () => {
  const it = new Connection();
  it.feed(it.peer.bulk(40, 0x81, [], 64));
  const saved = it.saved();
  const [transfer] = saved["transfers"] as Record<string, unknown>[];
  assert(transfer !== undefined);
  for (
    const state of [
      null,
      {},
      ...Object.keys(saved).map((key) => ({ ...saved, [key]: undefined })),
      { ...saved, receiving: "AAAA" },
      { ...saved, transfers: [transfer, transfer] },
      { ...saved, transfers: [{ ...transfer, slot: 256 }] },
      { ...saved, transfers: [{ ...transfer, type: 0 }] },
      { ...saved, output: "A".repeat(100_000) },
    ]
  ) assertThrows(() => it.restart(state), RangeError);
  it.restart(saved);
});
