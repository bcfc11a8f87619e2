/** A host's session that goes on in the next process, wherever one is killed. */
import { assert, assertEquals } from "@std/assert";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { MortalReactor } from "../../tests/doubles/mortal_reactor.ts";
import { UsbRig } from "../../tests/doubles/usb_rig.ts";
import { T, UsbredirPeer } from "../../tests/doubles/usbredir_peer.ts";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";
import { USBREDIR } from "../usbredir/usbredir.ts";
import { type AdapterSocket, serveAdapter } from "./adapter_server.ts";
import { KeptAdapters } from "./kept_adapters.ts";

const LINES = ["OUT", "IN"];
const CONFIG = 1;
const READ = 2;
const WRITE = 3;
const UNMASK = 6;
const OUTPUT = 0x14;
/** An interrupt at both edges. */
const BOTH = 0x40;

/** One process after the other, and a QEMU that stays. */
class Restarts implements Disposable {
  readonly peer = new UsbredirPeer();
  readonly log: string[] = [];
  store = new FdStoreDouble();
  usb!: UsbRig;
  loop!: MortalReactor;
  readonly #directory = Deno.makeTempDirSync();
  readonly #connection: OwnedFd;
  #kept!: KeptAdapters;
  #socket!: AdapterSocket;
  #processes = 0;
  #heard = new Uint8Array(0);
  #isKilled = false;

  constructor() {
    this.next();
    this.#connection = connectUnix(`${this.#directory}/1`);
    this.say(this.peer.hello());
    this.turn();
    this.say(this.peer.packet(T.setConfiguration, 1, [1]));
    for (let id = 2; id < 6; id++) this.say(this.peer.bulk(id, 0x81, [], 64));
    this.say(this.gpio(6, CONFIG, 0, OUTPUT));
    this.say(this.gpio(7, CONFIG, 1, BOTH));
    this.say(this.gpio(8, UNMASK, 1, 0));
    this.turn();
  }

  /** The next process begins; it has not turned yet. */
  next(): void {
    const before = this.usb as UsbRig | undefined;
    this.#isKilled = false;
    this.loop = new MortalReactor(() => 0);
    this.usb = new UsbRig(LjcaDevice, LINES.length);
    for (const [i, port] of (before?.ports ?? []).entries()) {
      this.usb.ports[i]!.adopt(port);
    }
    this.#kept = new KeptAdapters(this.store, LINES, 1);
    this.#socket = serveAdapter({
      loop: this.loop,
      listener: listenUnix(`${this.#directory}/${++this.#processes}`),
      protocol: USBREDIR,
      device: this.usb.device,
      resumed: this.#kept.take().get(0),
      journal: this.#kept.journal(0),
      events: {
        connected: () => this.log.push("connected"),
        disconnected: (reason) => this.log.push(`disconnected: ${reason}`),
        waiting: (who) => this.log.push(`waiting: ${who}`),
        fault: (message) => this.log.push(`fault: ${message}`),
      },
    });
  }

  kill(): void {
    this.store = this.store.restart();
    this.loop.kill([this.#kept, this.#socket, this.usb]);
    this.#isKilled = true;
  }

  gpio(id: number, command: number, line: number, value: number): Uint8Array {
    return this.peer.bulk(id, 1, [3, command, 0, 3, 1, line, value]);
  }

  say(bytes: Uint8Array): void {
    assertEquals(send(this.#connection.fd, bytes), bytes.length);
  }

  turn(times = 30): void {
    for (let i = 0; i < times; i++) this.loop.turn(0);
    const piece = new Uint8Array(65_536);
    let count = 0;
    try {
      count = receiveBytes(this.#connection.fd, piece);
    } catch (error) {
      // It was hung up, with something that was not read.
      if (!isOsError(error)) throw error;
    }
    if (count <= 0) return;
    this.#heard = Uint8Array.from([
      ...this.#heard,
      ...piece.subarray(0, count),
    ]);
  }

  /** Ids of everything that QEMU was answered, from the beginning. */
  get answered(): number[] {
    return this.peer.parse(this.#heard, true)
      .filter(({ type }) => type === T.bulk)
      .map(({ id }) => id);
  }

  /** Keeps all as it is when the process is told to end. */
  keep(): void {
    this.#socket.keep();
  }

  [Symbol.dispose](): void {
    if (!this.#isKilled) {
      this.#socket[Symbol.dispose]();
      this.#kept[Symbol.dispose]();
      this.loop[Symbol.dispose]();
    }
    this.#connection.close();
    this.store[Symbol.dispose]();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

Deno.test("a session goes on wherever its process is killed: all is answered, and nothing is misread", () => {
  for (let turns = 0; turns < 6; turns++) {
    using it = new Restarts();
    const half = it.gpio(21, WRITE, 0, 0);
    it.say(it.gpio(20, WRITE, 0, 1));
    it.say(half.subarray(0, 13));
    it.usb.ports[1]!.pull(1);
    it.turn(turns);
    it.kill();
    it.say(half.subarray(13));
    it.next();
    it.turn();
    it.kill();
    it.next();
    it.say(it.gpio(22, WRITE, 0, 1));
    it.turn();
    for (const id of [20, 21, 22]) {
      assert(it.answered.includes(id), `${id} after ${turns} turns`);
    }
    assertEquals(it.usb.ports[0]!.level, 1);
    assert(!it.log.join().includes("disconnected"), it.log.join());
    assertEquals(it.store.problems, []);
  }
});

Deno.test("an interrupt that was armed, and one that came when none could be told, go on", () => {
  using it = new Restarts();
  it.usb.ports[1]!.pull(1);
  it.turn();
  // Its driver has not unmasked it yet.
  it.usb.ports[1]!.pull(0);
  it.turn();
  const before = it.answered.length;
  it.kill();
  it.next();
  it.turn();
  assertEquals(it.answered.length, before);
  // It reads the line to know which edge it was, and is told of the next one.
  it.say(it.gpio(30, UNMASK, 1, 0));
  it.say(it.gpio(31, READ, 1, 0));
  it.turn();
  assertEquals(it.answered.slice(before).toSorted(), [3, 30, 31]);
});

Deno.test("a session that is over is not kept, nor one that says nothing", () => {
  using it = new Restarts();
  it.keep();
  assert(it.store.names.length > 0);
  it.say(it.peer.packet(99, 40));
  it.turn();
  assert(it.log.join().includes("disconnected"), it.log.join());
  it.kill();
  it.next();
  it.turn();
  assertEquals(it.log.filter((text) => text === "connected").length, 1);
});
