/**
 * A structure-aware fuzzer of usbredir packets and of the adapters' requests.
 *
 * A hostile session says hello, most of the time, and then sends packets in
 * which anything may be wrong: types, lengths, endpoints, ids, requests of the
 * adapter, where a packet is cut, when it ends. Lines change and answer late
 * meanwhile, and gpioagg is started again. Every transfer is answered at most once, as what it was. After each
 * session every line has been left, and a good session finds the device as new.
 *
 * Everything follows from the seed, so that a failure can be repeated.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Cp2112Device } from "../../src/usb/cp2112/cp2112_device.ts";
import { LjcaDevice } from "../../src/usb/ljca/ljca_device.ts";
import { SavedReader } from "../../src/usb/core/saved_state.ts";
import { UsbredirWire } from "../../src/usbredir/wire.ts";
import { UsbRig } from "../doubles/usb_rig.ts";
import { T, type UsbPacket, UsbredirPeer } from "../doubles/usbredir_peer.ts";
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
export interface UsbredirFuzzOptions {
  seed: number;
  /** Hostile sessions. */
  iterations: number;
}

/** Report of a run, so that one that reaches nothing shows. */
export interface UsbredirFuzzReport {
  sessions: number;
  packets: number;
  /** Packets that were answered. */
  answered: number;
  /** Requests that reached a line. */
  requests: number;
  /** Restarts in the middle of a session. */
  restarts: number;
  /** Sessions that were given up. */
  ended: number;
  /** Sessions whose connection broke while something was sent. */
  broken: number;
}

const TYPES = [...Object.values(T), 25, 102, 999, 0xffff_ffff];

/** Runs hostile sessions; throws if one leaves anything behind. */
export function runUsbredirFuzz(
  { seed, iterations }: UsbredirFuzzOptions,
): UsbredirFuzzReport {
  const random = new Random(seed);
  const report = {
    sessions: 0,
    packets: 0,
    answered: 0,
    requests: 0,
    restarts: 0,
    ended: 0,
    broken: 0,
  };
  for (let i = 0; i < iterations; i++) {
    const isLjca = random.oneIn(2);
    const rig = makeRig(isLjca, 1 + random.below(isLjca ? 64 : 8));
    goodSession(hostileSession(rig, isLjca, random, report), isLjca);
    report.sessions++;
  }
  return report;
}

function makeRig(isLjca: boolean, lineCount: number): UsbRig {
  return new UsbRig(isLjca ? LjcaDevice : Cp2112Device, lineCount);
}

/** Returns the device at the end: at times the next process goes on with it. */
function hostileSession(
  first: UsbRig,
  isLjca: boolean,
  random: Random,
  report: UsbredirFuzzReport,
): UsbRig {
  const peer = new UsbredirPeer(random.pick([0xff, 0xff, 0x7a, 0x20, 0]));
  let rig = first;
  let isGone = false;
  const broken = () => {
    // The connection breaks, as a rule from inside the device.
    isGone ||= random.oneIn(120);
  };
  let wire = new UsbredirWire(rig.device, broken);
  if (!random.oneIn(16)) feed(wire, peer.hello());
  if (!random.oneIn(8)) feed(wire, peer.packet(T.setConfiguration, 1, [1]));
  const ledger = new Ledger(peer);
  for (let step = random.below(80); step > 0 && wire.fault === ""; step--) {
    // Its end is deferred: something else may come first.
    if (isGone && random.oneIn(2)) break;
    if (!isGone && random.oneIn(25)) {
      const saved = wire.save();
      if (saved !== undefined) {
        report.requests += rig.requests.length;
        rig = nextProcess(rig, isLjca);
        wire = new UsbredirWire(rig.device, broken);
        let hasFailed = false;
        wire.restore(
          new SavedReader(JSON.parse(JSON.stringify(saved))),
          () => void (hasFailed = true),
        );
        report.restarts++;
        // A line does not go on: neither does the session.
        if (hasFailed) break;
      }
    }
    if (random.oneIn(3)) disturb(rig, random);
    const before = wire.output.backlog;
    const bytes = hostilePacket(peer, random, isLjca);
    const isCut = random.oneIn(40);
    if (isCut) ledger.isLost = true;
    else ledger.sent(bytes);
    feed(
      wire,
      isCut ? bytes.subarray(0, random.below(bytes.length)) : bytes,
      random.cut(bytes.length, 4),
    );
    report.packets++;
    if (wire.output.backlog > before) report.answered++;
    // Some of it is read.
    if (!isGone && random.oneIn(2)) ledger.read(wire);
    if (random.oneIn(60)) break;
  }
  if (wire.fault !== "") report.ended++;
  if (isGone) report.broken++;
  assert(wire.output.backlog <= 128 * 1024);
  if (wire.fault === "" && !isGone) ledger.read(wire);
  wire.close();
  report.requests += rig.requests.length;
  return rig;
}

