import { assertEquals, assertThrows } from "@std/assert";
import { MAX_CARD_LINES } from "../config/specification.ts";
import { Direction, LineOperation } from "../line/port.ts";
import { ModelPort } from "../../tests/doubles/model_port.ts";
import { Reactor } from "../reactor/reactor.ts";
import { MlIoh } from "./ml_ioh.ts";
import { layOut, MAX_LINES } from "./ml_ioh_layout.ts";

/** Registers of a channel, as the driver has them. */
const IEN = 0x00;
const ISTATUS = 0x04;
const ICLR = 0x0c;
const IMASK = 0x10;
const IMASKCLR = 0x14;
const PO = 0x18;
const PI = 0x1c;
const PM = 0x20;
const IM0 = 0x24;
const IM1 = 0x28;
const FALLING = 0;
const RISING = 1;
const LOW = 2;
const HIGH = 3;
const BOTH = 4;
/** The channel of the first 16 lines. */
const FIRST = 2;

class Rig {
  readonly ports: ModelPort[];
  readonly card: MlIoh;
  readonly log: string[] = [];
  interrupts = 0;

  constructor(
    count: number,
    rules: readonly ("input" | "output" | undefined)[] = [],
  ) {
    const loop = new Reactor({ onError: (error) => this.log.push(`${error}`) });
    this.ports = Array.from({ length: count }, () => new ModelPort());
    this.card = new MlIoh(
      this.ports.map((port, i) => ({
        port,
        rule: rules[i],
        retry: { loop, delayMs: () => undefined },
      })),
      {
        started: (isResumed) =>
          this.log.push(isResumed ? "resumed" : "started"),
        guestGone: () => this.log.push("gone"),
        lineLeft: (lineNumber) => this.log.push(`left ${lineNumber}`),
        answered: (lineNumber, request, isOk) =>
          this.log.push(`${request} ${lineNumber} ${isOk ? "ok" : "failed"}`),
        refused: (lineNumber) => this.log.push(`refused ${lineNumber}`),
      },
      () => 0,
    );
    this.card.onInterrupt = () => {
      if (this.card.isInterrupting) this.interrupts++;
    };
  }

  read(register: number, channel = FIRST): number {
    return this.card.read(1, 0x30 * channel + register, 4);
  }

  write(register: number, value: number, channel = FIRST): void {
    this.card.write(1, 0x30 * channel + register, 4, value);
  }

  /** Makes a pin an output, as the driver does: direction, then level. */
  output(bit: number, level: number, channel = FIRST): void {
    this.write(PM, this.read(PM, channel) | (1 << bit), channel);
    const latch = this.read(PO, channel) & ~(1 << bit);
    this.write(PO, latch | (level << bit), channel);
  }

  /** Arms an interrupt, as the driver does. */
  arm(bit: number, mode: number, channel = FIRST): void {
    const register = bit < 8 ? IM0 : IM1;
    const shift = (bit & 7) * 4;
    const modes = this.read(register, channel) & ~(7 << shift);
    this.write(register, modes | (mode << shift), channel);
    this.write(ICLR, 1 << bit, channel);
    this.write(IMASKCLR, 1 << bit, channel);
    this.write(IEN, this.read(IEN, channel) | (1 << bit), channel);
  }

  /** Serves an interrupt, as the driver's handler does; returns the levels. */
  handle(bit: number, channel = FIRST): number {
    this.write(ICLR, 1 << bit, channel);
    return (this.read(PI, channel) >> bit) & 1;
  }
}

Deno.test("layOut() keeps up to 16 lines on one chip of the guest", () => {
  assertEquals(new Set(layOut(16).map(({ channel }) => channel)), new Set([2]));
  assertEquals(
    [...new Set(layOut(MAX_LINES).map(({ channel }) => channel))],
    [2, 3, 5, 6, 4, 1, 7, 0],
  );
  assertEquals(MAX_LINES, MAX_CARD_LINES);
  assertThrows(() => layOut(MAX_LINES + 1), RangeError, "109 lines, not 110");
});

Deno.test("an output is driven at the level that follows its direction", () => {
  const rig = new Rig(4);
  rig.write(PM, 0b10);
  assertEquals(rig.ports[1]!.direction, Direction.Input);
  rig.write(PO, 0b10);
  assertEquals(rig.ports[1]!.direction, Direction.Output);
  assertEquals(rig.ports[1]!.level, 1);
  // The latch does not change, and yet this is the new output's level.
  rig.write(PM, 0b110);
  rig.write(PO, 0b010);
  assertEquals(rig.ports[2]!.direction, Direction.Output);
  assertEquals([rig.ports[1]!.level, rig.ports[2]!.level], [1, 0]);
  assertEquals(rig.read(PI) & 0b110, 0b010);
  assertEquals(rig.ports[0]!.direction, Direction.Input);
});

Deno.test("a pin that becomes an input again is one", () => {
  const rig = new Rig(1);
  rig.output(0, 1);
  rig.ports[0]!.pulled = 0;
  rig.write(PM, 0);
  assertEquals(rig.ports[0]!.direction, Direction.Input);
  assertEquals(rig.read(PI) & 1, 0);
});

Deno.test("rules of direction hold, whatever the guest writes", () => {
  const rig = new Rig(2, ["input", "output"]);
  rig.output(0, 1);
  assertEquals(rig.ports[0]!.direction, Direction.Input);
  assertEquals(rig.log.includes("refused 0"), true);
  rig.output(1, 1);
  assertEquals(rig.ports[1]!.level, 1);
  rig.write(PM, 0);
  assertEquals(rig.log.at(-1), "left 1");
  const [last] = rig.ports[1]!.history.slice(-1);
  assertEquals(last, [LineOperation.Deactivate, 0]);
});

