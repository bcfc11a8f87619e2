/** Outputs of a guest that goes on, whose chip was away when a process ended. */
import { assert, assertEquals } from "@std/assert";
import type { ChipDouble } from "../../tests/doubles/gpio_kernel/chip_double.ts";
import { GpioKernel } from "../../tests/doubles/gpio_kernel/kernel.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import { FAILED, LineOperation } from "../line/port.ts";
import { Reactor } from "../reactor/reactor.ts";
import { Aggregator } from "./aggregator.ts";
import { Interlocks } from "./rules/interlock.ts";
import { SourceFactory } from "./sources/source_factory.ts";

/** A line of one user, and one that others may share, as both begin. */
const PLAIN = "/0,direction=output,initial=0,safe=0,optional";
const COMBINED = "/1,direction=output,combine=or,safe=0,optional";
const { SetValue } = LineOperation;

/** A process with one aggregator, on the chips of this machine. */
class Process implements Disposable {
  readonly aggregator: Aggregator;
  readonly #stack = new DisposableStack();
  readonly #reactor: Reactor;
  readonly #store: FdStoreDouble;

  constructor(lines: readonly string[], store = new FdStoreDouble()) {
    this.#store = store;
    const reactor = this.#reactor = this.#stack.use(
      new Reactor({
        onError: (error) => {
          throw error;
        },
      }),
    );
    const sources = this.#stack.use(new SourceFactory(reactor, store));
    this.aggregator = Aggregator.open({
      name: "a",
      lines: lines.flatMap((line) => parseLineSpec(line)),
    }, {
      loop: reactor,
      store,
      openSource: (line) => sources.open(line, "a"),
      directory: sources.directory,
      interlocks: new Interlocks(),
      reporter: {
        refused: () => {},
        kernelRefused: () => {},
        presence: () => {},
        silent: () => {},
        rulePending: () => {},
        ruleHolds: () => {},
        forced: () => {},
        unforced: () => {},
        notBack: () => {},
      },
    });
    sources.takenOver();
  }

  /** Asks for a value, as the guest. */
  set(line: number, value: number): number {
    return this.aggregator.lines[line]!.submit(SetValue, value);
  }

  /** Serves until the chip of all lines is there, or is not. */
  await(isThere: boolean): void {
    const { lines } = this.aggregator;
    for (let turn = 0; turn < 1000; turn++) {
      if (lines.every(({ source }) => source.isAbsent !== isThere)) return;
      this.#reactor.turn(20);
    }
    assert(false, "its chip neither came nor went");
  }

  /** Dies; the next one has what was kept. */
  kill(lines: readonly string[]): Process {
    const store = this.#store.restart();
    for (const line of this.aggregator.lines) line.drop();
    this.#stack.dispose();
    return new Process(lines, store);
  }

  [Symbol.dispose](): void {
    this.aggregator[Symbol.dispose]();
    this.#stack.dispose();
    this.#store[Symbol.dispose]();
  }
}

/** A process whose guest has set both outputs, and whose chip went then. */
function rig(named = "panel") {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  const chip = kernel.addChip({ lines: 2, label: "panel" });
  const lines = [PLAIN, COMBINED].map((line) => `${named}${line}`);
  const first = new Process(lines);
  first.aggregator.guestBegan();
  assertEquals([first.set(0, 1), first.set(1, 1)], [0, 0]);
  chip.unplug();
  first.await(false);
  return {
    kernel,
    chip,
    first,
    lines,
    levels: () => [chip.level(0), chip.level(1)],
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** The chip comes back. */
function plug(chip: ChipDouble, process: Process): void {
  chip.plug();
  process.await(true);
}

Deno.test("outputs of a chip that returns have what their guest asked for", () => {
  using test = rig();
  using first = test.first;
  plug(test.chip, first);
  assertEquals(test.levels(), [1, 1]);
});

Deno.test("outputs of a chip that was away at a restart have what their guest's session asked for", () => {
  using test = rig();
  const { chip, first, lines } = test;
  // Killed twice: the one between has not seen the guest yet.
  using next = first.kill(lines).kill(lines);
  next.aggregator.guestBegan(true);
  plug(chip, next);
  assertEquals(test.levels(), [1, 1]);
  // It is as any line again, also for the process after.
  chip.unplug();
  next.await(false);
  assertEquals([next.set(0, 0), next.set(1, 0)], [FAILED, FAILED]);
  using last = next.kill(lines);
  last.aggregator.guestBegan(true);
  plug(chip, last);
  assertEquals(
    test.levels(),
    [1, 0],
    "only a vote that ends something holds if it is refused",
  );
});

Deno.test("outputs of a chip that returned between two processes follow once the session is seen", () => {
  using test = rig();
  test.chip.plug();
  using next = test.first.kill(test.lines);
  assertEquals(test.levels(), [0, 0], "no guest is seen yet");
  next.aggregator.guestBegan(true);
  assertEquals(test.levels(), [1, 1]);
});

Deno.test("outputs of a chip that was away are as at first for any other guest", () => {
  for (
    const arrive of [
      ({ aggregator }: Process) => aggregator.guestBegan(),
      ({ aggregator }: Process) => aggregator.guestGone(),
      () => {},
    ]
  ) {
    using test = rig();
    using next = test.first.kill(test.lines);
    arrive(next);
    plug(test.chip, next);
    assertEquals(test.levels(), [0, 0]);
    next.aggregator.guestBegan(true);
    const isSame = arrive.length === 0;
    assertEquals(test.levels(), isSame ? [1, 1] : [0, 0]);
  }
});

Deno.test("outputs whose guest was gone before a restart are as at first", () => {
  using test = rig();
  test.first.aggregator.guestGone();
  using next = test.first.kill(test.lines);
  next.aggregator.guestBegan(true);
  plug(test.chip, next);
  assertEquals(test.levels(), [0, 0]);
});

Deno.test("a chip's number says not which chip its guest drove", () => {
  using test = rig("gpiochip0");
  using next = test.first.kill(test.lines);
  next.aggregator.guestBegan(true);
  plug(test.chip, next);
  assertEquals(test.levels(), [0, 0]);
});

Deno.test("a combined output is its users' also after its chip had another number", () => {
  using test = rig();
  const { kernel, chip, first, lines } = test;
  kernel.addChip({ lines: 2, label: "stranger" });
  plug(chip, first);
  assertEquals(test.levels(), [1, 1]);
  using _next = first.kill(lines);
  assertEquals(test.levels(), [1, 1], "nothing moves it");
});
