/** A guest's USB adapter goes on over a restart and a crash of the service, and does not notice. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { T, type UsbPacket, UsbredirPeer } from "../doubles/usbredir_peer.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { rounds } from "../environment/rounds.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { until } from "../environment/wait.ts";

const CONFIG = 1;
const WRITE = 3;
const EVENT = 4;
const UNMASK = 6;
const OUTPUT = 0x14;
/** An interrupt at both edges. */
const BOTH = 0x40;
const ADAPTER = 1;
const TRANSFERS = 16;

/** A QEMU whose guest uses the adapter, and always waits for what it sends. */
class Qemu implements Disposable {
  readonly peer = new UsbredirPeer();
  readonly #connection: UnixStream;
  readonly #packets: UsbPacket[] = [];
  #bytes = new Uint8Array(0);
  #isFirst = true;
  #id = 1000;

  constructor(connection: UnixStream) {
    this.#connection = connection;
  }

  async begin(): Promise<void> {
    await this.#connection.write(this.peer.hello());
    await this.#send(this.peer.packet(T.setConfiguration, 1, [1]));
    await this.untilHeard((one) => one.type === T.configuration);
    for (let id = 0; id < TRANSFERS; id++) {
      await this.#send(this.peer.bulk(100 + id, 0x80 | ADAPTER, [], 64));
    }
  }

  #send(bytes: Uint8Array): Promise<void> {
    return this.#connection.write(bytes);
  }

  /** Asks for something, half of it now if that is wanted. */
  async ask(
    command: number,
    line: number,
    value: number,
    middle: () => Promise<void> = async () => {},
  ): Promise<void> {
    const id = this.#id++;
    const bytes = this.peer.bulk(id, ADAPTER, [
      3,
      command,
      0,
      3,
      1,
      line,
      value,
    ]);
    await this.#send(bytes.subarray(0, 20));
    await middle();
    await this.#send(bytes.subarray(20));
    const answer = await this.untilHeard((one) => one.id === id);
    assertEquals(answer.body[1], 0, `status of ${command}`);
  }

  /** Waits for an event of a line: its level. */
  async event(line: number): Promise<number> {
    const { id, body } = await this.untilHeard(({ type, body }) =>
      type === T.bulk && (body[0]! & 0x80) !== 0 && body[11] === EVENT &&
      body[15] === line
    );
    // The driver waits for the next one.
    await this.#send(this.peer.bulk(id, 0x80 | ADAPTER, [], 64));
    return body[16]!;
  }

  /** Waits for a packet, and takes it. */
  async untilHeard(isIt: (packet: UsbPacket) => boolean): Promise<UsbPacket> {
    for (;;) {
      const at = this.#packets.findIndex(isIt);
      if (at >= 0) return this.#packets.splice(at, 1)[0]!;
      const piece = await this.#connection.read();
      if (piece === null) throw new Error("the connection was closed");
      this.#bytes = Uint8Array.from([...this.#bytes, ...piece]);
      while (this.#split());
    }
  }

  /** Takes a packet apart, if a whole one has come. */
  #split(): boolean {
    const bytes = this.#bytes;
    // The hello comes before long ids.
    const header = this.#isFirst ? 12 : 16;
    if (bytes.length < header) return false;
    const length = header + new DataView(bytes.buffer).getUint32(4, true);
    if (bytes.length < length) return false;
    this.#packets.push(
      ...this.peer.parse(bytes.slice(0, length), this.#isFirst),
    );
    this.#isFirst = false;
    this.#bytes = bytes.slice(length);
    return true;
  }

  /** Waits for the end of the connection. */
  async untilEnded(): Promise<void> {
    while (await this.#connection.read() !== null);
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

/** A line that the guest drives, and one that follows it. */
const args = ({ directory }: ManagerDouble, more: readonly string[] = []) => [
  "--usbredir",
  `${directory}/plc0.sock`,
  "--name=plc0",
  "--line=sim/1,as=OUT,direction=output,initial=0",
  "--line=wire/plc0.OUT,as=IN",
  ...more,
];

Deno.test("a USB adapter goes on over restarts and crashes, with what was asked and changed in between", async () => {
  await using manager = new ManagerDouble();
  await manager.start(args(manager));
  using qemu = new Qemu(UnixStream.connect(`${manager.directory}/plc0.sock`));
  await qemu.begin();
  await qemu.ask(CONFIG, 0, OUTPUT);
  await qemu.ask(CONFIG, 1, BOTH);
  await qemu.ask(UNMASK, 1, 0);
  for (const signal of ["SIGUSR2", "SIGKILL", "SIGKILL"] as const) {
    // Half of a request, when the process ends.
    await qemu.ask(WRITE, 0, 1, async () => {
      await manager.stop(signal);
      await manager.start(args(manager));
    });
    assertEquals(await qemu.event(1), 1);
    await qemu.ask(UNMASK, 1, 0);
    await qemu.ask(WRITE, 0, 0);
    assertEquals(await qemu.event(1), 0);
    await qemu.ask(UNMASK, 1, 0);
  }
  assert(!manager.log.includes("disconnected"), manager.log);
  // Whenever it is killed, each request is answered. (Simulated lines start anew,
  // so that an event may have no reason any more.)
  for (let round = 0; round < rounds(20, 2); round++) {
    let isOver = false;
    const killed = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 40 * Math.random()));
      await manager.stop("SIGKILL");
      await manager.start(args(manager));
      isOver = true;
    })();
    while (!isOver) {
      for (const level of [1, 0]) {
        await qemu.ask(WRITE, 0, level);
        await qemu.ask(UNMASK, 1, 0);
      }
    }
    await killed;
    for (const level of [1, 0]) {
      await qemu.ask(WRITE, 0, level);
      // Behind those that have waited.
      for (let told = -1; told !== level;) {
        told = await qemu.event(1);
        await qemu.ask(UNMASK, 1, 0);
      }
    }
  }
  assert(!manager.log.includes("disconnected"), manager.log);
  // Without its lines it is hung up.
  await manager.stop("SIGKILL");
  await manager.start(args(manager, ["--line=sim/1,as=NEW"]));
  await qemu.untilEnded();
  assertStringIncludes(manager.log, "knows other lines");
  await manager.stop("SIGTERM");
  await until("the store is empty", () => manager.store.size === 0);
});
