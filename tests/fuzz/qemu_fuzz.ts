/**
 * A structure-aware fuzzer of QMP and qtest peers.
 *
 * A hostile peer is a plausible QEMU in which anything may be wrong: greetings,
 * answers, names, numbers, order, reports, events, lengths, nesting, and when it
 * hangs up. Whatever it does, each line that it is sent is one of few commands,
 * each text that is reported is harmless, and the next good QEMU is served.
 *
 * Everything follows from the seed, so that a failure can be repeated.
 *
 * @module
 */
import { listDirectory } from "../../ffi/directory_entries.ts";
import type { ControllerModelOptions } from "../doubles/qemu_double.ts";
import { pinsRig, PL061 } from "../doubles/pins_rig.ts";
import { Random } from "./ring_fuzz_random.ts";

/** Options of a run. */
export interface QemuFuzzOptions {
  /** Seed of the random choices. */
  seed: number;
  /** Hostile peers, at most. */
  iterations: number;
  /** Ends the run after this many milliseconds; no limit unless given. */
  limitMs?: number;
  /** Counts open fds after each peer: for a process with nothing beside. */
  countsFds?: boolean;
}

/** Report of a run, so that one that reaches nothing shows. */
export interface QemuFuzzReport {
  /** Hostile peers that were run. */
  sessions: number;
  /** Commands that they were sent. */
  commands: number;
  /** Those of them that went to qtest. */
  tests: number;
  /** Peers that were connected to as a whole. */
  connected: number;
  /** Peers of which a fault was reported. */
  faulty: number;
}

type Rig = ReturnType<typeof pinsRig>;

/** All that qtest may ever be sent. */
const QTEST_COMMAND =
  /^(endianness|irq_intercept_out P|readl 0x[0-9a-f]{1,14}|set_irq_in P unnamed-gpio-in \d{1,4} [01])$/;