/** A device of the same lines, as they were kept over a restart. */
function nextProcess(rig: UsbRig, isLjca: boolean): UsbRig {
  const next = makeRig(isLjca, rig.ports.length);
  for (const [line, port] of rig.ports.entries()) {
    const kept = next.ports[line]!;
    kept.adopt(port);
    kept.broken = port.broken;
    kept.slow = port.slow;
    next.rules[line] = rig.rules[line]!;
  }
  next.device.detach();
  return next;
}

/** Transfers that wait for their answer. */
class Ledger {
  readonly #peer: UsbredirPeer;
  readonly #open = new Map<string, number>();
  #isFirst = true;
  /** Set if the bytes that follow are other packets than they were made as. */
  isLost = false;

  constructor(peer: UsbredirPeer) {
    this.#peer = peer;
  }

  /** Notes a packet that is a transfer, if it is one. */
  sent(bytes: Uint8Array): void {
    const [packet] = this.#peer.parse(bytes);
    const key = formatKey(packet!);
    if (key !== undefined) this.#open.set(key, this.#waiting(key) + 1);
  }

  /** Reads all packets, and checks those that are answers. */
  read(wire: UsbredirWire): void {
    const { output } = wire;
    if (output.backlog === 0) return;
    const packets = this.#peer.parse(output.waiting, this.#isFirst);
    this.#isFirst = false;
    output.sent(output.backlog);
    for (const packet of packets) {
      const { type, id, body } = packet;
      const isStreamed = type === T.interrupt && (body[0]! & 0x80) !== 0;
      const key = isStreamed ? undefined : formatKey(packet);
      if (key === undefined || this.isLost) continue;
      assert(this.#waiting(key) > 0, `${type} ${id} was not asked for`);
      this.#open.set(key, this.#waiting(key) - 1);
    }
  }

  #waiting(key: string): number {
    return this.#open.get(key) ?? 0;
  }
}

/** Type, id and endpoint of a transfer. */
function formatKey({ type, id, body }: UsbPacket): string | undefined {
  const isTransfer = type === T.control || type === T.bulk ||
    type === T.interrupt;
  return isTransfer ? `${type} ${id} ${body[0]}` : undefined;
}

/** Passes bytes on in pieces, as far as the peer is not given up. */
function feed(
  wire: UsbredirWire,
  bytes: Uint8Array,
  pieces: readonly number[] = [bytes.length],
): void {
  let at = 0;
  for (const size of pieces) {
    for (const end = at + size; at < end && wire.fault === "";) {
      const { room } = wire;
      const piece = bytes.subarray(at, Math.min(end, at + room.length));
      if (piece.length === 0) break;
      room.set(piece);
      wire.received(piece.length);
      at += piece.length;
      while (wire.next());
    }
  }
}

