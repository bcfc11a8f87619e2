/**
 * A seeded fuzzer that compares the GPIO device with a second implementation of
 * what it is meant to do, written down as plainly as possible.
 *
 * The driver is honest here: what is compared is meaning, not robustness. Some
 * lines answer at once and some later, batches are of any size, and queues are
 * stopped and resumed at any time, none of which a guest may notice.
 *
 * @module
 */
import { GpioGuest, type Interrupt } from "../doubles/gpio_guest.ts";
import { ModelPort } from "../doubles/model_port.ts";
import { Random } from "./ring_fuzz_random.ts";

/** Report of a run. */
export interface ModelFuzzReport {
  /** Batches of requests, buffers and pulls. */
  steps: number;
  /** Requests compared. */
  requests: number;
  /** Event buffers compared. */
  events: number;
}

const LINES = 5;
const BAD_TYPES = [0, 7, 0xffff];

/** Runs the comparison; throws with seed and step when the two differ. */
export function runModelFuzz(
  options: { seed: number; iterations: number },
): ModelFuzzReport {
  const random = new Random(options.seed);
  const report = { steps: 0, requests: 0, events: 0 };
  let run = new Comparison(random, report);
  for (let step = 0; step < options.iterations; step++) {
    if (step % 500 === 499) run = new Comparison(random, report);
    try {
      run.step();
    } catch (cause) {
      throw new Error(
        `model fuzz failed with seed ${options.seed} at step ${step}`,
        { cause },
      );
    }
    report.steps++;
  }
  return report;
}

/** One line, as the specification and our decisions describe it. */
class ReferenceLine {
  isOutput = false;
  pulled = 0;
  driven = 0;
  set: number | undefined;
  irqType = 0;
  isHeld = false;
  isLatched = false;

  get level(): number {
    return this.isOutput ? this.driven : this.pulled;
  }

  get isActive(): boolean {
    return this.irqType === 4 && this.level === 1 ||
      this.irqType === 8 && this.level === 0;
  }
}

/** The device, as the specification and our decisions describe it. */
class Reference {
  readonly lines = Array.from({ length: LINES }, () => new ReferenceLine());
  readonly hasIrq: boolean;
  events: Interrupt[] = [];

  constructor(hasIrq: boolean) {
    this.hasIrq = hasIrq;
  }

  /** The status and value that answer a request. */
  request(type: number, number: number, value: number): [number, number] {
    const error: [number, number] = [1, 0];
    const line = this.lines[number];
    if (line === undefined) return error;
    if (type === 2) return [0, line.isOutput ? 1 : 2];
    if (type === 3 && value <= 2) {
      if (value === 2) {
        line.isOutput = false;
        return [0, 0];
      }
      if (value === 1) {
        line.driven = line.set ?? line.level;
        line.isOutput = true;
        if (line.irqType !== 0) this.#disable(number);
        return [0, 0];
      }
      this.#disable(number);
      line.set = undefined;
      return [0, 0];
    }
    if (type === 4) return [0, line.level];
    if (type === 5 && value <= 1) {
      line.set = value;
      if (line.isOutput) line.driven = value;
      return [0, 0];
    }
    if (type === 6 && this.hasIrq && [0, 1, 2, 3, 4, 8].includes(value)) {
      if (value === 0) {
        this.#disable(number);
        return [0, 0];
      }
      if (value === line.irqType) return [0, 0];
      if (line.isOutput) return error;
      line.irqType = value;
      line.isLatched = false;
      if (line.isActive && line.isHeld) this.#giveBack(number, 1);
      return [0, 0];
    }
    return error;
  }

  unmask(number: number): void {
    const line = this.lines[number];
    if (line === undefined || line.isHeld) {
      this.events.push({ line: number, status: 0, length: 1 });
      return;
    }
    line.isHeld = true;
    if (line.isLatched || line.isActive) this.#giveBack(number, 1);
    line.isLatched = false;
  }

  pull(number: number, level: number): void {
    const line = this.lines[number]!;
    const before = line.level;
    line.pulled = level;
    if (line.level === before) return;
    const isWanted = line.irqType === 3 ||
      line.irqType === (level === 1 ? 1 : 2);
    if (line.isHeld && (isWanted || line.isActive)) this.#giveBack(number, 1);
    else if (isWanted) line.isLatched = true;
  }