const QOM_PATH =
  /\/machine(\/[A-Za-z0-9_.:,@+#-]{1,128}(\[\d{1,6}\])?)+(?= |$)/;
/** Longest text of a report. */
const MAX_REPORT = 3000;

const NAMES = [
  "gpio",
  "gpio[0]",
  "gpio\r\nquit",
  "gpio HTTP/1.1",
  "../..",
  "",
  "__proto__",
  "constructor",
  "\x1b]0;x\x07",
  "\u202egpio",
  "\ud800",
  "x".repeat(300),
  "unnamed-gpio-in[0]",
  "gpioA0",
];
const TYPES = [
  "child<pl061>",
  "child<pl061>\n",
  "child<imx.gpio>",
  "child<x.gpio>",
  "child<container>",
  "child<>",
  "child<gpio-key>",
  "child<qemu:memory-region>",
  "link<irq>",
  "bool",
  "",
];
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  "",
  "x",
  "/machine/soc/device[6]/unnamed-gpio-in[9999999]",
  [],
  {},
  [[]],
];
const EVENTS = [
  "RESET",
  "SHUTDOWN",
  "STOP",
  "RESUME",
  "POWERDOWN",
  "constructor",
  "",
];
const GREETINGS = ['{"QMP":{}}', '{"QMP":[]}', '{"QMP":1}', "{}", "", "\0"];
const ANSWERS = ["OK", "OK little", "OK 0x0", "OK x", "FAIL", "FAIL x", "ok"];

/** A peer, with what it does wrong. */
class HostilePeer {
  readonly #rig: Rig;
  readonly #random: Random;
  /** One of so many answers is wrong. */
  readonly #rarity: number;
  /** True once qtest was answered, so that more than the first may come. */
  #hasAnswered = false;
  commands = 0;
  tests = 0;

  readonly #board: readonly ControllerModelOptions[];

  constructor(
    rig: Rig,
    random: Random,
    board: readonly ControllerModelOptions[],
  ) {
    this.#board = board;
    this.#rig = rig;
    this.#random = random;
    this.#rarity = random.pick([3, 40, 400, 400]);
  }

  run(): void {
    const random = this.#random;
    const rig = this.#rig;
    rig.boot((qemu) => {
      if (random.oneIn(12)) qemu.greeting = random.pick(GREETINGS);
      qemu.onCommand = (text) => this.#command(text);
    });
    for (let steps = random.below(30); steps > 0; steps--) {
      this.#step();
      rig.clock.now += random.pick([0, 1, 25, 300]);
      rig.turn(1 + random.below(12));
    }
  }

  #step(): void {
    const random = this.#random;
    const { qemu } = this.#rig;
    switch (random.below(8)) {
      case 0:
        return qemu.tellRaw(this.#text());
      case 1:
        return qemu.babble(this.#text());
      case 2:
        return qemu.tell(random.pick(EVENTS));
      case 3:
        return qemu.babble(this.#reports());
      case 4:
        return qemu.reset();
      case 5:
        return qemu.gpio.setDirections(random.below(256));
      default:
        return qemu.gpio.setData(random.below(256));
    }
  }

  #command(text: string): string | null | undefined {
    this.#check(text);
    const random = this.#random;
    const isTest = !text.startsWith("{");
    if (!random.oneIn(this.#rarity)) {
      if (!isTest) return undefined;
      this.#hasAnswered = true;
      return isKnown(this.#board, text) ? undefined : answerTo(text);
    }
    if (random.oneIn(5)) return null;
    if (random.oneIn(5)) return this.#text();
    if (isTest) {
      const answer = random.pick(ANSWERS);
      if (answer === "OK little") this.#hasAnswered = true;
      return answer;
    }
    const { id, execute } = JSON.parse(text);
    const isList = execute === "qom-list" && !random.oneIn(3);
    const value = isList ? this.#list() : random.pick(VALUES);
    return JSON.stringify({
      [random.oneIn(6) ? "error" : "return"]: value,
      id: random.oneIn(8) ? random.pick(VALUES) : id,
    });
  }

  #list(): unknown[] {
    const random = this.#random;
    const count = random.pick([0, 1, 3, 20, 400]);
    return Array.from(
      { length: count },
      () =>
        random.oneIn(20) ? random.pick(VALUES) : {
          name: random.pick(NAMES),
          type: random.pick(TYPES),
        },
    );
  }

  /** Anything at all. */
  #text(): string {
    const random = this.#random;
    switch (random.below(7)) {
      case 0:
        return "x".repeat(random.pick([1, 5000, 70_000, 300_000]));
      case 1:
        return "[".repeat(random.pick([10, 1000, 60_000]));
      case 2: {
        const depth = random.pick([3, 17, 20_000]);
        return `{"id":1,"error":${"[".repeat(depth)}${"]".repeat(depth)}}`;
      }
      case 3:
        return this.#reports();
      case 4:
        return JSON.stringify(random.pick(VALUES));
      case 5:
        return random.pick(ANSWERS);
      default:
        return JSON.stringify({
          error: { desc: random.pick(NAMES) },
          id: random.below(40),
        });
    }
  }

  #reports(): string {
    const random = this.#random;
    const one = () =>
      `IRQ ${random.pick(["raise", "lower", "x"])} ${
        random.pick(["0", "1", "7", "8", "31", "9999", "-1", "99999", "", "x"])
      }`;
    return Array.from({ length: random.pick([1, 3, 50, 5000]) }, one)
      .join("\n");
  }

  /** Whatever was heard, this is what may be said. */
  #check(text: string): void {
    this.commands++;
    if (/[^\x20-\x7e]/.test(text)) {
      throw new Error(`a command is not plain text: ${JSON.stringify(text)}`);
    }
    if (text.startsWith("{")) {
      const { execute } = JSON.parse(text);
      if (
        /^(qmp_capabilities|qom-(list|get|set)|query-status)$/.test(execute)
      ) {
        return;
      }
      throw new Error(`QMP is asked for ${execute}`);
    }
    this.tests++;
    if (!QTEST_COMMAND.test(text.replace(QOM_PATH, "P"))) {
      throw new Error(`qtest is sent ${text}`);
    }
    if (text !== "endianness" && !this.#hasAnswered) {
      throw new Error(`qtest is sent ${text} before it has shown what it is`);
    }
    if (text === "endianness") this.#hasAnswered = false;
  }
}