function hostilePacket(
  peer: UsbredirPeer,
  random: Random,
  isLjca: boolean,
): Uint8Array {
  const id = random.below(12) +
    (random.oneIn(8) ? (1 + random.below(0x1f_ffff)) * 2 ** 32 : 0);
  // Most of these are the end of the connection.
  if (random.oneIn(50)) {
    return peer.packet(random.pick(TYPES), id, randomBytes(random));
  }
  // Half of them are what the adapter is for.
  const kind = random.oneIn(2) ? isLjca ? 7 : 5 : random.below(8);
  switch (kind) {
    case 0:
      return peer.packet(T.setConfiguration, id, [random.oneIn(4) ? 0 : 1]);
    case 1:
      return smallPacket(peer, random, id);
    case 2: {
      const type = random.pick([T.startInterrupt, T.stopInterrupt]);
      return peer.packet(type, id, [random.pick([0x81, 0x82, odd(random)])]);
    }
    case 3:
      return peer.bulk(
        id,
        random.pick([0x81, 0x81, 0x82, 0x8f]),
        random.oneIn(40) ? randomBytes(random) : [],
        random.oneIn(3) ? random.pick(ODD_LENGTHS) : 64,
        random.oneIn(4) ? random.uint32() : 0,
      );
    case 4: {
      const data = random.oneIn(2) ? randomBytes(random) : [0x15, 1];
      return peer.interrupt(id, random.pick([1, 1, 1, 2]), data);
    }
    case 5: {
      const data = random.oneIn(6) ? randomBytes(random) : randomReport(random);
      const [report = 0] = data;
      return random.oneIn(2)
        ? peer.control(id, 0xa1, 1, 0x0300 | reportNumber(random), 0, 64)
        : peer.control(id, 0x21, 9, 0x0300 | report, 0, data.length, data);
    }
    case 6: {
      const request = random.pick([0, 1, 3, 6, 8, 9, 10, 11, odd(random)]);
      const isIn = random.oneIn(2) ? 0x80 : 0;
      const data = isIn === 0 && random.oneIn(4) ? randomBytes(random) : [];
      return peer.control(
        id,
        isIn | random.pick([0, 1, 2, 3, 0x20, 0x21, 0x40]),
        request,
        odd(random) << 8 | odd(random),
        odd(random),
        isIn === 0 && !random.oneIn(60)
          ? data.length
          : random.pick(ODD_LENGTHS),
        data,
      );
    }
    default: {
      const data = random.oneIn(6)
        ? randomBytes(random)
        : randomMessage(random);
      const isLie = random.oneIn(300);
      return peer.bulk(
        id,
        random.oneIn(20) ? odd(random) & 0x7f : 1,
        data,
        isLie ? random.pick([...ODD_LENGTHS, 0xffff_ffff]) : data.length,
        random.oneIn(8) ? random.uint32() : 0,
      );
    }
  }
}

/** A packet without data, of the length that its type has. */
function smallPacket(
  peer: UsbredirPeer,
  random: Random,
  id: number,
): Uint8Array {
  const [type, length] = random.pick([
    [random.oneIn(3) ? T.reset : T.cancel, 0],
    ...[[T.cancel, 0], [T.cancel, 0], [T.getConfiguration, 0]],
    ...[[T.setAlt, 2], [T.getAlt, 1], [T.startIso, 3], [T.stopIso, 1]],
    ...[[T.disconnectAck, 0], [T.filterReject, 0], [T.filter, 5]],
  ] as [number, number][]);
  return peer.packet(type, id, Array.from({ length }, () => odd(random)));
}

/** The lines have been left, and a good QEMU finds a device as new. */
function goodSession(rig: UsbRig, isLjca: boolean): void {
  assertLeft(rig);
  const peer = new UsbredirPeer();
  const wire = new UsbredirWire(rig.device, () => {});
  feed(wire, peer.hello());
  feed(wire, peer.packet(T.setConfiguration, 1, [1]));
  wire.output.sent(wire.output.backlog);
  const last = rig.ports.length - 1;
  rig.ports[last]!.pulled = 1;
  if (isLjca) {
    feed(wire, peer.bulk(8, 0x81, [], 64));
    feed(wire, peer.bulk(7, 1, [3, 2, 5, 3, 1, last, 0]));
  } else feed(wire, peer.control(7, 0xa1, 1, 0x0303, 0, 2));
  const answer = peer.parse(wire.output.waiting).at(-1)!;
  assertEquals(wire.fault, "");
  const level = answer.body.at(-1)!;
  assert(rig.ports[last]!.level === (isLjca ? level : level >>> last & 1));
  wire.close();
}