  #disable(number: number): void {
    const line = this.lines[number]!;
    line.irqType = 0;
    line.isLatched = false;
    if (line.isHeld) this.#giveBack(number, 0);
  }

  #giveBack(number: number, status: number): void {
    this.lines[number]!.isHeld = false;
    this.events.push({ line: number, status, length: 1 });
  }
}

/** A guest, its device, and the reference beside it. */
class Comparison {
  readonly #random: Random;
  readonly #report: ModelFuzzReport;
  readonly #ports: ModelPort[];
  readonly #guest: GpioGuest;
  readonly #reference: Reference;

  constructor(random: Random, report: ModelFuzzReport) {
    this.#random = random;
    this.#report = report;
    this.#ports = Array.from({ length: LINES }, () => new ModelPort());
    for (const port of this.#ports) port.slow = random.oneIn(3);
    const features = (random.oneIn(8) ? 0n : 1n) |
      (random.oneIn(2) ? 0n : 1n << 28n) | (random.oneIn(2) ? 0n : 1n << 29n);
    this.#guest = new GpioGuest(this.#ports, { features });
    this.#guest.budget = random.pick([1, 3, 64]);
    this.#reference = new Reference((features & 1n) !== 0n);
  }

  step(): void {
    const random = this.#random;
    switch (random.below(6)) {
      case 0:
      case 1:
        return this.#requests();
      case 2:
      case 3:
        return this.#unmask();
      case 4: {
        const line = random.below(LINES);
        const level = random.below(2);
        this.#reference.pull(line, level);
        this.#ports[line]!.pull(level);
        return this.#settle();
      }
      default:
        if (random.oneIn(4)) this.#guest.resume(random.oneIn(2) ? 0 : 1);
        for (const port of this.#ports) port.calls.length = 0;
        return this.#settle();
    }
  }

  #requests(): void {
    const random = this.#random;
    const expected = new Map<number, string>();
    for (let i = random.below(12); i >= 0; i--) {
      const type = random.oneIn(20)
        ? random.pick(BAD_TYPES)
        : 2 + random.below(5);
      const line = random.oneIn(20)
        ? LINES + random.below(9)
        : random.below(LINES);
      const value = random.oneIn(20) ? random.uint32() : random.below(9);
      const head = this.#guest.send(type, line, value);
      const answer = this.#reference.request(type, line, value);
      expected.set(head, `${answer}`);
    }
    this.#guest.serve(0);
    // What is pending may be taken over by a resumed queue at any time.
    if (random.oneIn(10)) this.#guest.resume(0);
    this.#finish();
    for (const { head, status, value, length } of this.#guest.responses()) {
      if (expected.get(head) !== `${status},${value}` || length !== 2) {
        throw new Error(
          `request ${head} was answered ${status},${value} in ${length} ` +
            `bytes, expected ${expected.get(head)}`,
        );
      }
      expected.delete(head);
      this.#report.requests++;
    }
    if (expected.size > 0) {
      throw new Error(`requests ${[...expected.keys()]} were not answered`);
    }
    this.#settle();
  }

  #unmask(): void {
    const random = this.#random;
    if (this.#guest.events.freeCount < 8) return;
    // One buffer a line: what becomes of a second one depends on when a slow
    // port is done with the first.
    const lines = new Set<number>();
    for (let i = random.below(3); i >= 0; i--) {
      lines.add(random.oneIn(20) ? LINES : random.below(LINES));
    }
    for (const line of lines) {
      this.#reference.unmask(line);
      this.#guest.queueEvent(line);
    }
    this.#guest.serve(1);
    this.#settle();
  }

  #finish(): void {
    while (this.#ports.some((port) => port.isPending)) {
      for (const port of this.#ports) if (port.isPending) port.finish();
    }
  }

  /** Compares the events; those of different lines may come in any order. */
  #settle(): void {
    this.#finish();
    const order = (a: Interrupt, b: Interrupt) => a.line - b.line;
    const actual = this.#guest.interrupts().sort(order);
    const expected = this.#reference.events.sort(order);
    this.#reference.events = [];
    this.#report.events += expected.length;
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      throw new Error(
        `events ${JSON.stringify(actual)}, expected ${
          JSON.stringify(expected)
        }`,
      );
    }
  }
}