/** True if a command is about what is on the board: the double knows it. */
function isKnown(
  board: readonly ControllerModelOptions[],
  text: string,
): boolean {
  const [command, subject = "", _list, pin] = text.split(" ");
  return command === "endianness" ||
    board.some(({ path, address, inputs = 8 }) =>
      command === "readl"
        ? [address + 0x400, address + 0x3fc].includes(Number(subject))
        : subject === path && (pin === undefined || Number(pin) < inputs)
    );
}

/** Returns the answer for objects that only a lie has made. */
function answerTo(text: string): string {
  return text.startsWith("readl") ? "OK 0x0" : "FAIL Unknown device";
}

/** Boards of which peers begin with one. */
const BOARDS: readonly (readonly ControllerModelOptions[])[] = [
  [PL061],
  [{ ...PL061, type: "x.gpio", inputs: 0 }],
  [{ ...PL061, inputs: 0, properties: ["gpioA0", "gpioA1"] }],
  [PL061, { ...PL061, path: "/machine/soc/other", address: 0x2000_0000 }],
];

/**
 * Runs hostile peers, each followed by a good one.
 *
 * @throws {Error} As soon as something is wrong; the message has the seed with
 * which that one peer can be repeated.
 */
export function runQemuFuzz(options: QemuFuzzOptions): QemuFuzzReport {
  const report = {
    sessions: 0,
    commands: 0,
    tests: 0,
    connected: 0,
    faulty: 0,
  };
  const begin = performance.now();
  const isDue = () =>
    options.limitMs !== undefined &&
    performance.now() - begin > options.limitMs;
  for (let i = 0; i < options.iterations && !isDue(); i++) {
    const seed = options.seed + i;
    try {
      const before = options.countsFds === true ? openFds() : 0;
      runOne(new Random(seed), report);
      const left = options.countsFds === true ? openFds() - before : 0;
      if (left !== 0) throw new Error(`${left} fds are left`);
    } catch (cause) {
      throw new Error(`QEMU fuzz fails with seed ${seed}: ${cause}`, { cause });
    }
  }
  return report;
}

function openFds(): number {
  return listDirectory("/proc/self/fd").length;
}

function runOne(random: Random, report: QemuFuzzReport): void {
  const board = random.pick(BOARDS);
  using rig = pinsRig({
    rules: [random.pick(["any", "output"]), "any"],
    board,
    device: random.pick(["pl061", "pl061", "gpio", "/machine/soc/device[6]"]),
    ...(random.oneIn(2) ? { index: 0 } : {}),
    waitsForCloses: true,
  });
  // Not every board is one that can be served.
  rig.boot();
  const isServable = rig.log.includes("started");
  rig.kill();
  rig.pass(1100);
  rig.log.length = 0;
  const peer = new HostilePeer(rig, random, board);
  peer.run();
  report.sessions++;
  report.commands += peer.commands;
  report.tests += peer.tests;
  if (rig.log.includes("connected")) report.connected++;
  if (rig.log.some((line) => line.startsWith("fault"))) report.faulty++;
  const bad = rig.log.find((line) =>
    line.length > MAX_REPORT || /[\p{Cc}\p{Cf}\p{Cs}]/u.test(line)
  );
  if (bad !== undefined) {
    throw new Error(`reported is ${JSON.stringify(bad.slice(0, 200))}`);
  }
  rig.kill();
  if (isServable) serveGood(rig);
}

/** A good QEMU: it must be served whatever came before. */
function serveGood(rig: Rig): void {
  rig.pass(2000);
  rig.log.length = 0;
  const { gpio } = rig.boot();
  rig.pass(100);
  if (!rig.log.includes("started")) {
    throw new Error(`the good QEMU is told of by "${rig.log.join("; ")}"`);
  }
  gpio.setDirections(1);
  gpio.setData(1);
  rig.pass(100);
  if (rig.port.level !== 1) throw new Error("the good QEMU drives nothing");
}
