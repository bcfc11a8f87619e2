/**
 * A backend under test with everything around it that is real (sockets, shared
 * memory, eventfds, epoll, the GPIO device) and two things that are models: the
 * lines, and the frontend.
 *
 * @module
 */
import type { SessionDescriptors } from "../../ffi/descriptor_budget.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { connectUnix, listenUnix, socketPair } from "../../ffi/unix_socket.ts";
import type { PollSettings } from "../../src/reactor/event_loop.ts";
import { FRUITLESS_REST_MS } from "../../src/peer/accept_present.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { VhostUserBackend } from "../../src/vhost_user/backend.ts";
import type { PeerTimes } from "../../src/peer/peer_process.ts";
import { mappedFileCount } from "../../src/vhost_user/memory/shared_file.ts";
import { GpioDevice } from "../../src/virtio/gpio/device.ts";
import type { FdStoreDouble } from "./fd_store_double.ts";
import { ModelPort } from "./model_port.ts";
import { countCopies } from "./open_fds.ts";
import {
  ALL_PROTOCOL,
  type Answer,
  GUEST_FEATURES,
  NEED_REPLY,
  R,
  u32,
  u64,
  VhostGuest,
  type VhostGuestOptions,
  VhostPeer,
} from "./vhost_peer.ts";

/** A device that notes its resets and its guests. */
class CountingDevice extends GpioDevice {
  resets = 0;
  /** Of each guest that began whether it is new. */
  readonly begun: boolean[] = [];

  guestBegins(isNew: boolean): void {
    this.begun.push(isNew);
  }

  override reset(): void {
    this.resets++;
    super.reset();
  }
}

/** Time for which a reply may be put off. **Units**: ms. */
const REPLY_LIMIT_MS = 30_000;
/** Time for which a hang-up may go unseen. **Units**: ms. */
const HANG_UP_LIMIT_MS = 30_000;

/** Options of a rig. */
export interface RigOptions extends VhostGuestOptions {
  lines?: number;
  /** The clock of the reactor and the backend; stands still by default. */
  now?: () => number;
  /** Time for which a stopped driver counts as paused. */
  pausedFor?: number | "keep";
  /** Time for which rings are looked at after a request. */
  polling?: PollSettings;
  /** Descriptors of all VMMs. */
  descriptors?: SessionDescriptors;
  /** Times of the VMM's process. */
  peerTimes?: () => PeerTimes | undefined;
  /** Keeps the session; it is kept as this process would, whatever ends it. */
  store?: FdStoreDouble;
  /** Rig of a process that was killed: its VMM goes on with this one. */
  killed?: VhostRig;
}

/** A reactor with one backend, its lines, and one frontend with its guest. */
export class VhostRig implements Disposable {
  readonly reactor: Reactor;
  readonly ports: readonly ModelPort[];
  readonly device: CountingDevice;
  readonly backend: VhostUserBackend;
  readonly guest: VhostGuest;
  /** Reports of the backend, in order. */
  readonly log: string[] = [];
  /** Whatever escaped into the loop; must stay empty. */
  readonly escaped: unknown[] = [];
  peer: VhostPeer;
  #isConnected = false;
  /** Connections that have ended; the next one may begin in the same turn. */
  #ended = 0;
  readonly #directory: string;
  readonly #guests: VhostGuest[] = [];
  readonly #killed: VhostRig | undefined;

