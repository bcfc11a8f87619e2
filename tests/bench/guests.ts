/**
 * Guests of each exposure, as doubles in this process: one output, line 0, and
 * one input, line 1.
 *
 * @module
 */
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { PL061 } from "../doubles/pins_rig.ts";
import { QemuDouble } from "../doubles/qemu_double.ts";
import { T, UsbredirPeer } from "../doubles/usbredir_peer.ts";
import { C, versionBody, VfioPeer, words } from "../doubles/vfio_peer.ts";
import { LIKE_QEMU } from "./effort.ts";

/** Limit of every wait. **Units**: milliseconds. */
const LIMIT_MS = 10_000;
const OUTPUT = 0;
const INPUT = 1;

/** A guest that is measured. **Ownership**: disposing it ends its connection. */
export interface BenchGuest extends Disposable {
  /** Waits until the guest's driver has its output and its interrupt. */
  ready(): Promise<void> | void;
  /** Drives the output; does not wait until it is done. */
  set(level: number): void;
  /** Waits until the guest is told that the input changed, to `level`. */
  waitInput(level: number): void;
  /** Does what its driver does then. */
  handleInput(): void;
  /** Work of its QEMU, if that is in this process; does not wait. */
  readonly turn?: () => void;
}

/** A guest with virtio-gpio: outputs first, then as many inputs. */
export class VirtioGuest implements BenchGuest {
  readonly #frontend: Frontend;
  readonly #driver: GpioDriver;

  constructor(path: string, outputs = 1) {
    this.#frontend = Frontend.open(connectUnix(path), {
      timeoutMs: LIMIT_MS,
      protocolFeatures: LIKE_QEMU,
    });
    const driver = this.#driver = GpioDriver.attach(this.#frontend);
    for (let line = 0; line < outputs; line++) {
      driver.setOutput(line, 0, Direction.Output);
    }
    for (let line = outputs; line < 2 * outputs; line++) {
      driver.setDirection(line, Direction.Input);
      driver.setInterruptType(line, IrqType.EdgeBoth);
      driver.arm(line);
    }
  }

  ready(): void {}

  set(level: number, line = OUTPUT): void {
    this.#driver.setValue(line, level);
  }

  waitInput(_level: number): void {
    this.waitEdge(INPUT);
  }

  handleInput(): void {}

  /**
   * Waits for an interrupt of a line.
   *
   * @param turn What another guest of this process does meanwhile, over and over.
   */
  waitEdge(line: number, turn?: () => void): void {
    let event = this.#driver.waitEvent(turn === undefined ? LIMIT_MS : 0);
    const end = performance.now() + LIMIT_MS;
    while (turn !== undefined && event === undefined) {
      turn();
      event = this.#driver.waitEvent(0);
      if (performance.now() > end) break;
    }
    if (event?.lineNumber !== line) {
      throw new Error(
        `Line ${line} brought no interrupt but ${JSON.stringify(event)}`,
      );
    }
    this.#driver.arm(line);
  }

  [Symbol.dispose](): void {
    this.#frontend[Symbol.dispose]();
  }
}

/** Messages of an LJCA, as its driver sends them. */
const LJCA = {
  gpio: 3,
  config: 1,
  read: 2,
  write: 3,
  event: 4,
  unmask: 6,
  acknowledge: 5,
  output: 0x14,
  input: 0x12,
  bothEdges: 0x40,
} as const;
const BULK_OUT = 0x01;
const BULK_IN = 0x81;
const PIECE_BYTES = 64;

/** A guest with an LJCA, whose QEMU has two IN transfers waiting at a time. */
export class LjcaGuest implements BenchGuest {
  readonly #socket: OwnedFd;
  readonly #peer = new UsbredirPeer();
  readonly #piece = new Uint8Array(16 * 1024);
  #bytes = new Uint8Array(0);
  #isFirst = true;
  #id = 1;

  constructor(path: string) {
    this.#socket = connectUnix(path);
    this.#send(this.#peer.hello());
    this.#send(this.#peer.packet(T.setConfiguration, this.#id++, [1]));
    this.#read();
    this.#read();
  }

  ready(): void {
    for (let i = 0; i < 2; i++) this.#listen();
    this.#request(LJCA.config, OUTPUT, LJCA.output);
    this.#request(LJCA.config, INPUT, LJCA.input);
    this.#request(LJCA.config, INPUT, LJCA.bothEdges);
    this.#request(LJCA.unmask, INPUT, 0);
  }

  set(level: number): void {
    this.#request(LJCA.write, OUTPUT, level);
  }

  waitInput(level: number): void {
    for (;;) {
      for (const { type, body } of this.#read()) {
        // Header of a bulk packet with 32 bits of length, then the message.
        const message = type === T.bulk ? body.subarray(10) : body;
        if (message.length === 0) continue;
        this.#listen();
        if (message[0] !== LJCA.gpio || message[1] !== LJCA.event) continue;
        if (message[5] === INPUT && message[6] === level) return;
      }
    }
  }

  handleInput(): void {
    this.#request(LJCA.read, INPUT, 0);
    this.#request(LJCA.unmask, INPUT, 0);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #listen(): void {
    this.#send(this.#peer.bulk(this.#id++, BULK_IN, [], PIECE_BYTES));
  }

