/**
 * A structure-aware fuzzer of vfio-user messages and of the card's registers.
 *
 * A hostile session negotiates, most of the time, and then sends messages in
 * which anything may be wrong: commands, sizes, flags, regions, offsets, counts,
 * descriptors, where a message is cut, when the client hangs up. Lines change
 * meanwhile. After each session the next client must find the card as new.
 *
 * Everything follows from the seed, so that a failure can be repeated.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { VfioUserBackend } from "../../src/vfio_user/backend.ts";
import { C, versionBody, VfioPeer, words } from "../doubles/vfio_peer.ts";
import { CHANNEL, VfioRig } from "../doubles/vfio_rig.ts";
import { Random } from "./ring_fuzz_random.ts";

/** Options of a run. */
export interface VfioFuzzOptions {
  seed: number;
  /** Hostile sessions. */
  iterations: number;
}

/** Report of a run, so that one that reaches nothing shows. */
export interface VfioFuzzReport {
  sessions: number;
  messages: number;
  /** Sessions in which the guest used the card. */
  started: number;
  /** Sessions that the server ended. */
  ended: number;
}

const ODD = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  16,
  255,
  256,
  0x1fc,
  0x1ff,
  0x200,
  4095,
  4096,
  8192,
  0x7fffffff,
  0x80000000,
  0xfffffffc,
  0xffffffff,
];
/** Registers of a channel, and what makes a line interrupt at both edges. */
const IEN = 0x00;
const ISTATUS = 0x04;
const ICLR = 0x0c;
const IMASKCLR = 0x14;
const PO = 0x18;
const PI = 0x1c;
const PM = 0x20;
const IM = 0x24;
const EDGE_BOTH = 4;
const COMMANDS = [...Object.values(C), 0, 6, 12, 14, 15, 16, 99, 0xffff];

/** Runs hostile sessions; throws if one leaves anything behind. */
export function runVfioFuzz(
  { seed, iterations }: VfioFuzzOptions,
): VfioFuzzReport {
  const random = new Random(seed);
  const report = { sessions: 0, messages: 0, started: 0, ended: 0 };
  using memory = createMemFd("guest", 4096);
  using event = createEventFd();
  const [left, right] = socketPair();
  using _left = left;
  using _right = right;
  const fds = [memory.fd, event.fd, left.fd];
  for (let i = 0; i < iterations; i++) {
    using rig = new VfioRig({ lines: 1 + random.below(109) });
    if (!random.oneIn(8)) rig.peer.send(C.VERSION, versionBody(0, 0));
    for (let step = random.below(40); step > 0; step--) {
      hostileStep(rig, random, fds);
      report.messages++;
    }
    rig.turn();
    report.sessions++;
    if (rig.log.includes("started")) report.started++;
    if (!rig.backend.isConnected) report.ended++;
    rig.pass(random.pick([0, 1, 31_000]));
    assertEquals(rig.escaped, [], `seed ${seed}, session ${i}`);
    checkGoodSession(rig);
  }
  return report;
}