  constructor(options: RigOptions = {}) {
    const { killed } = options;
    this.#killed = killed;
    this.reactor = new Reactor({
      onError: (error) => void this.escaped.push(error),
      now: options.now ?? (() => 0),
    });
    this.ports = Array.from(
      { length: options.lines ?? 4 },
      (_, i) => new ModelPort(`line${i}`),
    );
    for (const [i, port] of this.ports.entries()) {
      const before = killed?.ports[i];
      if (before !== undefined) port.adopt(before);
    }
    this.device = new CountingDevice(this.ports);
    this.#directory = Deno.makeTempDirSync({ prefix: "vhost-rig-" });
    this.backend = new VhostUserBackend({
      loop: this.reactor,
      device: this.device,
      endpoint: { listener: listenUnix(`${this.#directory}/sock`) },
      name: "rig",
      pausedFor: options.pausedFor,
      polling: options.polling,
      store: options.store,
      ...(options.descriptors === undefined
        ? {}
        : { descriptors: options.descriptors }),
      ...(options.peerTimes === undefined
        ? {}
        : { peerTimes: options.peerTimes }),
      ...(options.now === undefined ? {} : { now: options.now }),
      events: {
        connected: () => {
          this.#isConnected = true;
          this.log.push("connected");
        },
        disconnected: (reason) => {
          this.#isConnected = false;
          this.#ended++;
          this.log.push(`gone: ${reason}`);
        },
        started: (detail = "") =>
          void this.log.push(detail === "" ? "started" : `started: ${detail}`),
        stopped: () => void this.log.push("stopped"),
        waiting: (who) => void this.log.push(`waiting: ${who}`),
        gone: (reason) => void this.log.push(`guest gone: ${reason}`),
        fault: (error) => void this.log.push(`fault: ${error.message}`),
      },
    });
    this.guest = killed?.guest ?? this.newGuest(options);
    this.peer = killed?.peer ?? this.connect();
  }

  /** Another guest's memory and fds, closed with the rig. */
  newGuest(options: VhostGuestOptions = {}): VhostGuest {
    const guest = new VhostGuest(options);
    this.#guests.push(guest);
    return guest;
  }

  /** A channel for the backend's own requests: ours, and the one to give away. */
  newChannel(): { peer: VhostPeer; theirs: OwnedFd } & Disposable {
    const [ours, theirs] = socketPair();
    const peer = new VhostPeer(ours);
    return {
      peer,
      theirs,
      [Symbol.dispose]() {
        peer.close();
        theirs.close();
      },
    };
  }

  /** Connects another frontend, and lets the backend see it. */
  connect(): VhostPeer {
    const peer = new VhostPeer(connectUnix(`${this.#directory}/sock`));
    this.turn();
    if (!this.#isConnected) {
      // The listener rests after many short sessions.
      this.reactor.turn(FRUITLESS_REST_MS + 1);
      this.turn();
    }
    return peer;
  }

  /**
   * Hangs up, and waits until the backend has seen that: a process that another
   * test is just starting may have a copy of our end until it has begun.
   */
  hangUp(): void {
    this.peer.close();
    const ended = this.#ended;
    const deadline = performance.now() + HANG_UP_LIMIT_MS;
    do this.turn(); while (
      this.#isConnected && this.#ended === ended && performance.now() < deadline
    );
  }

  /** Hangs up, and connects anew. */
  reconnect(): void {
    this.hangUp();
    this.peer = this.connect();
  }

  /** Lets the reactor turn until nothing is left to do, or `turns` times. */
  turn(turns = 8): void {
    for (let i = 0; i < turns; i++) this.reactor.turn(0);
    if (this.escaped.length > 0) throw this.escaped[0];
  }

  /** Sends a request and takes its reply. */
  ask(
    request: number,
    payload?: Uint8Array,
    options: { flags?: number; fds?: readonly number[] } = {},
  ): Answer {
    this.peer.send(request, payload, options);
    this.turn();
    let answer = this.peer.read();
    // Put off, on a busy machine, by units that took long by the clock, or by
    // helper threads that have had no turn.
    const deadline = performance.now() + REPLY_LIMIT_MS;
    while (answer === undefined && performance.now() < deadline) {
      this.reactor.turn(1);
      this.turn();
      answer = this.peer.read();
    }
    if (answer === undefined || answer === "ended") {
      throw new Error(`request ${request} has no reply (${answer})`);
    }
    return answer;
  }

  /** Sends a request for a 64-bit number, and takes it. */
  askU64(request: number, payload?: Uint8Array): bigint {
    const { payload: reply } = this.ask(request, payload);
    return new DataView(reply.buffer).getBigUint64(0, true);
  }

  /** Sends a request with need-reply, and takes the acknowledgement. */
  tell(
    request: number,
    payload?: Uint8Array,
    fds: readonly number[] = [],
  ): number {
    const answer = this.ask(request, payload, { flags: NEED_REPLY, fds });
    if (
      answer.request !== request || answer.flags !== 5 ||
      answer.payload.length !== 8
    ) throw new Error(`no acknowledgement: ${JSON.stringify(answer)}`);
    return Number(new DataView(answer.payload.buffer).getBigUint64(0, true));
  }

