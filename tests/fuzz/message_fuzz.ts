/**
 * A structure-aware fuzzer of vhost-user messages.
 *
 * A hostile session is a plausible one (negotiation, memory, rings, a guest that
 * uses them) in which anything may be wrong: numbers, sizes, flags, fds, order,
 * where a message is cut, when the frontend hangs up, and what is in the rings.
 * After each of them the next good session must be served, and nothing may be
 * left of the bad one.
 *
 * Everything follows from the seed, so that a failure can be repeated.
 *
 * @module
 */
import { createEventFd } from "../../ffi/event_fd.ts";
import { O_RDWR, openFile } from "../../ffi/files.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import {
  ALL_PROTOCOL,
  encode,
  GUEST_AT,
  GUEST_FEATURES,
  join,
  R,
  u32,
  u64,
  USER_AT,
} from "../doubles/vhost_peer.ts";
import { VhostRig } from "../doubles/vhost_rig.ts";

/** Options of a run. */
export interface MessageFuzzOptions {
  /** Seed of the random choices. */
  seed: number;
  /** Hostile sessions, at most. */
  iterations: number;
  /** Ends the run after this many milliseconds; no limit unless given. */
  limitMs?: number;
}

/** Report of a run, so that one that reaches nothing shows. */
export interface MessageFuzzReport {
  /** Hostile sessions that were run. */
  sessions: number;
  /** Messages that were sent in them. */
  messages: number;
  /** Sessions in which a ring ran. */
  started: number;
  /** Sessions that the backend ended. */
  ended: number;
  /** Sessions in which a fault was reported. */
  faulty: number;
}

/** A small generator of random numbers (mulberry32): the same on every machine. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** Numbers at which things go wrong. */
const ODD_NUMBERS = [
  0n,
  1n,
  2n,
  3n,
  8n,
  63n,
  64n,
  65n,
  255n,
  256n,
  4095n,
  4096n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 4096n,
  2n ** 64n - 1n,
  BigInt(GUEST_AT),
  BigInt(USER_AT),
  BigInt(USER_AT) + 0x10_0000n,
];

const MIB = 0x10_0000;

/** Reports that say what is wrong with a guest, beside that of a broken rule. */
const ADVICE =
  /a request of the guest was refused: .*|goes on from an earlier session/;

/** One hostile session. */
class HostileSession {
  readonly #rig: VhostRig;
  readonly #random: Random;
  readonly #fds: readonly (() => number)[];
  messages = 0;
  /** Times that SET_OWNER was sent: each but the first begins anew. */
  owners = 0;

  constructor(rig: VhostRig, random: Random, odd: readonly OwnedFd[]) {
    this.#rig = rig;
    this.#random = random;
    const { guest } = rig;
    this.#fds = [guest.file, ...guest.kicks, ...guest.calls, ...odd]
      .map((one) => () => one.fd);
  }

  run(): void {
    const random = this.#random;
    // Most sessions get somewhere before they go wrong.
    const openings = random.below(4);
    if (openings > 0) this.#script(this.#negotiation());
    if (openings > 1) this.#script(this.#ringSetup(0));
    if (openings > 2) this.#script(this.#ringSetup(1));
    for (let steps = random.below(40); steps > 0; steps--) {
      if (this.#isOver()) return;
      this.#step();
    }
  }

  #step(): void {
    const random = this.#random;
    switch (random.below(8)) {
      case 0:
        this.#useRing();
        break;
      case 1:
        this.#scribble();
        break;
      case 2:
        this.#script(this.#ringSetup(random.below(2)));
        break;
      case 3:
        this.#script(this.#negotiation());
        break;
      default:
        this.#send(...this.#anyMessage());
    }
    this.#rig.turn(1 + random.below(3));
  }