function hostileStep(rig: VfioRig, random: Random, fds: number[]): void {
  const number = () => random.oneIn(2) ? random.pick(ODD) : random.below(0x200);
  const some = random.oneIn(4)
    ? Array.from({ length: random.below(20) }, () => random.pick(fds))
    : [];
  switch (random.below(9)) {
    case 6: {
      // What a region has, with the data that it takes, whole or in two parts.
      const count = random.pick([1, 2, 4, 8]);
      const region = random.pick([1, 1, 7]);
      const offset = count * random.below(0x220 / count);
      const bytes = encodeMessage(
        random.pick([C.REGION_READ, C.REGION_WRITE]),
        words(offset, 0, region, count, random.uint32(), random.uint32()),
      );
      const cut = random.oneIn(2) ? bytes.length : random.below(bytes.length);
      if (cut > 0) rig.peer.sendBytes(bytes.subarray(0, cut), some);
      if (random.oneIn(2)) rig.turn();
      if (cut < bytes.length && !random.oneIn(6)) {
        rig.peer.sendBytes(bytes.subarray(cut), random.oneIn(9) ? some : []);
      }
      break;
    }
    case 7:
      // As many as fit, at once.
      rig.peer.sendBytes(
        concat(Array.from({ length: 1 + random.below(40) }, () =>
          encodeMessage(
            random.pick([C.REGION_READ, C.DEVICE_GET_INFO, C.DEVICE_RESET]),
            words(0x60 + 4 * random.below(12), 0, 1, 4),
          ))),
        some,
      );
      break;
    case 8:
      // Memory, as a VMM with a guest shares it.
      rig.peer.send(
        random.pick([C.DMA_MAP, C.DMA_UNMAP]),
        words(random.pick([32, 24, number()]), 3, 0, 0, number(), 0, 4096, 0),
        { fds: some },
      );
      break;
    case 0: {
      const port = random.pick(rig.ports);
      port.broken = random.oneIn(10);
      port.pull(random.below(2));
      break;
    }
    case 1:
      rig.peer.sendBytes(
        Uint8Array.from(
          { length: 1 + random.below(40) },
          () => random.below(256),
        ),
        some,
      );
      break;
    case 2:
      rig.peer.send(
        random.pick([C.REGION_READ, C.REGION_WRITE]),
        words(
          number(),
          0,
          random.pick([1, 1, 1, 7, 0, 99]),
          number(),
          number(),
        ),
        { flags: random.pick([0, 0x10, 1, 0x20]), fds: some },
      );
      break;
    case 3:
      // Registers, as a driver writes them.
      rig.peer.send(
        C.REGION_WRITE,
        words(4 * random.below(0x80), 0, 1, 4, random.uint32()),
        { flags: 0x10 },
      );
      break;
    case 4:
      rig.peer.send(
        C.DEVICE_SET_IRQS,
        words(
          20,
          random.below(0x40),
          random.oneIn(2) ? 0 : random.below(6),
          random.oneIn(4) ? number() : 0,
          random.oneIn(4) ? number() : random.below(3),
          ...random.oneIn(2) ? [random.below(2)] : [],
        ),
        { fds: some },
      );
      break;
    default:
      rig.peer.send(
        random.pick(COMMANDS),
        words(...Array.from({ length: random.below(12) }, number)),
        random.oneIn(6)
          ? { size: number(), fds: some }
          : { flags: random.pick([0, 0, 0x10, 0xffff]), fds: some },
      );
  }
  if (random.oneIn(3)) rig.turn();
  while (random.oneIn(2) && typeof rig.peer.read() === "object");
}

/** A message with a correct header. */
function encodeMessage(command: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, command, true);
  view.setUint32(4, bytes.length, true);
  bytes.set(body, 16);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The next client finds the card as new, and it does what a driver asks. */
function checkGoodSession(rig: VfioRig): void {
  rig.backend[Symbol.dispose]();
  assert(!rig.backend.isConnected);
  const { card, ports } = rig;
  for (const port of ports) port.broken = false;
  assertEquals(card.isInterrupting, false);
  const [mine, theirs] = socketPair();
  using peer = new VfioPeer(theirs);
  using _backend = new VfioUserBackend({
    loop: rig.reactor,
    card,
    endpoint: { connection: mine },
    events: {
      connected: () => {},
      disconnected: () => {},
      waiting: () => {},
      fault: (error) => void rig.escaped.push(error),
    },
    now: () => rig.now,
  });
  const ask = (
    command: number,
    body?: Uint8Array,
    options?: Parameters<VfioPeer["send"]>[2],
  ): DataView => {
    peer.send(command, body, options);
    rig.turn();
    const reply = peer.read();
    if (typeof reply === "string") throw new Error(`${command}: ${reply}`);
    assertEquals(reply.errno, 0);
    return new DataView(reply.body.buffer, reply.body.byteOffset);
  };
  const read = (register: number) =>
    ask(C.REGION_READ, words(CHANNEL + register, 0, 1, 4)).getUint32(16, true);
  const write = (register: number, value: number) =>
    void ask(C.REGION_WRITE, words(CHANNEL + register, 0, 1, 4, value));
  ask(C.VERSION, versionBody(0, 0));
  assertEquals([read(IEN), read(PM), read(PO)], [0, 0, 0]);
  // Line 0 interrupts, and is an output then.
  ports[0]!.pull(0);
  ask(C.DEVICE_SET_IRQS, words(20, 0x24, 0, 0, 1), { fds: [peer.irq.fd] });
  write(IM, EDGE_BOTH);
  write(ICLR, 0xffff);
  write(IMASKCLR, 1);
  write(IEN, 1);
  peer.takeInterrupt();
  ports[0]!.pull(1);
  rig.turn();
  assertEquals([peer.takeInterrupt(), read(ISTATUS), read(PI) & 1], [
    true,
    1,
    1,
  ]);
  write(IEN, 0);
  ports[0]!.pull(0);
  write(PM, 1);
  write(PO, 1);
  assertEquals([ports[0]!.level, read(PI) & 1], [1, 1]);
  assertEquals(rig.escaped, []);
}