  /** The same, and it must succeed. */
  must(
    request: number,
    payload?: Uint8Array,
    fds: readonly number[] = [],
  ): void {
    const ack = this.tell(request, payload, fds);
    if (ack !== 0) {
      throw new Error(`request ${request} failed: ${this.log.join("; ")}`);
    }
  }

  /** Negotiates features and hands over memory. */
  negotiate(features = GUEST_FEATURES, protocol = ALL_PROTOCOL): void {
    this.peer.send(R.SET_PROTOCOL_FEATURES, u64(protocol));
    this.must(R.SET_OWNER);
    this.must(R.SET_FEATURES, u64(features));
    this.setMemory();
  }

  /** Hands a guest's memory over. */
  setMemory(guest = this.guest): void {
    this.must(R.SET_MEM_TABLE, guest.memTable(), [guest.file.fd]);
  }

  /** Sets a ring up as QEMU does, except for enabling it. */
  setUp(index: number, base = 0, guest = this.guest): void {
    this.must(R.SET_VRING_NUM, u32(index, guest.queueSize));
    this.must(R.SET_VRING_BASE, u32(index, base));
    this.must(R.SET_VRING_ADDR, guest.vringAddr(index));
    this.must(R.SET_VRING_KICK, u64(index), [guest.kicks[index]!.fd]);
    this.must(R.SET_VRING_CALL, u64(index), [guest.calls[index]!.fd]);
    this.must(R.SET_VRING_ERR, u64(index), [guest.errs[index]!.fd]);
  }

  /** Enables or disables a ring. */
  enable(index: number, value = 1): void {
    this.must(R.SET_VRING_ENABLE, u32(index, value));
  }

  /** Sets both rings up and enables them. */
  startRings(bases: readonly number[] = [0, 0], guest = this.guest): void {
    for (const index of [0, 1]) this.setUp(index, bases[index], guest);
    for (const index of [0, 1]) this.enable(index);
  }

  /** Stops a ring; returns its base. */
  takeBase(index: number): number {
    const { payload } = this.ask(R.GET_VRING_BASE, u32(index, 0));
    return new DataView(payload.buffer).getUint32(4, true);
  }

  /** Sends a GPIO request, kicks, and takes the one response. */
  gpio(type: number, line: number, value = 0): [number, number] {
    this.guest.request(type, line, value);
    this.guest.kick(0);
    this.turn();
    const all = this.guest.responses();
    if (all.length !== 1) throw new Error(`${all.length} responses`);
    return all[0]!;
  }

  /** Arms a line's interrupt: its type, and its event buffer. */
  armLine(line: number, type: number): void {
    const [status] = this.gpio(6, line, type);
    if (status !== 0) throw new Error(`line ${line} takes no interrupt`);
    this.guest.arm(line);
    this.guest.kick(1);
    this.turn();
  }

  /** Returns true if the backend has hung up. */
  isHungUp(): boolean {
    this.turn();
    for (;;) {
      const answer = this.peer.read();
      if (answer === "ended") return true;
      if (answer === undefined) return false;
      for (const fd of answer.fds) fd.close();
    }
  }

  /**
   * Returns what the backend still has of what frontends gave it: copies of the
   * guests' fds, and mapped files.
   */
  leftovers(): { fds: number; mappings: number } {
    const own = this.#guests.flatMap((guest) =>
      [guest.file, ...guest.kicks, ...guest.calls, ...guest.errs]
        .map((one) => one.fd)
    );
    return {
      fds: countCopies(...own) - own.length,
      mappings: mappedFileCount(),
    };
  }

  /** Ends everything. */
  [Symbol.dispose](): void {
    this.peer.close();
    this.backend[Symbol.dispose]();
    for (const guest of this.#guests) guest[Symbol.dispose]();
    this.reactor[Symbol.dispose]();
    Deno.removeSync(this.#directory, { recursive: true });
    this.#killed?.[Symbol.dispose]();
  }
}