  /** Sends some messages in order, some of them left out or sent twice. */
  #script(messages: readonly Parts[]): void {
    for (const message of messages) {
      if (this.#random.once(40)) continue;
      this.#send(...message);
      if (this.#random.once(30)) this.#send(...message);
    }
    this.#rig.turn(2);
  }

  #negotiation(): Parts[] {
    const { guest } = this.#rig;
    return [
      [R.GET_FEATURES, u64(), []],
      [R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL), []],
      [R.SET_OWNER, u64(), []],
      [R.SET_FEATURES, u64(GUEST_FEATURES), []],
      [R.SET_MEM_TABLE, guest.memTable(), [guest.file.fd]],
    ];
  }

  #ringSetup(index: number): Parts[] {
    const { guest } = this.#rig;
    return [
      [R.SET_VRING_NUM, u32(index, guest.queueSize), []],
      [R.SET_VRING_BASE, u32(index, 0), []],
      [R.SET_VRING_ADDR, guest.vringAddr(index), []],
      [R.SET_VRING_KICK, u64(index), [guest.kicks[index]!.fd]],
      [R.SET_VRING_CALL, u64(index), [guest.calls[index]!.fd]],
      [R.SET_VRING_ENABLE, u32(index, 1), []],
    ];
  }

  /** A message of any kind, plausible in itself. */
  #anyMessage(): Parts {
    const random = this.#random;
    const { guest } = this.#rig;
    const index = random.below(3);
    const file = [guest.file.fd];
    const inflight = join(
      u64(random.pick([0, 2176, 4096, MIB]), random.pick([0, 64, 4096])),
      new Uint8Array(
        new Uint16Array([random.below(4), random.pick([0, 1, 64, 256]), 0, 0])
          .buffer,
      ),
    );
    const choices: (() => Parts)[] = [
      () => [R.GET_FEATURES, u64(), []],
      () => [R.SET_FEATURES, u64(this.#features()), []],
      () => [R.GET_PROTOCOL_FEATURES, u64(), []],
      () => [R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL), []],
      () => [R.RESET_OWNER, u64(), []],
      () => this.#memTable(),
      () => [R.SET_VRING_NUM, u32(index, random.pick([1, 16, 64, 256])), []],
      () => [R.SET_VRING_BASE, u32(index, random.below(70)), []],
      () => [R.SET_VRING_ADDR, guest.vringAddr(index % 2), []],
      () => [R.GET_VRING_BASE, u32(index % 2, 0), []],
      () => [R.SET_VRING_KICK, u64(index), [this.#anyFd()]],
      () => [R.SET_VRING_CALL, u64(index), [this.#anyFd()]],
      () => [R.SET_VRING_ERR, u64(index), [this.#anyFd()]],
      () => [R.SET_VRING_CALL, u64(index | 0x100), []],
      () => [R.GET_QUEUE_NUM, u64(), []],
      () => [R.SET_VRING_ENABLE, u32(index, random.below(2)), []],
      () => [R.SET_BACKEND_REQ_FD, u64(), [this.#anyFd()]],
      () => {
        const size = random.pick([1, 2, 4, 8, 9, 256]);
        const range = u32(random.below(12), size, 0);
        const request = random.pick([R.GET_CONFIG, R.SET_CONFIG]);
        return [request, join(range, new Uint8Array(size)), []];
      },
      () => [R.GET_INFLIGHT_FD, inflight, []],
      () => [R.SET_INFLIGHT_FD, inflight, [this.#anyFd()]],
      () => [R.RESET_DEVICE, u64(), []],
      () => [R.GET_MAX_MEM_SLOTS, u64(), []],
      () => [R.ADD_MEM_REG, join(u64(0), this.#region()), file],
      () => [R.REM_MEM_REG, join(u64(0), this.#region()), []],
      () => [R.SET_STATUS, u64(random.pick([0, 1, 15, 255])), []],
      () => [R.GET_STATUS, u64(), []],
      () => [random.below(60), u64(random.below(9)), []],
    ];
    return random.pick(choices)();
  }

  #features(): bigint {
    let features = GUEST_FEATURES;
    if (this.#random.once(2)) features ^= 1n << BigInt(this.#random.below(64));
    return features;
  }

  #region(): Uint8Array {
    const random = this.#random;
    if (random.once(2)) return this.#rig.guest.region();
    const piece = MIB / random.pick([2, 4, 256]);
    const at = piece * random.below(4);
    return u64(GUEST_AT + at, piece, USER_AT + at, at);
  }

  #memTable(): Parts {
    const count = 1 + this.#random.below(4);
    return [
      R.SET_MEM_TABLE,
      join(
        u32(count, 0),
        ...Array.from({ length: count }, () => this.#region()),
      ),
      Array.from({ length: count }, () => this.#rig.guest.file.fd),
    ];
  }

  #anyFd(): number {
    return this.#random.pick(this.#fds)();
  }

  /** Sends a message, perhaps spoiled, perhaps in pieces. */
  #send(request: number, payload: Uint8Array, fds: readonly number[]): void {
    const random = this.#random;
    let code = request;
    let bytes = Uint8Array.from(payload);
    let passed = [...fds];
    // A refusal without an acknowledgement ends the session early.
    let flags = random.once(20) ? 0x1 : 0x9;
    let size: number | undefined;
    if (random.once(30)) {
      switch (random.below(7)) {
        case 0:
          code = Number(random.pick(ODD_NUMBERS) & 0xffff_ffffn);
          break;
        case 1:
          flags = random.below(32);
          break;
        case 2:
          size = Number(random.pick(ODD_NUMBERS) & 0xffff_ffffn);
          break;
        case 3:
          bytes = new Uint8Array(random.below(80));
          bytes.set(payload.subarray(0, bytes.length));
          break;
        case 4:
          passed = Array.from(
            { length: random.below(12) },
            () => this.#anyFd(),
          );
          break;
        default:
          spoil(bytes, random);
      }
    }
    this.messages++;
    if (code === R.SET_OWNER) this.owners++;
    this.#write(
      encode(
        code,
        bytes,
        size === undefined ? { flags } : {
          flags,
          size,
        },
      ),
      passed,
    );
  }

  #write(message: Uint8Array, fds: readonly number[]): void {
    const { peer } = this.#rig;
    const cut = this.#random.once(10)
      ? 1 + this.#random.below(message.length)
      : message.length;
    try {
      peer.raw(message.subarray(0, cut), fds);
      if (cut < message.length) {
        this.#rig.turn(1);
        peer.raw(message.subarray(cut));
      }
    } catch {
      // The backend has hung up already.
    }
  }

  /** Acts as an honest guest. */
  #useRing(): void {
    const { guest } = this.#rig;
    const random = this.#random;
    if (random.once(2)) guest.request(random.below(8), random.below(6), 1);
    else guest.arm(random.below(6));
    if (guest.rings[0]!.freeCount < 4 || guest.rings[1]!.freeCount < 4) {
      guest.boot();
    }
    guest.kick(random.below(2));
    random.pick(this.#rig.ports).pull(random.below(2));
  }

  /** Acts as a hostile one. */
  #scribble(): void {
    const random = this.#random;
    const ring = this.#rig.guest.rings[random.below(2)]!;
    for (let count = random.below(8); count > 0; count--) {
      ring.writeDescriptor(random.below(ring.size), {
        address: GUEST_AT + random.below(2 * MIB),
        length: random.pick([0, 1, 2, 8, 16, 4096, 0xffffffff]),
        flags: random.below(8),
        next: random.below(ring.size + 2),
      });
    }
    if (random.once(2)) ring.makeAvailable(random.below(ring.size + 1));
    if (random.once(6)) ring.setAvailIndex(random.below(0x1_0000));
    this.#rig.guest.kick(random.below(2));
  }

  /** Takes what was answered; whether the backend has hung up. */
  #isOver(): boolean {
    for (;;) {
      const answer = this.#rig.peer.read();
      if (answer === undefined) return false;
      if (answer === "ended") return true;
      for (const fd of answer.fds) fd.close();
    }
  }
}

/** Request, payload, fds. */
type Parts = [number, Uint8Array, readonly number[]];

/** Puts an odd number, or an odd byte, somewhere. */
function spoil(bytes: Uint8Array<ArrayBuffer>, random: Random): void {
  if (bytes.length === 0) return;
  const view = new DataView(bytes.buffer);
  const value = random.pick(ODD_NUMBERS);
  if (random.once(3)) {
    view.setUint8(random.below(bytes.length), random.below(256));
  } else if (bytes.length >= 8 && random.once(2)) {
    view.setBigUint64(8 * random.below(bytes.length >>> 3), value, true);
  } else if (bytes.length >= 4) {
    const at = 4 * random.below(bytes.length >>> 2);
    view.setUint32(at, Number(value & 0xffff_ffffn), true);
  }
}

/** A good session: it must be served whatever came before. */
function serveGood(rig: VhostRig): void {
  rig.guest.boot();
  rig.negotiate();
  rig.startRings();
  // The lines keep the direction that the hostile guest gave them.
  const input = JSON.stringify(rig.gpio(3, 1, 2));
  if (input !== "[0,0]") throw new Error(`no input: ${input}`);
  rig.armLine(1, 3);
  rig.ports[1]!.pull(1 - rig.ports[1]!.level);
  const interrupts = JSON.stringify(rig.guest.interrupts());
  if (interrupts !== "[[1,1]]") throw new Error(`interrupts: ${interrupts}`);
  const response = JSON.stringify(rig.gpio(4, 1));
  if (response !== `[0,${rig.ports[1]!.level}]`) {
    throw new Error(`the good session read ${response}`);
  }
}

/**
 * Checks what one frontend can have reported: one broken rule, and each kind of
 * advice about its guest once, for each time that it begins anew.
 */
function assertBounded(faults: readonly string[], beginnings: number): void {
  const counts = new Map<string, number>();
  for (const fault of faults) {
    const advice = ADVICE.exec(fault)?.[0] ?? "a broken rule";
    const count = (counts.get(advice) ?? 0) + 1;
    counts.set(advice, count);
    if (count <= beginnings) continue;
    throw new Error(
      `${count} reports of "${advice}" in ${beginnings} sessions: ${
        faults.join("; ")
      }`,
    );
  }
}

function assertNothingLeft(rig: VhostRig): void {
  const { fds, mappings } = rig.leftovers();
  if (fds !== 0 || mappings !== 0) {
    throw new Error(`${fds} fds and ${mappings} mappings are left`);
  }
}

/**
 * Runs hostile sessions, each followed by a good one.
 *
 * @throws {Error} As soon as something is wrong; the message has the seed with
 * which that one session can be repeated.
 */
export function runMessageFuzz(options: MessageFuzzOptions): MessageFuzzReport {
  const report = { sessions: 0, messages: 0, started: 0, ended: 0, faulty: 0 };
  const [socket, otherSocket] = socketPair();
  const odd = [
    createEventFd(),
    createMemFd("small", 100),
    socket,
    otherSocket,
    openFile("/dev/zero", O_RDWR),
  ];
  const begin = performance.now();
  const isDue = () =>
    options.limitMs !== undefined &&
    performance.now() - begin > options.limitMs;
  using rig = new VhostRig({ queueSize: 16 });
  try {
    for (let i = 0; i < options.iterations && !isDue(); i++) {
      const seed = options.seed + i;
      try {
        runOne(rig, new Random(seed), odd, report);
      } catch (cause) {
        throw new Error(`message fuzz fails with seed ${seed}: ${cause}`, {
          cause,
        });
      }
    }
  } finally {
    for (const one of odd) one.close();
  }
  return report;
}

function runOne(
  rig: VhostRig,
  random: Random,
  odd: readonly OwnedFd[],
  report: MessageFuzzReport,
): void {
  rig.log.length = 0;
  rig.guest.boot();
  const hostile = new HostileSession(rig, random, odd);
  hostile.run();
  report.sessions++;
  report.messages += hostile.messages;
  if (rig.log.includes("started")) report.started++;
  const faults = rig.log.filter((line) => line.startsWith("fault"));
  assertBounded(faults, Math.max(1, hostile.owners));
  const bug = faults.find((line) => line.includes("internal error"));
  if (bug !== undefined) throw new Error(bug);
  report.faulty += faults.length;
  if (rig.log.some((line) => line.startsWith("gone"))) report.ended++;
  rig.reconnect();
  assertNothingLeft(rig);
  serveGood(rig);
  rig.reconnect();
  assertNothingLeft(rig);
}
