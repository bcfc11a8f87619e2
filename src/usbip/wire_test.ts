import { assertEquals, assertStringIncludes } from "@std/assert";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";
import { Cp2112Device } from "../usb/cp2112/cp2112_device.ts";
import { UsbRig } from "../../tests/doubles/usb_rig.ts";
import { UsbipPeer } from "../../tests/doubles/usbip_peer.ts";
import { UrbStatus } from "./protocol.ts";
import { UsbipWire } from "./wire.ts";

function connect(Device: typeof LjcaDevice | typeof Cp2112Device, lines = 8) {
  const rig = new UsbRig(Device, lines);
  const wire = new UsbipWire(rig.device, () => {});
  return { rig, wire, peer: new UsbipPeer(wire) };
}

const GET_DEVICE = [0x80, 6, 0, 1, 0, 0];
const SET_CONFIGURATION = [0x00, 9, 1, 0, 0, 0, 0, 0];

Deno.test("a descriptor is cut to what the kernel asks for", () => {
  const { peer } = connect(LjcaDevice);
  const short = peer.in(0, 8, [...GET_DEVICE, 8, 0]);
  assertEquals(peer.answer(short), {
    status: UrbStatus.Ok,
    length: 8,
    data: [18, 1, 0, 2, 0, 0, 0, 64],
  });
  const whole = peer.in(0, 64, [...GET_DEVICE, 64, 0]);
  assertEquals(peer.answer(whole)!.length, 18);
});

Deno.test("what a device does not have is stalled", () => {
  const { peer } = connect(LjcaDevice);
  const qualifier = peer.in(0, 10, [0x80, 6, 0, 6, 0, 0, 10, 0]);
  assertEquals(peer.answer(qualifier)!.status, UrbStatus.Stall);
  // No such endpoint.
  assertEquals(peer.answer(peer.in(9, 64))!.status, UrbStatus.Stall);
});

Deno.test("requests begin a guest, and its end ends it", () => {
  const { rig, wire, peer } = connect(Cp2112Device);
  assertEquals(peer.answer(peer.out(0, [], SET_CONFIGURATION)), {
    status: UrbStatus.Ok,
    length: 0,
    data: [],
  });
  assertEquals(rig.told, ["began"]);
  wire.close();
  assertEquals(rig.told, ["began", "gone"]);
});

Deno.test("a transfer that is taken back has no answer of its own", () => {
  const { peer } = connect(LjcaDevice);
  peer.out(0, [], SET_CONFIGURATION);
  const waiting = peer.in(1, 64);
  const unlink = peer.unlink(waiting);
  assertEquals(peer.answer(unlink)!.status, UrbStatus.Unlinked);
  assertEquals(peer.answer(waiting), undefined);
  // It is known no more, as one that was answered.
  assertEquals(peer.answer(peer.unlink(waiting))!.status, UrbStatus.Ok);
});

Deno.test("messages are read in any cut", () => {
  const { peer } = connect(LjcaDevice);
  peer.piece = 7;
  const whole = peer.in(0, 64, [...GET_DEVICE, 64, 0]);
  assertEquals(peer.answer(whole)!.length, 18);
});

Deno.test("a setup packet that contradicts its transfer is stalled", () => {
  const { peer } = connect(LjcaDevice);
  // To the device, and asks for data.
  const read = peer.out(0, [], [...GET_DEVICE, 8, 0]);
  assertEquals(peer.answer(read)!.status, UrbStatus.Stall);
  const short = peer.out(0, [1, 2], [0x21, 9, 0, 2, 0, 0, 3, 0]);
  assertEquals(peer.answer(short)!.status, UrbStatus.Stall);
});

for (
  const [what, fields, reason] of [
    ["of an unknown type", { message: 9 }, "a message of type 9"],
    ["for endpoint 16", { endpoint: 16 }, "for endpoint 16"],
    ["that is too long", { length: 65_537 }, "65537 bytes"],
  ] as const
) {
  Deno.test(`a message ${what} ends the connection`, () => {
    const { wire, peer } = connect(LjcaDevice);
    peer.raw(fields);
    assertStringIncludes(wire.fault, reason);
  });
}

Deno.test("a number in use, and too many transfers, end the connection", () => {
  const twice = connect(LjcaDevice);
  twice.peer.out(0, [], SET_CONFIGURATION);
  twice.peer.raw({ seqnum: 50, endpoint: 1, direction: 1, length: 64 });
  twice.peer.raw({ seqnum: 50, endpoint: 1, direction: 1, length: 64 });
  assertStringIncludes(twice.wire.fault, "50 twice");
});

Deno.test("a peer that does not read is given up, and nothing is lost", () => {
  const { wire, peer } = connect(LjcaDevice);
  peer.isReading = false;
  for (let i = 0; i < 10_000 && wire.fault === ""; i++) {
    peer.in(0, 255, [...GET_DEVICE, 255, 0]);
  }
  assertStringIncludes(wire.fault, "does not read");
});