Deno.test("edges interrupt by their mode", () => {
  for (
    const [mode, expected] of [
      [RISING, [1, 0]],
      [FALLING, [0, 1]],
      [BOTH, [1, 1]],
    ] as const
  ) {
    const rig = new Rig(12);
    rig.arm(9, mode);
    const seen = [1, 0].map((level) => {
      rig.ports[9]!.pull(level);
      const isDue = (rig.read(ISTATUS) >> 9) & 1;
      if (isDue === 1) assertEquals(rig.handle(9), level);
      return isDue;
    });
    assertEquals(seen, [...expected], `mode ${mode}`);
    assertEquals(rig.card.isInterrupting, false);
  }
});

Deno.test("a short pulse is a rising and a falling edge", () => {
  const rig = new Rig(1);
  rig.arm(0, BOTH);
  rig.ports[0]!.pull(1);
  rig.ports[0]!.pull(0);
  assertEquals(rig.card.isInterrupting, true);
  assertEquals(rig.handle(0), 1);
  assertEquals(rig.card.isInterrupting, true);
  assertEquals(rig.handle(0), 0);
  assertEquals(rig.card.isInterrupting, false);
});

Deno.test("another pin's handler does not release a level that is kept", () => {
  const rig = new Rig(2);
  rig.arm(0, BOTH);
  rig.arm(1, BOTH);
  for (const port of rig.ports) port.pull(1);
  rig.ports[1]!.pull(0);
  assertEquals(rig.handle(0), 1);
  assertEquals(rig.handle(1), 1);
  assertEquals(rig.read(ISTATUS), 0b10);
  assertEquals(rig.handle(1), 0);
});

Deno.test("a line that is read without an interrupt has its present level", () => {
  const rig = new Rig(1);
  rig.read(PI);
  for (const level of [1, 0, 1]) {
    rig.ports[0]!.pull(level);
    assertEquals(rig.read(PI), level);
  }
  rig.arm(0, BOTH);
  rig.ports[0]!.pull(0);
  // Nothing will read it: it must not stay old.
  rig.write(IEN, 0);
  rig.ports[0]!.pull(1);
  assertEquals(rig.read(PI), 1);
});

Deno.test("level interrupts stay while their level does", () => {
  for (const [mode, level] of [[HIGH, 1], [LOW, 0]] as const) {
    const rig = new Rig(1);
    rig.ports[0]!.pull(level);
    rig.arm(0, mode);
    assertEquals(rig.card.isInterrupting, true);
    rig.write(ICLR, 1);
    assertEquals(rig.card.isInterrupting, true);
    rig.ports[0]!.pull(1 - level);
    assertEquals(rig.card.isInterrupting, false);
    rig.ports[0]!.pull(level);
    assertEquals(rig.card.isInterrupting, true);
  }
});

Deno.test("a masked interrupt is kept, and shows when it is unmasked", () => {
  const rig = new Rig(1);
  rig.arm(0, RISING);
  rig.write(IMASK, 1);
  rig.ports[0]!.pull(1);
  assertEquals([rig.card.isInterrupting, rig.read(ISTATUS)], [false, 0]);
  rig.write(IMASKCLR, 1);
  assertEquals([rig.card.isInterrupting, rig.read(ISTATUS)], [true, 1]);
});

Deno.test("a reset ends the guest, once, and forgets its registers", () => {
  const rig = new Rig(2);
  rig.card.reset();
  assertEquals(rig.log, []);
  rig.output(0, 1);
  rig.arm(1, BOTH);
  rig.card.reset();
  rig.card.reset();
  assertEquals(rig.log.filter((entry) => entry === "gone").length, 1);
  assertEquals(
    [PO, PM, IEN, IM0].map((register) => rig.read(register)),
    [0, 0, 0, 0],
  );
  assertEquals(
    rig.ports[0]!.history.filter(([operation, argument]) =>
      operation === LineOperation.Deactivate && argument === 1
    ).length,
    1,
  );
});

Deno.test("a card goes on in the next process, with an output whose line is away", () => {
  const before = new Rig(2);
  const words = new Int32Array(before.card.stateWords);
  before.card.begin(words, false);
  before.output(0, 1);
  const next = new Rig(2);
  const [port] = next.ports;
  port!.broken = true;
  next.card.begin(words, true);
  assertEquals(next.log, [
    "resumed",
    "set_direction 0 failed",
    "set_value 0 failed",
  ]);
  port!.broken = false;
  next.card.restored(0);
  assertEquals([port!.direction, port!.level], [Direction.Output, 1]);
});

Deno.test("pins without a line read 0, and writes to them change nothing", () => {
  const rig = new Rig(3);
  rig.write(PM, 0xffff);
  rig.write(PO, 0xffff);
  rig.write(IEN, 0xffff);
  assertEquals(rig.read(PI), 0b111);
  assertEquals(rig.read(PM), 0b111);
  assertEquals(rig.read(IEN), 0b111);
  assertEquals(rig.card.strays > 0, true);
  for (const channel of [0, 1, 7]) {
    rig.write(PM, 0xffffffff, channel);
    rig.write(PO, 0xffffffff, channel);
    assertEquals(rig.read(PI, channel), 0);
  }
});

Deno.test("no access is one that the card cannot answer", () => {
  const rig = new Rig(20);
  for (const size of [1, 2, 4, 8]) {
    for (let offset = 0; offset < 0x200; offset += size) {
      rig.card.write(1, offset, size, 0xffffffff);
      const value = rig.card.read(1, offset, size);
      assertEquals(value >>> 0 <= 0xffffffff, true);
    }
  }
  assertEquals(rig.card.read(0, 0, 4), 0);
});
