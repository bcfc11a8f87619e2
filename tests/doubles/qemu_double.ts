/**
 * A QEMU that is a model: QMP and qtest on real sockets in the test's own loop,
 * a board with GPIO controllers, and a guest that the test plays.
 *
 * It keeps to what QEMU does, its peculiarities included: one client at a time
 * on each socket; one device whose pins are reported; reports relative to a
 * memory that is cleared when a client connects; an assertion (here: an
 * exception) for commands that make no sense.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { duplicate } from "../../ffi/files.ts";
import { hangUp } from "../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { LineStream } from "../../src/qemu/line_stream.ts";
import type { EventLoop, Watch } from "../../src/reactor/event_loop.ts";

/** Beginning of the memory region that all controllers are in. */
const WINDOW = "/machine/soc/window";
const WINDOW_ADDRESS = 0x900_0000;
/** Regions of the system, and what the secure world has beside them. */
const SYSTEM_MEMORY = "/machine/unattached/system[0]";
const SECURE_MEMORY = "/machine/secure-memory[0]";
/** Container of each of the two. */
const CONTAINERS: ReadonlyMap<string, string> = new Map([
  [SYSTEM_MEMORY, SECURE_MEMORY],
  [SECURE_MEMORY, ""],
]);

/** A controller of the board. */
export interface ControllerModelOptions {
  readonly path: string;
  readonly type: string;
  readonly address: number;
  readonly inputs?: number;
  readonly outputs?: number;
  /** Names of pins that are properties. */
  readonly properties?: readonly string[];
  /** Offsets of the registers. */
  readonly direction?: number;
  readonly data?: number;
  readonly inversion?: number;
  /** It is in the secure world's memory alone. */
  readonly isSecure?: boolean;
  /** The pin that the machine's power button is tied to. */
  readonly key?: number;
  /** As an i.MX controller, it does not tell that a reset lowers its outputs. */
  readonly isForgetful?: boolean;
  /** Pins that are high while they are inputs. */
  readonly pullUps?: number;
}

/** A controller as a PL061 is: directions, data, outputs with pulls. */
export class ControllerModel {
  readonly options: ControllerModelOptions;
  directions = 0;
  data = 0;
  inversion = 0;
  /** Levels that its inputs were driven to from outside, oldest first. */
  readonly inputs: [pin: number, level: number][] = [];
  onOutput: ((pin: number, level: number) => void) | undefined;
  #out = 0;

  constructor(options: ControllerModelOptions) {
    this.options = options;
    this.#out = options.pullUps ?? 0;
  }

  /** The guest writes its direction register. */
  setDirections(mask: number): void {
    this.directions = mask;
    this.#update();
  }

  /** The guest writes its data register: outputs only take it. */
  setData(levels: number): void {
    this.data = (this.data & ~this.directions) | (levels & this.directions);
    this.#update();
  }

  /** Drives a pin from outside. */
  drive(pin: number, level: number): void {
    this.inputs.push([pin, level]);
    const bit = 1 << pin;
    if ((this.directions & bit) !== 0) return;
    this.data = level === 1 ? this.data | bit : this.data & ~bit;
  }

  reset(): void {
    this.directions = 0;
    this.data = 0;
    this.inversion = 0;
    this.#update();
  }

  read(offset: number): number {
    const { direction = 0x400, data = 0x3fc, inversion } = this.options;
    if (offset === direction) return this.directions;
    if (offset === inversion) return this.inversion;
    if (offset === data) return this.data;
    throw new Error(`no register at 0x${offset.toString(16)}`);
  }

  #update(): void {
    const { pullUps: pulls = 0, isForgetful = false } = this.options;
    const driven = this.data ^ this.inversion;
    const out = (driven & this.directions) | (pulls & ~this.directions);
    const changed = isForgetful ? this.directions : out ^ this.#out;
    this.#out = out;
    for (let pin = 0; pin < 32; pin++) {
      if ((changed >>> pin & 1) === 1) this.onOutput?.(pin, out >>> pin & 1);
    }
  }
}

/** The model of a QEMU process. */
export class QemuDouble implements Disposable {
  readonly controllers: readonly ControllerModel[];
  /** Called before a register is read: what the guest does in between. */
  onRead: ((offset: number) => void) | undefined;
  /**
   * Says what a command is answered with, by a QEMU that its guest has broken
   * into: a text, or nothing at all (null); undefined: what is right.
   */
  onCommand: ((text: string) => string | null | undefined) | undefined;
  /** Greeting of a QMP client. */
  greeting = '{"QMP": {"version": {}}}';
  /** Its run state. */
  status = "running";
  /** Number of connections to the qtest socket. */
  qtestClients = 0;
  readonly #qmp: Server;
  readonly #qtest: Server;
  #intercepted: ControllerModel | undefined;
  #levels = new Map<number, number>();

