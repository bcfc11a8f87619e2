/**
 * A structure-aware fuzzer of USB/IP messages, of the device's side and of the
 * relay between it and the kernel.
 *
 * A hostile connection sends messages in which anything may be wrong: types,
 * numbers, lengths, endpoints, setup packets, where a message is cut. Every
 * transfer is answered at most once, one that is taken back not at all; after
 * each connection every line has been left.
 *
 * Everything follows from the seed, so that a failure can be repeated.
 *
 * @module
 */
import { assert } from "@std/assert";
import { Cp2112Device } from "../../src/usb/cp2112/cp2112_device.ts";
import { LjcaDevice } from "../../src/usb/ljca/ljca_device.ts";
import { Field, HEADER, Message } from "../../src/usbip/protocol.ts";
import { GIVE_UP_MS, Relay } from "../../src/usbip/relay.ts";
import { UsbipWire } from "../../src/usbip/wire.ts";
import { UsbRig } from "../doubles/usb_rig.ts";
import { urb } from "../doubles/usbip_peer.ts";
import { Random } from "./ring_fuzz_random.ts";
import {
  assertLeft,
  disturb,
  odd,
  ODD_LENGTHS,
  randomBytes,
  randomMessage,
  randomReport,
  reportNumber,
} from "./usb_fuzz.ts";

/** Options of a run. */
export interface UsbipFuzzOptions {
  seed: number;
  /** Hostile connections. */
  iterations: number;
}

/** Report of a run, so that one that reaches nothing shows. */
export interface UsbipFuzzReport {
  sessions: number;
  messages: number;
  /** Answers to transfers. */
  answered: number;
  /** Transfers that were taken back. */
  unlinked: number;
  /** Requests that reached a line. */
  requests: number;
  /** Connections that were given up. */
  ended: number;
}

const SET_CONFIGURATION = [0, 9, 1, 0, 0, 0, 0, 0];

/** Runs hostile connections; throws if one leaves anything behind. */
export function runUsbipFuzz(
  { seed, iterations }: UsbipFuzzOptions,
): UsbipFuzzReport {
  const random = new Random(seed);
  const report = {
    sessions: 0,
    messages: 0,
    answered: 0,
    unlinked: 0,
    requests: 0,
    ended: 0,
  };
  for (let i = 0; i < iterations; i++) {
    const isLjca = random.oneIn(2);
    const rig = isLjca
      ? new UsbRig(LjcaDevice, 1 + random.below(64))
      : new UsbRig(Cp2112Device, 1 + random.below(8));
    rig.device.detach();
    hostileConnection(rig, isLjca, random, report);
    report.requests += rig.requests.length;
    assertLeft(rig);
    report.sessions++;
  }
  return report;
}

/** Transfers that wait for their answer, by number. */
class Ledger {
  readonly #open = new Map<number, "in" | "out" | "unlink">();
  /** Set if the bytes that follow are other messages than they were made as. */
  isLost = false;

  /** Returns true if the number of a message waits for an answer. */
  awaits(bytes: Uint8Array): boolean {
    return this.#open.has(
      new DataView(bytes.buffer, bytes.byteOffset).getUint32(Field.Seqnum),
    );
  }

  sent(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const seqnum = view.getUint32(Field.Seqnum);
    const message = view.getUint32(Field.Message);
    const isUnlink = message === Message.Unlink;
    const isIn = view.getUint32(Field.Direction) !== 0;
    // What follows is taken for the data that it lacks.
    const length = HEADER + (isIn ? 0 : view.getUint32(Field.Length));
    if (message === Message.Submit && length > bytes.length) this.isLost = true;
    this.#open.set(seqnum, isUnlink ? "unlink" : isIn ? "in" : "out");
  }

  /** Checks and counts answers. */
  read(bytes: Uint8Array, report: UsbipFuzzReport): void {
    if (this.isLost) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let at = 0; at < bytes.length;) {
      assert(at + HEADER <= bytes.length, "an answer is cut");
      const seqnum = view.getUint32(at + Field.Seqnum);
      const kind = this.#open.get(seqnum);
      const isUnlink = view.getUint32(at + Field.Message) ===
        Message.UnlinkDone;
      assert(kind !== undefined, `${seqnum} was not asked for`);
      assert((kind === "unlink") === isUnlink, "an answer of another kind");
      this.#open.delete(seqnum);
      if (isUnlink) report.unlinked++;
      else report.answered++;
      at += HEADER + (kind === "in" ? view.getUint32(at + Field.Length) : 0);
    }
  }
}

