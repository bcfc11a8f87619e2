/**
 * A fuzzer of descriptors: any kind at any message that takes some, in any order,
 * with rings that run.
 *
 * After each hostile session the next good one must be served, nothing may be
 * left of the bad one, and no turn of the reactor may take long: a descriptor on
 * which it waited would stop all guests.
 *
 * @module
 */
import { OddFds } from "../doubles/odd_fds.ts";
import { countCopies } from "../doubles/open_fds.ts";
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
import { Random } from "./ring_fuzz_random.ts";

/** Options of a run. */
export interface FdFuzzOptions {
  /** Seed of the random choices. */
  seed: number;
  /** Hostile sessions, at most. */
  iterations: number;
  /** Ends the run after this many milliseconds; no limit unless given. */
  limitMs?: number;
}

/** Report of a run, so that a run that reaches nothing shows. */
export interface FdFuzzReport {
  /** Hostile sessions that were run. */
  sessions: number;
  /** Descriptors that were handed over. */
  descriptors: number;
  /** Sessions in which a ring ran. */
  started: number;
  /** Sessions of which a fault was reported. */
  faulty: number;
  /** Messages and kinds that met. */
  pairs: number;
}

const PAGE = 4096;
const MIB = 0x10_0000;
const GIB = 2 ** 30;
/**
 * A turn that takes longer has waited. Far more than any machine's own delays,
 * and less than an endless wait. **Units**: milliseconds.
 */
const TURN_LIMIT_MS = 10_000;

type Message = readonly [request: number, payload: Uint8Array, count: number];

/** One hostile session. */
class HostileSession {
  readonly #rig: VhostRig;
  readonly #random: Random;
  readonly #odd: OddFds;
  readonly pairs = new Set<string>();
  descriptors = 0;

  constructor(rig: VhostRig, random: Random, odd: OddFds) {
    this.#rig = rig;
    this.#random = random;
    this.#odd = odd;
  }

  run(): void {
    const random = this.#random;
    this.#negotiate();
    if (!random.oneIn(4)) this.#startRings();
    for (let steps = 1 + random.below(12); steps > 0; steps--) {
      const [request, payload, count] = this.#message();
      this.#send(request, payload, this.#choose(request, count));
      if (random.oneIn(2)) this.#use();
      if (this.#isOver()) return;
    }
  }

  /** Descriptors for a message: mostly as many as it takes. */
  #choose(request: number, count: number): number[] {
    const random = this.#random;
    const wrong = random.oneIn(12) ? random.below(5) : count;
    return Array.from({ length: wrong }, () => {
      const { kind, fd } = random.pick(this.#odd.all);
      this.pairs.add(`${request} ${kind}`);
      this.descriptors++;
      return fd;
    });
  }

  #message(): Message {
    const random = this.#random;
    const index = random.below(2);
    switch (random.below(9)) {
      case 0: {
        const count = 1 + random.below(8);
        const table = Array.from({ length: count }, () => this.#region());
        return [R.SET_MEM_TABLE, join(u32(count, 0), ...table), count];
      }
      case 1:
        return [R.ADD_MEM_REG, join(u64(0), this.#region()), 1];
      case 2:
        return [R.SET_VRING_KICK, u64(index), 1];
      case 3:
        return [R.SET_VRING_CALL, u64(index), 1];
      case 4:
        return [R.SET_VRING_ERR, u64(index), 1];
      case 5:
        return [R.SET_BACKEND_REQ_FD, u64(), 1];
      case 6: {
        const size = random.pick([64, 2176, PAGE, MIB, GIB]);
        const log = join(
          u64(size, random.pick([0, 0, 64, PAGE])),
          new Uint8Array(new Uint16Array([2, 16, 0, 0]).buffer),
        );
        return [R.SET_INFLIGHT_FD, log, 1];
      }
      case 7:
        return [R.SET_LOG_BASE, u64(PAGE, 0), 1];
      default:
        return [random.pick([R.SET_OWNER, R.GET_FEATURES, 60]), u64(), 1];
    }
  }

  /** A region at the guest's place or beside it, of any size. */
  #region(): Uint8Array {
    const random = this.#random;
    const size = random.pick([16, PAGE, MIB, GIB, 2 ** 40, 2 ** 46]);
    const shift = random.pick([0, 0, MIB, 2 ** 32]);
    const offset = random.pick([0, 0, PAGE, 17, 2 ** 52]);
    return u64(GUEST_AT + shift, size, USER_AT + shift, offset);
  }

  #negotiate(): void {
    const { guest } = this.#rig;
    this.#send(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL));
    this.#send(R.SET_OWNER, u64());
    this.#send(R.SET_FEATURES, u64(GUEST_FEATURES));
    this.#send(R.SET_MEM_TABLE, guest.memTable(), [guest.file.fd]);
  }

  /** Rings that run, some of them with odd descriptors. */
  #startRings(): void {
    const { guest } = this.#rig;
    for (const index of [0, 1]) {
      const either = (own: number, request: number) =>
        this.#random.oneIn(3) ? this.#choose(request, 1) : [own];
      this.#send(R.SET_VRING_NUM, u32(index, guest.queueSize));
      this.#send(R.SET_VRING_BASE, u32(index, 0));
      this.#send(R.SET_VRING_ADDR, guest.vringAddr(index));
      const [kick, call] = [guest.kicks[index]!.fd, guest.calls[index]!.fd];
      this.#send(R.SET_VRING_KICK, u64(index), either(kick, R.SET_VRING_KICK));
      this.#send(R.SET_VRING_CALL, u64(index), either(call, R.SET_VRING_CALL));
      this.#send(R.SET_VRING_ENABLE, u32(index, 1));
    }
  }