  constructor(
    loop: EventLoop,
    directory: string,
    controllers: readonly ControllerModelOptions[],
  ) {
    this.controllers = controllers.map((one) => new ControllerModel(one));
    this.#qmp = new Server(loop, `${directory}/qmp`, {
      opened: () => this.#qmp.send(this.greeting),
      line: (text) => {
        if (this.#isTampered(this.#qmp, text)) return;
        this.#command(JSON.parse(text));
      },
    });
    this.#qtest = new Server(loop, `${directory}/qtest`, {
      opened: () => {
        this.qtestClients++;
        this.#levels.clear();
      },
      line: (text) => {
        if (this.#isTampered(this.#qtest, text)) return;
        this.#test(text.split(" "));
      },
    });
  }

  /** The first controller. */
  get gpio(): ControllerModel {
    return this.controllers[0]!;
  }

  get hasClients(): boolean {
    return this.#qmp.hasClient || this.#qtest.hasClient;
  }

  /** The machine is reset, by its guest or from outside. */
  reset(): void {
    for (const controller of this.controllers) controller.reset();
    this.tell("RESET");
  }

  /** An earlier client has chosen the controller whose pins are reported. */
  observe(controller: ControllerModel): void {
    this.#intercepted = controller;
  }

  /** Sends an event. */
  tell(event: string): void {
    this.tellRaw(JSON.stringify({ event, data: {}, timestamp: {} }));
  }

  /** Sends anything at all on the QMP socket. */
  tellRaw(text: string): void {
    this.#qmp.send(text);
  }

  /** Sends anything at all on the qtest socket. */
  babble(text: string): void {
    this.#qtest.send(text);
  }

  [Symbol.dispose](): void {
    this.#qmp[Symbol.dispose]();
    this.#qtest[Symbol.dispose]();
  }

  #isTampered(socket: Server, text: string): boolean {
    const answer = this.onCommand?.(text);
    if (typeof answer === "string") socket.send(answer);
    return answer !== undefined;
  }

  #command(message: {
    execute: string;
    arguments: { path: string; property: string; value: unknown };
    id: number;
  }): void {
    const { execute, arguments: given, id } = message;
    let reply: unknown = {};
    if (execute === "qom-list") reply = this.#list(given.path);
    if (execute === "qom-get") reply = this.#get(given.path, given.property);
    if (execute === "query-status") reply = { status: this.status };
    if (execute === "qom-set") {
      const controller = this.#at(given.path);
      const pin = controller?.options.properties?.indexOf(given.property) ?? -1;
      controller?.drive(pin, given.value === true ? 1 : 0);
    }
    this.#qmp.send(
      JSON.stringify(
        reply === undefined
          ? { error: { class: "GenericError", desc: "no such thing" }, id }
          : { return: reply, id },
      ),
    );
  }

  #at(path: string): ControllerModel | undefined {
    return this.controllers.find(({ options }) => options.path === path);
  }

  #list(path: string): unknown {
    const controller = this.#at(path);
    if (controller !== undefined) {
      const { inputs = 8, outputs = 8, properties = [] } = controller.options;
      const numbered = (name: string, count: number, type: string) =>
        Array.from(
          { length: count },
          (_, i) => ({ name: `${name}[${i}]`, type }),
        );
      return [
        { name: "realized", type: "bool" },
        { name: "iomem[0]", type: "child<memory-region>" },
        ...numbered("unnamed-gpio-in", inputs, "child<irq>"),
        ...numbered("unnamed-gpio-out", outputs, "link<irq>"),
        ...properties.map((name) => ({ name, type: "bool" })),
      ];
    }
    if (path === "/machine") {
      return [
        { name: "type", type: "string" },
        { name: "soc", type: "child<container>" },
        { name: "memory[0]", type: "child<memory-region>" },
      ];
    }
    if (path !== "/machine/soc") return undefined;
    return [
      { name: "uart", type: "child<pl011>" },
      ...this.controllers.map(({ options }) => ({
        name: options.path.slice("/machine/soc/".length),
        type: `child<${options.type}>`,
      })),
      ...this.#keys.map((name) => ({ name, type: "child<gpio-key>" })),
    ];
  }

  /** Names of the power buttons, one for each controller that has one. */
  get #keys(): string[] {
    return this.controllers.flatMap(({ options: { key } }, i) =>
      key === undefined ? [] : [`key${i}`]
    );
  }

  #get(path: string, property: string): unknown {
    const container = CONTAINERS.get(path);
    if (container !== undefined) return property === "addr" ? 0 : container;
    if (path === WINDOW) {
      return property === "addr" ? WINDOW_ADDRESS : SYSTEM_MEMORY;
    }
    const keyed = /^\/machine\/soc\/key(\d+)$/.exec(path)?.[1];
    if (keyed !== undefined) {
      const { path, key } = this.controllers[Number(keyed)]!.options;
      return `${path}/unnamed-gpio-in[${key}]`;
    }
    const controller = this.#at(path.slice(0, path.lastIndexOf("/")));
    if (controller === undefined) return undefined;
    const { address, isSecure = false } = controller.options;
    if (isSecure) return property === "addr" ? address : SECURE_MEMORY;
    return property === "addr" ? address - WINDOW_ADDRESS : WINDOW;
  }

  #test([command, ...words]: string[]): void {
    switch (command) {
      case "endianness":
        return this.#qtest.send("OK little");
      case "irq_intercept_out": {
        const controller = this.#at(words[0]!)!;
        this.#intercepted ??= controller;
        if (this.#intercepted !== controller) {
          return this.#qtest.send("FAIL IRQ intercept already enabled");
        }
        controller.onOutput = (pin, level) => this.#report(pin, level);
        return this.#qtest.send("OK");
      }
      case "set_irq_in": {
        const [path, list, pin, level] = words;
        const controller = this.#at(path!)!;
        const { inputs = 8 } = controller.options;
        if (list !== "unnamed-gpio-in" || Number(pin) >= inputs) {
          throw new Error(`assertion: set_irq_in ${words.join(" ")}`);
        }
        controller.drive(Number(pin), Number(level));
        return this.#qtest.send("OK");
      }
      case "readl": {
        const address = Number(words[0]);
        const controller = this.controllers.find(({ options }) =>
          address >= options.address && address < options.address + 0x1000
        );
        const offset = address - controller!.options.address;
        this.onRead?.(offset);
        const value = controller!.read(offset).toString(16).padStart(16, "0");
        return this.#qtest.send(`OK 0x${value}`);
      }
    }
    throw new Error(`assertion: ${command} ${words.join(" ")}`);
  }

  #report(pin: number, level: number): void {
    if ((this.#levels.get(pin) ?? 0) === level) return;
    this.#levels.set(pin, level);
    this.#qtest.send(`IRQ ${level === 1 ? "raise" : "lower"} ${pin}`);
  }
}