  #request(command: number, line: number, value: number): void {
    this.#send(
      this.#peer.bulk(this.#id++, BULK_OUT, [
        LJCA.gpio,
        command,
        LJCA.acknowledge,
        3,
        1,
        line,
        value,
      ]),
    );
  }

  #send(bytes: Uint8Array): void {
    if (send(this.#socket.fd, bytes) !== bytes.length) {
      throw new Error("the adapter's socket is full");
    }
  }

  /** Waits for packets, and returns those that came whole. */
  #read() {
    if (pollFd(this.#socket.fd, POLLIN, LIMIT_MS) === 0) {
      throw new Error("the adapter sends nothing");
    }
    const count = receive(this.#socket.fd, this.#piece, []);
    if (count <= 0) throw new Error("the adapter's connection was closed");
    const bytes = new Uint8Array(this.#bytes.length + count);
    bytes.set(this.#bytes);
    bytes.set(this.#piece.subarray(0, count), this.#bytes.length);
    try {
      const packets = this.#peer.parse(bytes, this.#isFirst);
      this.#bytes = new Uint8Array(0);
      this.#isFirst = false;
      return packets;
    } catch {
      this.#bytes = bytes;
      return [];
    }
  }
}

/** Registers of the channel with the first lines of an ML7213 IOH. */
const IOH = {
  base: 0x60,
  enable: 0x00,
  status: 0x04,
  clear: 0x0c,
  maskClear: 0x14,
  output: 0x18,
  input: 0x1c,
  direction: 0x20,
  mode0: 0x24,
  bothEdges: 4,
} as const;
const NO_REPLY = 0x10;
/** VFIO_IRQ_SET_DATA_NONE and _ACTION_UNMASK. */
const UNMASK = 0x11;
/** VFIO_IRQ_SET_DATA_EVENTFD and _ACTION_TRIGGER. */
const SET_EVENTFD = 0x24;

/** A guest with a PCI card. */
export class VfioGuest implements BenchGuest {
  readonly #peer: VfioPeer;

  constructor(path: string) {
    this.#peer = new VfioPeer(connectUnix(path));
    this.#ask(C.VERSION, versionBody(0, 0));
    this.#peer.send(C.DEVICE_SET_IRQS, words(20, SET_EVENTFD, 0, 0, 1), {
      fds: [this.#peer.irq.fd],
    });
    this.#reply();
  }

  ready(): void {
    this.#write(IOH.direction, 1 << OUTPUT);
    this.#write(IOH.output, 0);
    this.#write(IOH.mode0, IOH.bothEdges << 4 * INPUT);
    this.#write(IOH.enable, 1 << INPUT);
    this.#write(IOH.maskClear, 1 << INPUT);
  }

  set(level: number): void {
    this.#write(IOH.output, level << OUTPUT);
  }

  waitInput(_level: number): void {
    if (pollFd(this.#peer.irq.fd, POLLIN, LIMIT_MS) === 0) {
      throw new Error("the card does not interrupt");
    }
    this.#peer.takeInterrupt();
  }

  handleInput(): void {
    // QEMU unmasks at the handler's first access.
    this.#ask(C.DEVICE_SET_IRQS, words(20, UNMASK, 0, 0, 1));
    this.#ask(C.REGION_READ, words(IOH.base + IOH.status, 0, 1, 4));
    this.#write(IOH.clear, 1 << INPUT);
    this.#ask(C.REGION_READ, words(IOH.base + IOH.input, 0, 1, 4));
  }

  [Symbol.dispose](): void {
    this.#peer[Symbol.dispose]();
  }

  /** As QEMU does: without a reply. */
  #write(register: number, value: number): void {
    this.#peer.send(
      C.REGION_WRITE,
      words(IOH.base + register, 0, 1, 4, value),
      { flags: NO_REPLY },
    );
  }

  #ask(command: number, body: Uint8Array): void {
    this.#peer.send(command, body);
    this.#reply();
  }

  #reply(): void {
    pollFd(this.#peer.fd, POLLIN, LIMIT_MS);
    const reply = this.#peer.read();
    if (typeof reply === "string" || reply.errno !== 0) {
      throw new Error(`the card answers ${JSON.stringify(reply)}`);
    }
  }
}

/** A guest of a QEMU whose controller has its pins connected. */
export class PinsGuest implements BenchGuest {
  readonly #loop: Reactor;
  readonly #qemu: QemuDouble;

  /** Opens a QEMU's sockets in a directory. */
  constructor(directory: string) {
    this.#loop = new Reactor({
      onError: (error) => {
        throw error;
      },
    });
    this.#qemu = new QemuDouble(this.#loop, directory, [PL061]);
  }

  async ready(): Promise<void> {
    const end = performance.now() + LIMIT_MS;
    const { gpio } = this.#qemu;
    // The levels of all inputs are driven when the controller was found.
    while (!gpio.inputs.some(([pin]) => pin === INPUT)) {
      if (performance.now() > end) throw new Error("no one takes the pins");
      this.#loop.turn(10);
      await Promise.resolve();
    }
    gpio.setDirections(1 << OUTPUT);
  }

  readonly turn = (): void => this.#loop.turn(0);

  set(level: number): void {
    this.#qemu.gpio.setData(level << OUTPUT);
  }

  waitInput(level: number): void {
    const { inputs } = this.#qemu.gpio;
    const end = performance.now() + LIMIT_MS;
    for (;;) {
      const last = inputs.at(-1);
      if (last?.[0] === INPUT && last[1] === level) break;
      if (performance.now() > end) throw new Error("no level for the pin");
      this.#loop.turn(LIMIT_MS);
    }
    inputs.length = 0;
  }

  handleInput(): void {}

  [Symbol.dispose](): void {
    this.#qemu[Symbol.dispose]();
    this.#loop[Symbol.dispose]();
  }
}
