/** Lines of a chip, of a kernel that the test plays. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import type { ChipDouble } from "../../../tests/doubles/gpio_kernel/chip_double.ts";
import { EIO, EPERM, ESRCH } from "../../../ffi/errno.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { openChip } from "../../gpio/mod.ts";
import { Edges, FAILED } from "../../line/port.ts";
import type { TimeShare } from "../../reactor/event_loop.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { SourceOperation } from "../line_source.ts";
import { ChipEdges } from "./chip_edges.ts";
import { SourceFactory } from "./source_factory.ts";

/** A chip of four lines, and a factory of their sources. */
function rig() {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  const chip: ChipDouble = kernel.addChip({ lines: 4 });
  const reactor = stack.use(
    new Reactor({
      onError: (error) => {
        throw error;
      },
    }),
  );
  const sources = stack.use(new SourceFactory(reactor));
  const open = (spec: string, owner: string) =>
    sources.open(parseLineSpec(spec)[0]!, owner);
  return {
    kernel,
    chip,
    reactor,
    sources,
    open,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("ChipLine does not take a line again once it is closed", () => {
  using test = rig();
  const line = test.open("gpiochip0/1", "a");
  assertEquals(line.submit(SourceOperation.Input, 0), 0);
  line[Symbol.dispose]();
  assertEquals(line.submit(SourceOperation.SetEdges, Edges.Both), FAILED);
  assertEquals(test.chip.consumer(1), undefined);
  using other = test.open("gpiochip0/1", "b");
  assertEquals(other.submit(SourceOperation.Output, 1), 0);
});

/** A loop that records in which shares fds are watched. */
function recorded(reactor: Reactor) {
  const shares: (TimeShare | undefined)[] = [];
  const watch = reactor.watch.bind(reactor);
  reactor.watch = (fd, events, onReady, share) => {
    shares.push(share);
    return watch(fd, events, onReady, share);
  };
  return shares;
}

for (
  const [spec, isOwn] of [["gpiochip0/1", true], [
    "gpiochip0/1,shared",
    false,
  ]] as const
) {
  Deno.test(`SourceFactory serves edges of ${spec} in ${isOwn ? "its owner's time" : "time that is no user's"}`, () => {
    using test = rig();
    const [first, second] = [test.reactor.share(), test.reactor.share()];
    const [specification] = parseLineSpec(spec);
    using one = test.sources.open(specification!, "a", [], first);
    using other = isOwn
      ? undefined
      : test.sources.open(specification!, "b", [], second);
    const shares = recorded(test.reactor);
    for (const source of [one, other]) {
      source?.submit(SourceOperation.SetEdges, Edges.Both);
    }
    assertEquals(shares.length, 1);
    assertEquals(shares[0] === first, isOwn);
    assert(shares[0] !== undefined && shares[0] !== second);
  });
}

/** A line whose edges are logged, in a loop whose time the test moves. */
function edgesRig() {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  const chip = kernel.addChip({ lines: 2 });
  let now = 0;
  const reactor = stack.use(
    new Reactor({
      onError: (error) => {
        throw error;
      },
      now: () => now,
    }),
  );
  const request = stack.use(
    stack.use(openChip(chip.path)).requestLines({
      lines: [{ offset: 1, settings: { direction: "input", edge: "both" } }],
    }),
  );
  const heard: number[] = [];
  const edges = stack.use(
    new ChipEdges(reactor, {
      edge: (value) => heard.push(value),
      gone: () => {},
    }),
  );
  edges.wanted = Edges.Both;
  return {
    kernel,
    chip,
    edges,
    request,
    heard,
    turn: () => {
      for (let i = 0; i < 4; i++) reactor.turn(0);
    },
    pass: (ms: number) => {
      now += ms;
      reactor.turn(0);
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("ChipEdges tells edges of a kept request before newer ones", () => {
  using test = edgesRig();
  const { chip, edges, request } = test;
  edges.begin(request, true);
  chip.pull(1, "up");
  chip.pull(1, "down");
  edges.hearKept();
  chip.pull(1, "up");
  test.turn();
  assertEquals(test.heard, [1, 0, 1]);
});

Deno.test("ChipEdges tells no edge of a kept request that is not wanted any more", () => {
  using test = edgesRig();
  const { chip, edges, request } = test;
  edges.begin(request, true);
  chip.pull(1, "up");
  chip.pull(1, "down");
  edges.hearKept();
  edges.wanted = Edges.Falling;
  test.turn();
  assertEquals(test.heard, [0]);
});

Deno.test("ChipEdges takes no error number for a level", () => {
  using test = edgesRig();
  const { chip, edges, kernel, request } = test;
  edges.begin(request, false);
  for (const errno of [EPERM, ESRCH, EIO]) {
    kernel.refuse("GPIO_V2_LINE_GET_VALUES_IOCTL", errno);
    edges.look();
    edges.lookAgain();
    test.pass(100);
  }
  assertEquals(test.heard, []);
  chip.pull(1, "up");
  edges.lookAgain();
  test.pass(100);
  assertEquals(test.heard, [1]);
});

for (
  const [how, when] of [["shared", "at the start"], ["combine=or", "later"]]
) {
  Deno.test(`a line with ${how} has all of its users, whose chip was away ${when}`, () => {
    using test = rig();
    const spec = `late/1,${how},optional`;
    const moved = when === "later"
      ? test.kernel.addChip({ lines: 2, label: "late" })
      : undefined;
    using first = test.open(spec, "a");
    moved?.unplug();
    runUntil(test.reactor, () => first.isAbsent === true);
    using second = test.open(spec, "b");
    assertEquals(second.isAbsent, true);
    const chip = moved ?? test.kernel.addChip({ lines: 2, label: "late" });
    moved?.plug();
    runUntil(
      test.reactor,
      () => first.isAbsent !== true && second.isAbsent !== true,
    );
    if (how === "shared") {
      chip.pull(1, "up");
      for (const source of [first, second]) {
        assertEquals(source.submit(SourceOperation.GetValue, 0), 1);
      }
      return;
    }
    assertEquals(first.submit(SourceOperation.Output, 0), 0);
    assertEquals(second.submit(SourceOperation.Output, 1), 0);
    assertEquals(chip.level(1), 1);
    second[Symbol.dispose]();
    assertEquals(chip.level(1), 0);
  });
}

Deno.test("a line whose chip is away is one aggregator's once", () => {
  using test = rig();
  const spec = "late/1,shared,optional";
  using _line = test.open(spec, "a");
  assertThrows(() => test.open(spec, "a"), Error, "taken by");
  assertThrows(
    () => test.open("late/1,combine=or,optional", "b"),
    Error,
    "taken by",
  );
});

/** Runs a loop until something holds, for so many turns at most. */
function runUntil(reactor: Reactor, holds: () => boolean): void {
  for (let turn = 0; !holds(); turn++) {
    assert(turn < 1000, "it never holds");
    reactor.turn(20);
  }
}