/** A socket that serves one client at a time. */
class Server implements Disposable {
  readonly #loop: EventLoop;
  readonly #path: string;
  readonly #listener: OwnedFd;
  readonly #watch: Watch;
  readonly #on: { opened(): void; line(text: string): void };
  #client: LineStream | undefined;
  #writer: RawWriter | undefined;

  constructor(
    loop: EventLoop,
    path: string,
    on: { opened(): void; line(text: string): void },
  ) {
    this.#loop = loop;
    this.#path = path;
    this.#on = on;
    this.#listener = listenUnix(path, { backlog: 1 });
    this.#watch = loop.watch(this.#listener.fd, EPOLLIN, () => this.#accept());
  }

  get hasClient(): boolean {
    return this.#client !== undefined;
  }

  send(text: string): void {
    this.#writer?.write(text + "\n");
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]();
    this.#closed();
    this.#watch[Symbol.dispose]();
    // No more can come: a copy of the listener in a process that another
    // test is just starting would keep those that wait there.
    Deno.removeSync(this.#path);
    for (;;) {
      const waiting = acceptUnix(this.#listener.fd);
      if (waiting === undefined) break;
      hangUp(waiting);
    }
    this.#listener.close();
  }

  #accept(): void {
    if (this.#client !== undefined) return;
    const fd = acceptUnix(this.#listener.fd);
    if (fd === undefined) return;
    this.#writer = new RawWriter(this.#loop, duplicate(fd.fd));
    this.#client = new LineStream({
      loop: this.#loop,
      fd,
      share: this.#loop.share(),
      maxLineLength: 65_536,
    }, {
      line: (text) => this.#on.line(text),
      closed: () => this.#closed(),
      failed: () => this.#closed(),
    });
    this.#on.opened();
  }

  #closed(): void {
    this.#client = undefined;
    this.#writer?.[Symbol.dispose]();
    this.#writer = undefined;
  }
}

/** Writes any bytes at all, which the product's own stream refuses to. */
class RawWriter implements Disposable {
  readonly #fd: OwnedFd;
  readonly #watch: Watch;
  #queued = "";
  #outgoing = new Uint8Array(0);
  #isFull = false;

  constructor(loop: EventLoop, fd: OwnedFd) {
    this.#fd = fd;
    this.#watch = loop.watch(fd.fd, 0, () => this.#flush());
  }

  write(text: string): void {
    this.#queued += text;
    if (!this.#isFull) this.#flush();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#fd.close();
  }

  #flush(): void {
    try {
      while (this.#queued !== "" || this.#outgoing.length > 0) {
        if (this.#outgoing.length === 0) {
          this.#outgoing = new TextEncoder().encode(this.#queued);
          this.#queued = "";
        }
        const sent = send(this.#fd.fd, this.#outgoing);
        if (sent < 0) return this.#setFull(true);
        this.#outgoing = this.#outgoing.subarray(sent);
      }
    } catch {
      // The client is gone, which its reader hears.
      this.#queued = "";
      this.#outgoing = new Uint8Array(0);
    }
    this.#setFull(false);
  }

  #setFull(isFull: boolean): void {
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#watch.update(isFull ? EPOLLOUT : 0);
  }
}
