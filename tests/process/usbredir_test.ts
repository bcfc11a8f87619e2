/**
 * USB adapters of the whole program, without a QEMU: what a QEMU sends and gets
 * is made here.
 */
import { assertEquals } from "@std/assert";
import { T, UsbredirPeer } from "../doubles/usbredir_peer.ts";
import { Service } from "../environment/service.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { until } from "../environment/wait.ts";

const OUTPUT = 0x14;
const CONFIG = 1;
const WRITE = 3;

/** A QEMU whose guest uses the adapter. */
class Qemu implements Disposable {
  readonly peer = new UsbredirPeer();
  readonly #connection: UnixStream;
  readonly #bytes: number[] = [];
  #id = 10;

  constructor(connection: UnixStream) {
    this.#connection = connection;
  }

  static async begin(connection: UnixStream): Promise<Qemu> {
    const qemu = new Qemu(connection);
    await qemu.send(qemu.peer.hello());
    await qemu.send(qemu.peer.packet(T.setConfiguration, 1, [1]));
    await qemu.status(1);
    return qemu;
  }

  send(bytes: Uint8Array): Promise<void> {
    return this.#connection.write(bytes);
  }

  /** First or second byte of the answer of this id: its status. */
  async status(id: number): Promise<number> {
    for (;;) {
      try {
        const all = this.peer.parse(Uint8Array.from(this.#bytes), true);
        const found = all.find((one) => one.id === id && one.type > 5);
        if (found !== undefined) return found.body[found.type < 100 ? 0 : 1]!;
      } catch {
        // The last packet has not come as a whole.
      }
      const piece = await this.#connection.read();
      if (piece === null) throw new Error("the connection was closed");
      this.#bytes.push(...piece);
    }
  }

  /** Sends a request for a line; its status. */
  async gpio(command: number, line: number, value: number): Promise<number> {
    const id = this.#id++;
    await this.send(this.peer.bulk(id, 1, [3, command, 5, 3, 1, line, value]));
    return await this.status(id);
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

async function readValue(service: Service, name: string) {
  return (await service.lines("plc0"))[name]?.value;
}

Deno.test("a guest's lines follow their rules, and are safe when its QEMU ends", async () => {
  await using service = await Service.start(
    { plc0: ["sim/1,safe=0", "sim/1,direction=input"] },
    "--usbredir",
  );
  const path = service.socket("plc0");
  for (let i = 0; i < 5; i++) {
    using qemu = await Qemu.begin(UnixStream.connect(path));
    assertEquals(await qemu.gpio(CONFIG, 0, OUTPUT), 0);
    assertEquals(await qemu.gpio(WRITE, 0, 1), 0);
    assertEquals(await readValue(service, "sim0"), 1);
    assertEquals(await qemu.gpio(CONFIG, 1, OUTPUT), 4);
    qemu[Symbol.dispose]();
    await until("safe", async () => await readValue(service, "sim0") === 0);
    if (i !== 2) continue;
    // One that goes on in the middle, and one that is no QEMU.
    for (const bytes of [new UsbredirPeer().packet(T.bulk, 1), [1, 2, 3]]) {
      using stranger = UnixStream.connect(path);
      await stranger.write(Uint8Array.from(bytes));
    }
  }
  for (const event of ["connected", "started", "stopped", "disconnected"]) {
    const { process } = service;
    // Events that come too often are counted, not shown.
    await until(
      `three times ${event}`,
      () => process.stdout.split(`"event":"${event}"`).length > 3,
    );
  }
});

Deno.test("gpioagg connects to a QEMU that listens, and to the next one", async () => {
  await using service = await Service.start(
    { plc0: ["sim/1,safe=0"] },
    "--usbredir",
    ",connect",
  );
  const path = service.socket("plc0");
  for (let i = 0; i < 2; i++) {
    using qemu = await Qemu.begin(await UnixStream.accept(path));
    assertEquals(await qemu.gpio(CONFIG, 0, OUTPUT), 0);
    assertEquals(await qemu.gpio(WRITE, 0, 1), 0);
    assertEquals(await readValue(service, "sim0"), 1);
    qemu[Symbol.dispose]();
    await until("safe", async () => await readValue(service, "sim0") === 0);
  }
});
