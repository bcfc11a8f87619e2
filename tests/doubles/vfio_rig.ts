/**
 * A vfio-user server under test with real sockets, eventfds and epoll, a card
 * whose lines are models, and a client.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { listenUnix, socketPair } from "../../ffi/unix_socket.ts";
import type { PeerTimes } from "../../src/peer/peer_process.ts";
import { MlIoh } from "../../src/pci/ml_ioh.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { VfioUserBackend } from "../../src/vfio_user/backend.ts";
import type { FdStoreDouble } from "./fd_store_double.ts";
import { ModelPort } from "./model_port.ts";
import {
  C,
  versionBody,
  VfioPeer,
  type VfioReply,
  words,
} from "./vfio_peer.ts";

/** Register of the channel that has the first 16 lines. */
export const CHANNEL = 0x60;

/** Options of a rig. */
export interface VfioRigOptions {
  lines?: number;
  peerTimes?: () => PeerTimes | undefined;
  /** Keeps the session; it is kept as this process would, whatever ends it. */
  store?: FdStoreDouble;
  /** Outside levels of the first lines. */
  pulled?: readonly number[];
  /** Rig of a process that was killed: its client goes on with this one. */
  killed?: VfioRig;
}

/** A reactor with one card and one client. */
export class VfioRig implements Disposable {
  now = 0;
  readonly reactor: Reactor;
  readonly ports: readonly ModelPort[];
  readonly card: MlIoh;
  readonly backend: VfioUserBackend;
  readonly peer: VfioPeer;
  readonly log: string[] = [];
  /** Sessions of killed processes that could not go on. */
  losses = 0;
  /** Errors that escaped into the loop; must stay empty. */
  readonly escaped: unknown[] = [];
  readonly #killed: VfioRig | undefined;
  #directory: string | undefined;

  constructor(options: VfioRigOptions = {}) {
    this.reactor = new Reactor({
      onError: (error) => void this.escaped.push(error),
      now: () => this.now,
    });
    this.ports = Array.from(
      { length: options.lines ?? 4 },
      () => new ModelPort(),
    );
    options.pulled?.forEach((level, i) => {
      this.ports[i]!.pulled = level;
    });
    this.card = new MlIoh(
      this.ports.map((port) => ({
        port,
        rule: undefined,
        retry: { loop: this.reactor, delayMs: () => undefined },
      })),
      {
        started: () => this.log.push("started"),
        guestGone: () => this.log.push("guest gone"),
        lineLeft: () => {},
        answered: () => {},
        refused: () => {},
      },
      () => this.now,
    );
    const { store, killed } = options;
    const [mine, theirs] = killed === undefined
      ? socketPair()
      : [this.#unused(), undefined];
    this.peer = theirs === undefined ? killed!.peer : new VfioPeer(theirs);
    this.#killed = killed;
    this.backend = new VfioUserBackend({
      loop: this.reactor,
      card: this.card,
      endpoint: theirs === undefined
        ? { listener: mine }
        : { connection: mine },
      store,
      onLost: () => void this.losses++,
      events: {
        connected: () => void this.log.push("connected"),
        disconnected: (reason) => void this.log.push(`ended: ${reason}`),
        waiting: () => {},
        fault: (error) => void this.log.push(`fault: ${error.message}`),
      },
      ...options.peerTimes === undefined
        ? {}
        : { peerTimes: options.peerTimes },
      now: () => this.now,
    });
  }

  /** Returns a listening socket without clients. */
  #unused(): OwnedFd {
    this.#directory = Deno.makeTempDirSync({ prefix: "vfio-rig-" });
    return listenUnix(`${this.#directory}/sock`);
  }

  /** Lets the reactor serve everything that is there. */
  turn(): void {
    for (let i = 0; i < 8; i++) this.reactor.turn(0);
  }

  /** Sends one message and returns its reply; throws if there is none. */
  ask(
    command: number,
    body?: Uint8Array,
    options?: Parameters<VfioPeer["send"]>[2],
  ): VfioReply {
    this.peer.send(command, body, options);
    this.turn();
    const reply = this.peer.read();
    if (typeof reply === "string") {
      throw new Error(`no reply to command ${command}: ${reply}`);
    }
    return reply;
  }

  /** Agrees on a version. */
  negotiate(): void {
    this.ask(C.VERSION, versionBody(0, 0));
  }

  /** Enables INTx with the peer's eventfd. */
  enableIntx(fd = this.peer.irq.fd): VfioReply {
    return this.ask(C.DEVICE_SET_IRQS, words(20, 0x24, 0, 0, 1), { fds: [fd] });
  }

  /** Sends SET_IRQS for INTx without data. */
  setIntx(flags: number, count = 1): VfioReply {
    return this.ask(C.DEVICE_SET_IRQS, words(20, flags, 0, 0, count));
  }

  /** Reads a register of the first channel. */
  readRegister(register: number): number {
    const { body } = this.ask(
      C.REGION_READ,
      words(CHANNEL + register, 0, 1, 4),
    );
    return new DataView(body.buffer).getUint32(16, true);
  }

  /** Writes a register of the first channel, as QEMU does: without a reply. */
  writeRegister(register: number, value: number): void {
    this.peer.send(
      C.REGION_WRITE,
      words(CHANNEL + register, 0, 1, 4, value),
      { flags: 0x10 },
    );
    this.turn();
  }

  /** Moves the clock. */
  pass(ms: number): void {
    this.now += ms;
    this.turn();
  }

  [Symbol.dispose](): void {
    this.backend[Symbol.dispose]();
    this.peer[Symbol.dispose]();
    this.reactor[Symbol.dispose]();
    this.#killed?.[Symbol.dispose]();
    if (this.#directory !== undefined) {
      Deno.removeSync(this.#directory, { recursive: true });
    }
  }
}
