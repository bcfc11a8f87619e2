/** Aggregators come and go in pieces, and whole or not at all. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../../ffi/file_status.ts";
import { readMonotonicNs } from "../../../ffi/clock.ts";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import type { EdgeRecord } from "../../aggregator/aggregator.ts";
import type { FdStore } from "../../aggregator/restart/fd_store.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { EdgeRecorder } from "../../edges/edge_recorder.ts";
import { EdgeReader, ringBytes } from "../../edges/edge_ring.ts";
import { EdgeRule, stateBefore, unpackRule } from "../../edges/record.ts";
import { abandon } from "../../reactor/pieces.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { joinAnswer, type RecordedLines } from "../messages/messages.ts";
import { ReactorHost } from "./reactor_host.ts";
import type { HostEvents } from "./served_aggregator.ts";

const LINES = 100;

/** A host without a thread of its own, and a place for sockets. */
function rig(
  { store, events, record }: {
    store?: FdStore;
    events?: Partial<HostEvents>;
    record?: EdgeRecord;
  } = {},
) {
  const stack = new DisposableStack();
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-host-" });
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const fail = (error: unknown) => {
    throw error;
  };
  const reactor = stack.use(new Reactor({ onError: fail }));
  const host = stack.use(
    new ReactorHost(
      reactor,
      {
        service: () => {},
        changes: () => {},
        idle: () => {},
        ...events,
      },
      store,
      record,
    ),
  );
  const specification = (name: string, spec = `sim/${LINES}`) => ({
    name,
    vhostUser: { socketPath: `${directory}/${name}.sock` },
    lines: parseLineSpec(spec),
  });
  return {
    host,
    specification,
    hasSocket: (name: string) =>
      fileStatus(`${directory}/${name}.sock`) !== undefined,
    names: () =>
      joinAnswer([...host.describe()]).aggregators.map(({ name }) => name),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

/** Does all pieces; returns how many there were that are no part of an answer. */
function pieces(steps: Iterable<unknown>): number {
  let count = 0;
  for (const step of steps) if (step === undefined) count++;
  return count;
}

Deno.test("ReactorHost.add() and remove() do a line or two a piece", () => {
  using test = rig();
  const { host } = test;
  const both = [test.specification("a"), test.specification("b")];
  const adding = host.add(both, []);
  adding.next();
  assertEquals(test.names(), [], "served once all are complete");
  assert(pieces(adding) >= 2 * LINES);
  assertEquals(test.names(), ["a", "b"]);
  assert(pieces(host.withdraw("a", false)) >= LINES);
  assert(pieces(host.remove("a", false)) >= LINES);
  assertEquals(test.names(), ["b"]);
  assertEquals([test.hasSocket("a"), test.hasSocket("b")], [false, true]);
});

Deno.test("ReactorHost.add() leaves nothing of what cannot be had, and takes pieces for that too", () => {
  using test = rig();
  const { host } = test;
  const bad = test.specification("bad");
  // Its socket cannot be made: found out last.
  Deno.mkdirSync(bad.vhostUser.socketPath);
  let count = 0;
  const adding = host.add([test.specification("good"), bad], []);
  assertThrows(() => {
    while (adding.next().done !== true) count++;
  });
  assert(count >= 4 * LINES, `${count} pieces`);
  assertEquals(test.names(), []);
  assertEquals(test.hasSocket("good"), false);
  pieces(host.add([test.specification("good")], []));
  assertEquals(test.names(), ["good"]);
});

Deno.test("lines are reported as recorded with their states before the first edge", () => {
  const memory = new SharedArrayBuffer(ringBytes(64));
  const recorder = new EdgeRecorder(memory, readMonotonicNs);
  const reader = new EdgeReader(memory);
  const told: RecordedLines[] = [];
  const ended: number[][] = [];
  using test = rig({
    record: { recorder, withInputs: false },
    events: {
      recorded: (lines) => {
        assertEquals(reader.head, 0, "no edge is recorded yet");
        told.push(lines);
      },
      unrecorded: (firstId, count) => ended.push([firstId, count]),
    },
  });
  const bad = test.specification("bad", "sim/2,direction=output,initial=1");
  Deno.mkdirSync(bad.vhostUser.socketPath);
  assertThrows(() => pieces(test.host.add([bad], [])));
  const edges = reader.read(0, 9);
  const [{ time, firstId, names, states }] = told as [RecordedLines];
  assertEquals([told.length, firstId, names.length], [1, 0, 2]);
  assertEquals(
    edges.slice(0, 2).map((
      { lineId, bits },
    ) => [lineId, unpackRule(bits), stateBefore(bits)]),
    states.map((state, i) => [i, EdgeRule.Start, state]),
  );
  assert(edges.every((edge) => edge.time >= time));
  assertEquals(ended, [[0, 2]], "the lines that could not be served are over");
});

const ACTIVE = "direction=output,initial=1,safe=0";
const CHIP_LINES = 4;
/** Time for which a line that was let go may be held. **Units**: ms. */
const HELD_LIMIT_MS = 30_000;

/**
 * A chip, the levels of its lines, and those that stay held: a process that
 * another test is just starting may have a copy of their fds until it has begun.
 */
function chipRig(kernel: GpioKernel) {
  const chip = kernel.addChip({ lines: CHIP_LINES });
  const offsets = Array.from({ length: CHIP_LINES }, (_, i) => i);
  const isHeld = (offset: number) => chip.consumer(offset) !== undefined;
  const word = new Int32Array(new SharedArrayBuffer(4));
  return {
    levels: () => offsets.map((offset) => chip.level(offset)),
    held: () => {
      const deadline = performance.now() + HELD_LIMIT_MS;
      while (offsets.some(isHeld) && performance.now() < deadline) {
        Atomics.wait(word, 0, 0, 1);
      }
      return offsets.filter(isHeld);
    },
  };
}

for (const doneBefore of [0, 1, 3, 5]) {
  Deno.test(`ReactorHost.remove() that is abandoned after ${doneBefore} pieces leaves no line active`, () => {
    using kernel = GpioKernel.install();
    const { levels, held } = chipRig(kernel);
    using test = rig();
    const { host } = test;
    const one = test.specification("a", `gpiochip0/0-3,${ACTIVE}`);
    pieces(host.add([one], []));
    assertEquals(levels(), [1, 1, 1, 1]);
    const removing = host.remove("a", false);
    // The first is its description.
    for (let i = 0; i <= doneBefore; i++) removing.next();
    abandon(removing);
    host[Symbol.dispose]();
    assertEquals([levels(), held()], [[0, 0, 0, 0], []]);
  });
}

Deno.test("ReactorHost.add() that is abandoned while it fails leaves no line active", () => {
  using kernel = GpioKernel.install();
  const { levels, held } = chipRig(kernel);
  let isOver = false;
  for (let count = 1; !isOver; count++) {
    using test = rig();
    const bad = test.specification("bad", `gpiochip0/2-3,${ACTIVE}`);
    Deno.mkdirSync(bad.vhostUser.socketPath);
    const good = test.specification("good", `gpiochip0/0-1,${ACTIVE}`);
    const adding = test.host.add([good, bad], []);
    try {
      for (let i = 0; i < count; i++) adding.next();
      abandon(adding);
    } catch {
      isOver = true;
    }
    assertEquals([levels(), held()], [[0, 0, 0, 0], []], `after ${count}`);
  }
});

for (const leaves of [false, true]) {
  const what = leaves ? "leaves what is kept" : "makes safe what it had begun";
  Deno.test(`ReactorHost.add() that fails ${what}`, () => {
    using kernel = GpioKernel.install();
    const { levels } = chipRig(kernel);
    const dropped: string[] = [];
    const store: FdStore = {
      leaves,
      take: () => [],
      keep: () => {},
      drop: (name) => dropped.push(name),
      report: () => {},
    };
    using test = rig({ store });
    const { host } = test;
    const good = test.specification("good", `gpiochip0/0,${ACTIVE}`);
    const noSocket = test.specification("bad", `gpiochip0/1,${ACTIVE}`);
    Deno.mkdirSync(noSocket.vhostUser.socketPath);
    const noLine = test.specification("bad", `gpiochip0/2,${ACTIVE}`);
    noLine.lines.push(...parseLineSpec("gpiochip0/9"));
    const left = leaves ? 1 : 0;
    assertThrows(() => pieces(host.add([noSocket], [])));
    assertEquals(levels(), [0, left, 0, 0]);
    // A line that was not started yet is as it was.
    assertThrows(() => pieces(host.add([good, noLine], [])));
    assertEquals(levels(), [left, left, 0, 0]);
    assertEquals(dropped.length > 0, !leaves, dropped.join());
    // This is served until it is handed over.
    assertEquals(test.names(), leaves ? ["good"] : []);
    assertEquals(test.hasSocket("good"), leaves);
    host.handOver();
    assertEquals(levels(), [left, left, 0, 0]);
  });
}

/** A store that throws for the lines of one chip's first half. */
function brokenStore(): FdStore {
  return {
    take: () => [],
    keep: () => {},
    drop: (name) => {
      if (/gpiochip0.*[01]$/.test(name)) throw new TypeError("a bug");
    },
    report: () => {},
  };
}

for (
  const [title, broken, end] of [
    ["", "a", (host: ReactorHost) => host[Symbol.dispose]()],
    [
      ".withdraw()",
      "b",
      (host: ReactorHost) => pieces(host.withdraw("a", true)),
    ],
    [".remove()", "b", (host: ReactorHost) => pieces(host.remove("a", true))],
  ] as const
) {
  Deno.test(`ReactorHost${title} makes the lines of one aggregator safe when another's end throws`, () => {
    using kernel = GpioKernel.install();
    const { levels } = chipRig(kernel);
    using test = rig({ store: brokenStore() });
    const { host } = test;
    const specification = (name: string) => {
      const isBroken = name === broken;
      const lines = isBroken
        ? "gpiochip0/0-1,direction=output,initial=1,on-disconnect=release"
        : `gpiochip0/2-3,${ACTIVE}`;
      return test.specification(name, lines);
    };
    pieces(host.add([
      specification("a"),
      { ...specification("b"), secondOf: "a" },
    ], []));
    assertEquals(levels(), [1, 1, 1, 1]);
    assertThrows(() => end(host), TypeError, "a bug");
    assertEquals(levels().slice(2), [0, 0]);
    try {
      host[Symbol.dispose]();
    } catch {
      // The store throws again.
    }
  });
}
