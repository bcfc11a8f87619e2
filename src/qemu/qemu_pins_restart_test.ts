/** Pins that go on in the next process, on the same connections. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { receiveBytes } from "../../ffi/socket_message.ts";
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { MortalReactor } from "../../tests/doubles/mortal_reactor.ts";
import { ModelPort } from "../../tests/doubles/model_port.ts";
import { PL061 } from "../../tests/doubles/pins_rig.ts";
import {
  type ControllerModelOptions,
  QemuDouble,
} from "../../tests/doubles/qemu_double.ts";
import { Direction, LineOperation } from "../line/port.ts";
import { type KeptSession, SessionKeeper } from "../peer/session_keeper.ts";
import type { SessionPart } from "../peer/session_store.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { QemuPinsOptions } from "./pins_options.ts";
import { QemuPins } from "./qemu_pins.ts";
import type { PinRule } from "./session_pin.ts";

const STEP_MS = 10;
/** Limit of the helper threads that close what was given. **Units**: ms. */
const HELPERS_LIMIT_MS = 30_000;
/** Longest wait of a connector. */
const CONNECT_MS = 1100;

/** Keeps the session's parts under their own names. */
const wrapStore = (store: FdStoreDouble) => ({
  take: (part: SessionPart) => store.take(part),
  keep: (part: SessionPart, fd: number) => store.keep(part, fd),
  drop: (part: SessionPart) => store.drop(part),
  report: (problem: string) => store.report(problem),
});

/** One process. */
class Process implements Disposable {
  readonly loop: MortalReactor;
  readonly ports: readonly ModelPort[];
  readonly log: string[] = [];
  readonly pins: QemuPins;
  isAwaiting: boolean;
  isKilled = false;

  constructor(
    it: Restarts,
    rules: readonly PinRule[],
    options: Partial<QemuPinsOptions>,
    before: Process | undefined,
  ) {
    this.loop = new MortalReactor(() => it.now);
    this.ports = rules.map(() => new ModelPort());
    for (const [i, port] of this.ports.entries()) {
      const earlier = before?.ports[i];
      if (earlier !== undefined) port.adopt(earlier);
    }
    this.isAwaiting = before !== undefined;
    this.pins = new QemuPins({
      loop: this.loop,
      lines: this.ports.map((port, i) => ({ port, rule: rules[i]! })),
      qmpPath: `${it.directory}/qmp`,
      qtestPath: `${it.directory}/qtest`,
      device: "pl061",
      store: wrapStore(it.store),
      awaitsGuest: () => this.isAwaiting,
      onLineLeft: (line) => this.log.push(`left ${line}`),
      onGuestGone: () => {
        this.isAwaiting = false;
        this.log.push("gone");
      },
      events: {
        connected: () => this.log.push("connected"),
        disconnected: (reason) => this.log.push(`disconnected ${reason}`),
        started: (isResumed) => {
          this.isAwaiting = false;
          this.log.push(isResumed ? "resumed" : "started");
        },
        stopped: () => this.log.push("stopped"),
        fault: (error) => this.log.push(`fault ${error.message}`),
        notice: (text) => this.log.push(`notice ${text}`),
        answered: () => {},
        refused: (line) => this.log.push(`refused ${line}`),
      },
      ...options,
    });
  }

  /** Levels that a line was driven to since the last time. */
  driven(line = 0): number[] {
    return this.ports[line]!.calls.splice(0)
      .filter(({ operation }) =>
        operation === LineOperation.Output ||
        operation === LineOperation.SetValue
      )
      .map(({ argument }) => argument);
  }

  /** Ends as by SIGKILL: its connections are closed, and nothing else is done. */
  kill(): void {
    this.loop.kill(this);
    this.isKilled = true;
  }

  [Symbol.dispose](): void {
    this.pins[Symbol.dispose]();
    this.loop[Symbol.dispose]();
  }
}