function hostileConnection(
  rig: UsbRig,
  isLjca: boolean,
  random: Random,
  report: UsbipFuzzReport,
): void {
  const wire = new UsbipWire(rig.device, () => {});
  let now = 0;
  const relay = new Relay(() => now);
  const ledger = new Ledger();
  let seqnum = random.below(1000);
  const send = (bytes: Uint8Array) => {
    // What was answered already would be taken for the answer to this one.
    if (ledger.awaits(bytes)) hear();
    ledger.sent(bytes);
    let at = 0;
    for (const size of random.cut(bytes.length, 4)) {
      for (const end = at + size; at < end && relay.fault === "";) {
        const { kernelRoom } = relay;
        const piece = bytes.subarray(at, Math.min(end, at + kernelRoom.length));
        if (piece.length === 0) break;
        kernelRoom.set(piece);
        relay.kernelSent(piece.length);
        at += piece.length;
        pass(relay.toService, wire, (count) => wire.received(count));
        while (wire.next());
      }
    }
    report.messages++;
  };
  const isOver = () => relay.fault !== "" || wire.fault !== "";
  const hear = () => {
    while (wire.output.backlog > 0 && relay.fault === "") {
      const { serviceRoom } = relay;
      const count = Math.min(serviceRoom.length, wire.output.backlog);
      if (count === 0) break;
      serviceRoom.set(wire.output.waiting.subarray(0, count));
      wire.output.sent(count);
      relay.serviceSent(count);
    }
    ledger.read(relay.toKernel.waiting, report);
    relay.toKernel.sent(relay.toKernel.backlog);
  };
  if (!random.oneIn(8)) {
    send(urb({ seqnum: ++seqnum }, SET_CONFIGURATION));
  }
  for (let step = random.below(80); step > 0 && !isOver(); step--) {
    if (random.oneIn(3)) disturb(rig, random);
    send(hostileMessage(() => ++seqnum, seqnum, random, isLjca));
    // The service is slow at times.
    if (random.oneIn(20)) {
      now += random.below(GIVE_UP_MS / 4);
      relay.tick();
    }
    // A number that was used twice is the end: which of them an answer is for
    // is not known.
    if (!isOver() && !random.oneIn(4)) hear();
  }
  if (!isOver()) hear();
  if (isOver()) report.ended++;
  wire.close();
}

/** Passes on what a buffer has, as far as there is room. */
function pass(
  from: Relay["toService"],
  to: { readonly room: Uint8Array; readonly next: () => boolean },
  received: (count: number) => void,
): void {
  while (from.backlog > 0) {
    const { room } = to;
    const count = Math.min(room.length, from.backlog);
    if (count === 0) return;
    room.set(from.waiting.subarray(0, count));
    from.sent(count);
    received(count);
    while (to.next());
  }
}

function hostileMessage(
  next: () => number,
  last: number,
  random: Random,
  isLjca: boolean,
): Uint8Array {
  if (random.oneIn(60)) {
    return urb({
      message: random.pick([0, 1, 2, 3, 4, 99]),
      seqnum: random.oneIn(2) ? last : next(),
      endpoint: odd(random),
      length: random.pick([...ODD_LENGTHS, 0x10000, 0x10001, 0xffff_ffff]),
      direction: random.below(3),
    });
  }
  const seqnum = next();
  switch (random.oneIn(2) ? (isLjca ? 4 : 3) : random.below(6)) {
    case 0:
      return urb({
        message: Message.Unlink,
        seqnum,
        victim: last - random.below(8),
      });
    case 1: {
      const length = random.pick([64, 64, 64, ...ODD_LENGTHS]);
      const endpoint = random.pick([1, 1, 1, 2, odd(random) & 15]);
      return urb({ seqnum, direction: 1, endpoint, length });
    }
    case 2: {
      const setup = Array.from({ length: 8 }, () => odd(random));
      const isIn = random.oneIn(2);
      const data = isIn ? [] : randomBytes(random);
      return urb(
        {
          seqnum,
          direction: isIn ? 1 : 0,
          length: isIn ? random.pick(ODD_LENGTHS) : data.length,
        },
        setup,
        data,
      );
    }
    case 3: {
      const data = random.oneIn(6) ? randomBytes(random) : randomReport(random);
      const [report = 0] = data;
      return random.oneIn(2)
        ? urb({ seqnum, direction: 1, length: 64 }, [
          ...[0xa1, 1, reportNumber(random), 3, 0, 0, 64, 0],
        ])
        : urb({ seqnum }, [
          ...[0x21, 9, report, 3, 0, 0, data.length & 0xff, data.length >> 8],
        ], data);
    }
    case 4: {
      const data = random.oneIn(6)
        ? randomBytes(random)
        : randomMessage(random);
      return urb({ seqnum, endpoint: 1 }, [], data);
    }
    default:
      return urb(
        { seqnum },
        random.oneIn(6) ? SET_CONFIGURATION : [
          ...[odd(random) & 0x7f, random.pick([1, 3, 5, 9, 11]), odd(random)],
          ...[0, odd(random), 0, 0, 0],
        ],
      );
  }
}