  /** Requests, an armed interrupt, and an edge: the rings notify. */
  #use(): void {
    const { guest, ports } = this.#rig;
    const random = this.#random;
    if (guest.rings[0]!.freeCount < 8 || guest.rings[1]!.freeCount < 4) return;
    guest.request(3, 1, 2);
    guest.request(6, 1, 3);
    guest.arm(1);
    for (const index of [0, 1]) guest.kick(index);
    this.#turn();
    ports[1]!.pull(random.below(2));
    this.#turn();
  }

  #send(request: number, payload: Uint8Array, fds: readonly number[] = []) {
    const flags = this.#random.oneIn(3) ? 0x1 : 0x9;
    const size = request === R.SET_OWNER ? 0 : payload.length;
    const bytes = encode(request, payload.subarray(0, size), { flags });
    try {
      this.#rig.peer.raw(bytes, fds);
    } catch {
      // The backend has hung up already.
    }
    this.#turn();
  }

  #turn(): void {
    const begin = performance.now();
    this.#rig.turn(2);
    const ms = performance.now() - begin;
    if (ms > TURN_LIMIT_MS) throw new Error(`a turn took ${ms} ms`);
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

/**
 * Runs hostile sessions, each followed by a good one.
 *
 * @throws {Error} As soon as something is wrong; the message has the seed with
 * which that one session can be repeated.
 */
export function runFdFuzz(options: FdFuzzOptions): FdFuzzReport {
  const report = {
    sessions: 0,
    descriptors: 0,
    started: 0,
    faulty: 0,
    pairs: 0,
  };
  const pairs = new Set<string>();
  const begin = performance.now();
  const isDue = () =>
    options.limitMs !== undefined &&
    performance.now() - begin > options.limitMs;
  const directory = Deno.makeTempDirSync({ prefix: "fd-fuzz-" });
  try {
    for (let i = 0; i < options.iterations && !isDue(); i++) {
      const seed = options.seed + i;
      try {
        const session = runOne(directory, new Random(seed), report);
        for (const pair of session.pairs) pairs.add(pair);
      } catch (cause) {
        throw new Error(`fd fuzz fails with seed ${seed}: ${cause}`, { cause });
      }
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  report.pairs = pairs.size;
  return report;
}

function runOne(
  directory: string,
  random: Random,
  report: FdFuzzReport,
): HostileSession {
  // Both anew: what a session did to a descriptor is not the next one's.
  using odd = new OddFds(directory);
  // The listener of a frontend that made the loop wait rests for a while.
  let nowMs = 0;
  using rig = new VhostRig({ queueSize: 16, now: () => nowMs });
  const fds = odd.all.map(({ fd }) => fd);
  const before = countCopies(...fds);
  const session = new HostileSession(rig, random, odd);
  session.run();
  report.sessions++;
  report.descriptors += session.descriptors;
  if (rig.log.includes("started")) report.started++;
  const bug = rig.log.find((line) => line.includes("internal error"));
  if (bug !== undefined) throw new Error(bug);
  if (rig.log.some((line) => line.startsWith("fault"))) report.faulty++;
  rig.hangUp();
  nowMs += 60_000;
  rig.turn();
  rig.peer = rig.connect();
  const { fds: own, mappings } = rig.leftovers();
  const copies = countCopies(...fds) - before;
  if (own !== 0 || mappings !== 0 || copies !== 0) {
    throw new Error(
      `${own} of the guest's fds, ${copies} odd ones and ${mappings} mappings ` +
        "are left",
    );
  }
  rig.guest.boot();
  rig.negotiate();
  rig.startRings();
  const answer = JSON.stringify(rig.gpio(3, 1, 2));
  if (answer !== "[0,0]") throw new Error(`the good session got ${answer}`);
  return session;
}