/** A QEMU, and one process after the other. */
class Restarts implements Disposable {
  now = 0;
  store = new FdStoreDouble();
  readonly directory = Deno.makeTempDirSync();
  readonly qemu: QemuDouble;
  process: Process;
  readonly #rules: readonly PinRule[];
  readonly #options: Partial<QemuPinsOptions>;
  readonly #loop = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => this.now,
  });
  #isQemuOver = false;

  constructor(
    options: Partial<QemuPinsOptions> & {
      rules?: readonly PinRule[];
      board?: readonly ControllerModelOptions[];
    } = {},
  ) {
    const { rules = ["any", "any"], board = [PL061], ...rest } = options;
    this.#rules = rules;
    this.#options = rest;
    this.qemu = new QemuDouble(this.#loop, this.directory, board);
    this.process = this.#begin({}, undefined);
    this.pass(CONNECT_MS);
  }

  #begin(options: Partial<QemuPinsOptions>, before: Process | undefined) {
    return new Process(
      this,
      this.#rules,
      { ...this.#options, ...options },
      before,
    );
  }

  /** The process is killed; the next one begins when `next` is called. */
  kill(): void {
    this.store = this.store.restart();
    this.process.kill();
  }

  /** The next process begins; it has not turned yet. */
  next(options: Partial<QemuPinsOptions> = {}): Process {
    this.process = this.#begin(options, this.process);
    return this.process;
  }

  /** Has QEMU do what it has to, with no process there. */
  turnQemu(): void {
    for (let i = 0; i < 10; i++) this.#loop.turn(0);
  }

  /** Lets time pass, in steps that no deadline is skipped by. */
  pass(ms = STEP_MS): void {
    for (let i = 0; i < ms; i += STEP_MS) {
      this.now += STEP_MS;
      for (let turn = 0; turn < 12; turn++) {
        this.process.loop.turn(0);
        this.#loop.turn(0);
      }
      if (!helpersAreDone(HELPERS_LIMIT_MS)) throw new Error("a close hangs");
    }
  }

  /** Takes bytes of a connection away, as a process that had read them. */
  steal(name: "qmp" | "qtest", count: number): string {
    const { kept } = this.#look();
    const bytes = new Uint8Array(count);
    const taken = receiveBytes(kept.fds.get(name)!.fd, bytes);
    for (const fd of kept.fds.values()) fd.close();
    return new TextDecoder().decode(bytes.subarray(0, Math.max(0, taken)));
  }

  /** Has the record be as another version might have kept it. */
  rewrite(changes: Readonly<Record<string, unknown>>): void {
    const { keeper, kept } = this.#look();
    const names = [...kept.fds.keys()];
    keeper.keep(
      { ...kept.record as object, ...changes },
      new Map(names.map((name) => [name, undefined])),
    );
    for (const fd of kept.fds.values()) fd.close();
  }

  /** Looks at what is kept, which stays kept. */
  #look(): { keeper: SessionKeeper; kept: KeptSession } {
    const keeper = SessionKeeper.open({
      ...wrapStore(this.store),
      take: (part) => {
        const [fd] = this.store.take(part);
        this.store.offer(part, fd!);
        return [fd!];
      },
    });
    const kept = keeper.look();
    if (typeof kept !== "object") throw new Error(`nothing is kept: ${kept}`);
    return { keeper, kept };
  }

  endQemu(): void {
    if (!this.#isQemuOver) this.qemu[Symbol.dispose]();
    this.#isQemuOver = true;
  }

  [Symbol.dispose](): void {
    this.endQemu();
    if (!this.process.isKilled) this.process[Symbol.dispose]();
    this.store[Symbol.dispose]();
    this.#loop[Symbol.dispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("pins go on in the next process, on the same connections, again and again", () => {
  using it = new Restarts();
  const { qemu } = it;
  assertEquals(it.process.log, ["connected", "started"]);
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.pass();
  assertEquals(it.process.driven(), [1]);
  it.process.ports[1]!.pull(1);
  it.pass();
  for (let round = 0; round < 3; round++) {
    it.kill();
    // The guest and the world go on meanwhile.
    qemu.gpio.setData(0);
    qemu.gpio.setData(1);
    qemu.gpio.setData(0);
    qemu.gpio.inputs.length = 0;
    it.turnQemu();
    const next = it.next();
    next.ports[1]!.pulled = round % 2;
    it.pass(20);
    assertEquals(next.log, ["connected", "resumed"]);
    assertEquals(next.driven(), [0, 1, 0]);
    assertEquals(next.ports[0]!.direction, Direction.Output);
    assertEquals(qemu.gpio.inputs, [[1, round % 2]]);
    // As before.
    next.ports[1]!.pull(1 - round % 2);
    qemu.gpio.setData(1);
    it.pass(20);
    assertEquals(qemu.gpio.inputs.at(-1), [1, 1 - round % 2]);
    assertEquals(next.driven(), [1]);
  }
  assertEquals(qemu.qtestClients, 1);
  assertEquals(it.store.problems, []);
});

Deno.test("a report is done once, or again, whenever the process is killed", () => {
  // After each number of turns.
  for (let turns = 0; turns < 8; turns++) {
    using it = new Restarts();
    const { qemu, process } = it;
    qemu.gpio.setDirections(1);
    it.pass();
    process.driven();
    qemu.gpio.setData(1);
    for (let turn = 0; turn < turns; turn++) {
      process.loop.turn(0);
      it.turnQemu();
    }
    it.kill();
    qemu.gpio.setData(0);
    it.turnQemu();
    const next = it.next();
    it.pass(20);
    const driven = [...process.driven(), ...next.driven()];
    // What is done is not known to be done: it is done again, without an edge.
    const edges = driven.filter((level, i) => level !== (driven[i - 1] ?? 0));
    assertEquals(edges, [1, 0], `after ${turns} turns: ${driven}`);
  }
});

