/**
 * Guests of each exposure, as doubles in this process: one output, line 0, and
 * one input, line 1.
 *
 * @module
 */
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Direction, IrqType } from "../../src/virtio/gpio/protocol.ts";
import { PL061 } from "../doubles/pins_rig.ts";
import { QemuDouble } from "../doubles/qemu_double.ts";
import { C, versionBody, VfioPeer, words } from "../doubles/vfio_peer.ts";
import { LIKE_QEMU, LIMIT_MS } from "./effort.ts";

/** Line that a guest drives. */
export const OUTPUT = 0;
/** Line that it reads. */
export const INPUT = 1;

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
  /** Asks for the level of the output, and waits for the answer. */
  get?(): void;
  /** True if it is told of nothing, and asks. */
  readonly isPolled?: boolean;
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

  get(): void {
    this.#driver.getValue(OUTPUT);
  }

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
    this.get();
  }

  get(): void {
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
