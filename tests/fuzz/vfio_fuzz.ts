/**
 * A structure-aware fuzzer of vfio-user messages and of the card's registers.
 *
 * A hostile session negotiates, most of the time, and then sends messages in
 * which anything may be wrong: commands, sizes, flags, regions, offsets, counts,
 * descriptors, where a message is cut, when the client hangs up. Lines change
 * meanwhile. After each session the card must serve a good one, and no
 * descriptor may be left.
 *
 * Everything follows from the seed, so that a failure can be repeated.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { C, versionBody, words } from "../doubles/vfio_peer.ts";
import { VfioRig } from "../doubles/vfio_rig.ts";
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
  switch (random.below(6)) {
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
        words(20, random.below(0x40), random.below(6), 0, random.below(3)),
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

/** The same card, behind another connection, does what a driver asks. */
function checkGoodSession(rig: VfioRig): void {
  rig.backend[Symbol.dispose]();
  assert(!rig.backend.isConnected);
  const { card, ports } = rig;
  for (const port of ports) port.broken = false;
  card.reset();
  assertEquals(card.isInterrupting, false);
  card.write(1, 0x60 + 0x20, 4, 1);
  card.write(1, 0x60 + 0x18, 4, 1);
  assertEquals(ports[0]!.level, 1);
  assertEquals(card.read(1, 0x60 + 0x1c, 4) & 1, 1);
}