Deno.test("a message of which a part was read is not misread", () => {
  using it = new Restarts();
  const { qemu } = it;
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.pass();
  it.kill();
  // Reports and an event are in the sockets.
  qemu.gpio.setData(0);
  qemu.gpio.setData(1);
  qemu.gpio.setData(0);
  qemu.tellRaw('{"event": "NO\\"SUCH", "data": {}}');
  it.turnQemu();
  assertEquals(it.steal("qtest", 5), "IRQ l");
  assertEquals(it.steal("qmp", 7), '{"event');
  const next = it.next();
  it.pass(20);
  assertEquals(next.log, ["connected", "resumed"]);
  assertEquals(next.driven().at(-1), 0);
  assertEquals(qemu.qtestClients, 1);
});

Deno.test("a reset, a shutdown and a pause of the gap are noticed", () => {
  for (
    const [happen, log] of [
      [
        (qemu: QemuDouble) => qemu.reset(),
        ["connected", "stopped", "gone", "started"],
      ],
      [
        (qemu: QemuDouble) => {
          qemu.tell("SHUTDOWN");
          qemu.status = "shutdown";
        },
        ["connected", "gone"],
      ],
      [
        (qemu: QemuDouble) => {
          qemu.tell("STOP");
          qemu.status = "paused";
        },
        ["connected", "resumed"],
      ],
    ] as const
  ) {
    using it = new Restarts();
    it.qemu.gpio.setDirections(1);
    it.qemu.gpio.setData(1);
    it.pass();
    it.kill();
    happen(it.qemu);
    it.turnQemu();
    const next = it.next();
    it.pass(20);
    assertEquals(next.log, log);
  }
});

Deno.test("a controller that forgets a reset gets another connection, also for the next process", () => {
  const board = [{ ...PL061, type: "imx.gpio", direction: 4, data: 0 }];
  using it = new Restarts({
    device: "imx.gpio",
    board: board.map((one) => ({ ...one, isForgetful: true })),
  });
  const { qemu } = it;
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.pass();
  qemu.reset();
  it.pass(20);
  assertEquals(qemu.qtestClients, 2);
  it.kill();
  qemu.reset();
  it.turnQemu();
  const next = it.next();
  it.pass(100);
  assertEquals(next.log, ["connected", "stopped", "gone", "started"]);
  assertEquals(qemu.qtestClients, 3);
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.pass(20);
  assertEquals(next.driven(), [1]);
});

Deno.test("a guest drives lines on whose directions only the rules say", () => {
  using it = new Restarts({
    device: "unknown",
    rules: ["output", "input"],
    board: [{ ...PL061, type: "unknown" }],
  });
  const { qemu } = it;
  qemu.gpio.setDirections(1);
  qemu.gpio.setData(1);
  it.pass();
  assertEquals(it.process.driven(), [1]);
  it.kill();
  const next = it.next();
  it.pass(20);
  // Not one that has lost its guest.
  assertEquals(next.log, ["connected", "resumed"]);
  assertEquals(next.ports[0]!.direction, Direction.Output);
  it.kill();
  qemu.gpio.setData(0);
  qemu.gpio.setData(1);
  it.turnQemu();
  const last = it.next();
  it.pass(20);
  assertEquals(last.driven(), [0, 1]);
});

Deno.test("a QEMU that has ended in the gap is gone, and the next one is served", () => {
  using it = new Restarts();
  it.qemu.gpio.setDirections(1);
  it.pass();
  it.kill();
  it.endQemu();
  const next = it.next();
  it.pass(20);
  assertEquals(next.log, ["gone"]);
  assertEquals(it.store.problems, []);
});

Deno.test("a session that cannot go on ends, and QEMU is connected to again", () => {
  for (
    const [options, problem] of [
      [{ identity: "other lines" }, "its lines, or its QEMU, are others"],
      [{ device: "/machine/soc/device[6]" }, "its lines, or its QEMU"],
    ] as const
  ) {
    using it = new Restarts();
    it.kill();
    const next = it.next(options);
    it.pass(CONNECT_MS);
    assertStringIncludes(it.store.problems.join(), problem);
    assertEquals(next.log, ["connected", "started"]);
    assertEquals(it.qemu.qtestClients, 2);
  }
});

Deno.test("what another version kept ends the session, and QEMU is connected to again", () => {
  for (const version of [0, 2, undefined, "1"]) {
    using it = new Restarts();
    it.kill();
    it.rewrite({ version });
    const next = it.next();
    it.pass(CONNECT_MS);
    assertStringIncludes(
      it.store.problems.join(),
      "its state is of another version",
    );
    assertEquals(next.log, ["connected", "started"]);
    assertEquals(it.qemu.qtestClients, 2);
  }
});

Deno.test("a QEMU that does not answer when it should go on is connected to again", () => {
  for (const silent of ["query-status", "endianness"]) {
    using it = new Restarts();
    it.qemu.gpio.setDirections(1);
    it.pass();
    it.kill();
    it.qemu.onCommand = (text) => text.includes(silent) ? null : undefined;
    const next = it.next();
    it.pass(20);
    assertEquals(next.log, []);
    // The one after it does not know which answers are due.
    it.kill();
    it.turnQemu();
    it.qemu.onCommand = undefined;
    const last = it.next();
    it.pass(20);
    assertStringIncludes(it.store.problems.join(), "as it was to go on");
    assert(!last.log.includes("gone"), last.log.join());
  }
});
