import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { ModelPort } from "../../tests/doubles/model_port.ts";
import {
  T,
  type UsbPacket,
  UsbredirPeer,
} from "../../tests/doubles/usbredir_peer.ts";
import { refuseWatch } from "../../tests/doubles/refused_watch.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { UsbModel } from "../usb/core/models.ts";
import { serveAdapter } from "../usb_host/adapter_server.ts";
import { makeAdapters } from "../usb_host/adapters.ts";
import { USBREDIR, UsbredirConnector } from "./usbredir.ts";

const READ_LINE_1 = [3, 2, 5, 3, 1, 1, 0];

function adapterPath(path: string, index: number): string {
  return index === 0 ? path : `${path}.${index}`;
}

/** Lines behind sockets, in a loop that the test turns. */
class SocketRig implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly path = `${this.directory}/usb`;
  readonly log: string[] = [];
  readonly ports: readonly ModelPort[];
  readonly loop: Reactor;
  readonly #stack = new DisposableStack();

  constructor(
    how: "listen" | "connect",
    model: UsbModel = "ljca",
    lineCount = 4,
  ) {
    const { log } = this;
    this.#stack.defer(() =>
      Deno.removeSync(this.directory, { recursive: true })
    );
    this.loop = this.#stack.use(
      new Reactor({
        onError: (error) => {
          throw error;
        },
      }),
    );
    const { loop, path } = this;
    this.ports = Array.from({ length: lineCount }, () => new ModelPort());
    const adapters = makeAdapters(
      model,
      "plc0",
      this.ports.map((port) => ({ port, rule: "any" })),
      loop,
      {
        began: ({ title }) => log.push(`began ${title}`.trimEnd()),
        gone: ({ title }) => log.push(`gone ${title}`.trimEnd()),
        answered: (line, operation) => log.push(`${line} did ${operation}`),
        refused: () => {},
      },
    );
    const events = {
      connected: () => log.push("connected"),
      disconnected: (reason: string) => log.push(`disconnected: ${reason}`),
      waiting: () => log.push("waiting"),
      fault: (message: string) => log.push(`fault: ${message}`),
    };
    for (const [i, { device }] of adapters.entries()) {
      const own = adapterPath(path, i);
      this.#stack.use(
        how === "listen"
          ? serveAdapter({
            loop,
            device,
            events,
            listener: listenUnix(own),
            protocol: USBREDIR,
          })
          : new UsbredirConnector({ loop, device, events, path: own }),
      );
    }
  }

  /** Turns the loop until something holds. */
  until(holds: () => boolean, what: string): void {
    const end = performance.now() + 60_000;
    while (!holds()) {
      if (performance.now() > end) {
        throw new Error(`waited in vain: ${what}; ${this.log.join("; ")}`);
      }
      this.loop.turn(5);
    }
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** A QEMU at the other end. */
class Qemu implements Disposable {
  readonly peer = new UsbredirPeer();
  readonly #fd: OwnedFd;
  readonly #rig: SocketRig;
  #bytes = new Uint8Array(0);
  isClosed = false;

  constructor(rig: SocketRig, fd: OwnedFd) {
    this.#rig = rig;
    this.#fd = fd;
  }

  static connect(rig: SocketRig, index = 0): Qemu {
    return new Qemu(rig, connectUnix(adapterPath(rig.path, index)));
  }

  /** Sends all, whatever the other side does meanwhile. */
  send(...all: Uint8Array[]): void {
    for (const bytes of all) {
      let rest = bytes;
      this.#rig.until(() => {
        const count = send(this.#fd.fd, rest);
        if (count > 0) rest = rest.subarray(count);
        return rest.length === 0;
      }, "the device reads");
    }
  }

  /** Everything that was received so far. */
  receive(): UsbPacket[] {
    const piece = new Uint8Array(65536);
    for (;;) {
      let count: number;
      try {
        count = receiveBytes(this.#fd.fd, piece);
      } catch {
        count = 0;
      }
      if (count === 0) this.isClosed = true;
      if (count <= 0) break;
      const whole = new Uint8Array(this.#bytes.length + count);
      whole.set(this.#bytes);
      whole.set(piece.subarray(0, count), this.#bytes.length);
      this.#bytes = whole;
    }
    return this.peer.parse(this.#bytes, true);
  }

  /** Says hello, and configures the device. */
  begin(): this {
    this.send(
      this.peer.hello(),
      this.peer.packet(T.setConfiguration, 1, [1]),
    );
    this.answer(1);
    return this;
  }

  /** Waits for the answer of this id. */
  answer(id: number): UsbPacket {
    let found: UsbPacket | undefined;
    this.#rig.until(() => {
      found = this.receive().find((one) => one.id === id && one.type > 5);
      return found !== undefined;
    }, `an answer to ${id}`);
    return found!;
  }

  untilClosed(): void {
    this.#rig.until(() => {
      this.receive();
      return this.isClosed;
    }, "the connection is closed");
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

Deno.test("one QEMU after another is served; the next one waits", () => {
  using rig = new SocketRig("listen");
  {
    using first = Qemu.connect(rig).begin();
    first.send(first.peer.bulk(7, 1, READ_LINE_1));
    assertEquals(first.answer(7).body[1], 0);
    assertEquals(rig.log, ["connected", "began", "1 did 3"]);
  }
  using second = Qemu.connect(rig).begin();
  assertEquals(rig.log.slice(3), [
    "gone",
    "disconnected: it closed the connection",
    "connected",
    "began",
  ]);
  using third = Qemu.connect(rig);
  third.send(third.peer.hello());
  rig.until(() => rig.log.includes("waiting"), "it is told of");
  second[Symbol.dispose]();
  third.send(third.peer.packet(T.setConfiguration, 1, [1]));
  third.answer(1);
});

Deno.test("a first packet that is no hello ends the connection, without a fault", () => {
  using rig = new SocketRig("listen");
  using qemu = Qemu.connect(rig);
  qemu.send(new UsbredirPeer().packet(T.bulk, 5, [0]));
  qemu.untilClosed();
  assertStringIncludes(rig.log[1]!, "migrated or restored");
  assertEquals(rig.log.filter((one) => one.startsWith("fault")), []);
  using again = Qemu.connect(rig).begin();
  again.send(again.peer.bulk(7, 1, READ_LINE_1));
  again.answer(7);
});

Deno.test("a peer that is no QEMU is told of, and the next is served", () => {
  using rig = new SocketRig("listen");
  for (
    const text of ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\xff\xff\xff\xff0000"]
  ) {
    using stranger = Qemu.connect(rig);
    stranger.send(Uint8Array.from(text, (char) => char.charCodeAt(0)));
    stranger.untilClosed();
  }
  assertEquals(
    rig.log.filter((one) => one.startsWith("fault")).length,
    1,
    rig.log.join("; "),
  );
  using qemu = Qemu.connect(rig).begin();
  assert(!qemu.isClosed);
});

Deno.test("every adapter has a socket of its own, in order", () => {
  using rig = new SocketRig("listen", "cp2112", 20);
  for (const [i, line] of [[2, 16], [0, 0], [1, 8]]) {
    using qemu = Qemu.connect(rig, i).begin();
    rig.ports[line! + 3]!.pulled = 1;
    qemu.send(qemu.peer.control(9, 0xa1, 1, 0x0303, 0, 2));
    assertEquals([...qemu.answer(9).body.slice(10)], [3, 8]);
    assertEquals(rig.log.includes(`began adapter ${i! + 1}`), true);
  }
});

Deno.test("a QEMU that listens is connected to, again and again", () => {
  using rig = new SocketRig("connect");
  for (let i = 0; i < 3; i++) {
    using listener = new Listener(rig);
    using qemu = listener.accept().begin();
    qemu.send(qemu.peer.bulk(7, 1, READ_LINE_1));
    qemu.answer(7);
    Deno.removeSync(rig.path);
  }
  rig.until(() => rig.log.filter((one) => one === "gone").length === 3, "gone");
});

/** A QEMU that listens, and the connection to it. */
class Listener implements Disposable {
  readonly #rig: SocketRig;
  readonly #listener: OwnedFd;

  constructor(rig: SocketRig) {
    this.#rig = rig;
    this.#listener = listenUnix(rig.path);
  }

  accept(): Qemu {
    let fd: OwnedFd | undefined;
    this.#rig.until(
      () => (fd = acceptUnix(this.#listener.fd)) !== undefined,
      "it connects",
    );
    return new Qemu(this.#rig, fd!);
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

Deno.test("a QEMU that listens is connected once it has said hello", () => {
  using rig = new SocketRig("connect");
  using listener = new Listener(rig);
  using qemu = listener.accept();
  for (let i = 0; i < 20; i++) rig.loop.turn(1);
  assertEquals(rig.log, []);
  qemu.begin();
  assertEquals(rig.log, ["connected", "began"]);
});

Deno.test("a listener that says no hello is told of once, and never as a QEMU", () => {
  using rig = new SocketRig("connect");
  using listener = new Listener(rig);
  for (let i = 0; i < 4; i++) {
    using stranger = listener.accept();
    // The first one may be a QEMU that ends before its machine runs.
    assertEquals(rig.log.length, i < 2 ? 0 : 1);
    stranger[Symbol.dispose]();
  }
  assertStringIncludes(rig.log[0]!, `fault: ${rig.path}: no hello of a QEMU`);
  using qemu = listener.accept();
  qemu.begin();
  assertEquals(rig.log.slice(1), ["connected", "began"]);
});

Deno.test("a connection that cannot be watched is closed, and tried again", () => {
  using rig = new SocketRig("connect");
  using listener = new Listener(rig);
  refuseWatch(rig.loop);
  using refused = listener.accept();
  refused.untilClosed();
  using qemu = listener.accept();
  qemu.begin();
  assertStringIncludes(rig.log[0]!, "fault: Cannot connect to QEMU");
  assertEquals(rig.log.slice(1), ["connected", "began"]);
});

Deno.test("a peer that reads nothing is not read any more", () => {
  using rig = new SocketRig("listen");
  using fd = connectUnix(rig.path);
  const peer = new UsbredirPeer();
  send(fd.fd, peer.hello());
  const ask = peer.control(3, 0x80, 6, 0x0200, 0, 255);
  let refused = 0;
  // Its requests stay in the socket, and nothing grows.
  for (let sent = 0; refused < 200 && sent < 10_000_000;) {
    const count = send(fd.fd, ask);
    if (count > 0) sent += count;
    else refused++;
    rig.loop.turn(0);
  }
  assertEquals(refused, 200);
  assertEquals(rig.log, ["connected"]);
});

Deno.test("hello and packets byte by byte keep nothing waiting", () => {
  using rig = new SocketRig("listen");
  using qemu = Qemu.connect(rig);
  const bytes = [
    qemu.peer.hello(),
    qemu.peer.packet(T.setConfiguration, 1, [1]),
  ];
  for (const part of bytes) {
    for (const byte of part) {
      qemu.send(Uint8Array.of(byte));
      rig.loop.turn(0);
    }
  }
  qemu.answer(1);
});

/** A request of the LJCA driver for line 1. */
const ofLine1 = (command: number, value = 0) => [3, command, 5, 3, 1, 1, value];
const LJCA = { config: 1, read: 2, unmask: 6, input: 0x12, both: 0x40 };

/** Reads line 1 with a guest that has just come; the whole answer. */
function firstRead(rig: SocketRig): number[] {
  using qemu = Qemu.connect(rig).begin();
  qemu.send(
    qemu.peer.bulk(7, 1, ofLine1(LJCA.read)),
    qemu.peer.bulk(8, 0x81, [], 64),
  );
  return [...qemu.answer(8).body.slice(10)];
}

Deno.test("an event to a QEMU that is gone leaves nothing to the next guest", () => {
  using rig = new SocketRig("listen");
  {
    using qemu = Qemu.connect(rig).begin();
    qemu.send(
      qemu.peer.bulk(2, 1, ofLine1(LJCA.config, LJCA.input)),
      qemu.peer.bulk(3, 1, ofLine1(LJCA.config, LJCA.both)),
      qemu.peer.bulk(4, 1, ofLine1(LJCA.unmask)),
      ...[11, 12, 13, 14].map((id) => qemu.peer.bulk(id, 0x81, [], 64)),
    );
    qemu.answer(13);
  }
  // Before the loop notices that it is gone.
  rig.ports[1]!.pull(1);
  rig.ports[1]!.pull(0);
  rig.until(() => rig.log.at(-1)!.startsWith("disconnected"), "it is noticed");
  assertEquals(firstRead(rig), [3, LJCA.read, 1, 3, 1, 1, 0]);
});

Deno.test("an answer to a QEMU that is gone leaves nothing to the next guest", () => {
  using rig = new SocketRig("listen");
  const port = rig.ports[1]!;
  {
    using qemu = Qemu.connect(rig).begin();
    port.slow = true;
    port.pulled = 1;
    qemu.send(qemu.peer.bulk(2, 1, ofLine1(LJCA.read)));
    rig.until(() => port.isPending, "the line is read");
  }
  port.slow = false;
  port.finish();
  port.pulled = 0;
  rig.until(() => rig.log.at(-1)!.startsWith("disconnected"), "it is noticed");
  assertEquals(firstRead(rig), [3, LJCA.read, 1, 3, 1, 1, 0]);
});
