import { assertEquals } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { LoopDouble, SourceDouble } from "../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../config/spec/line_spec.ts";
import { Direction } from "../line/port.ts";
import { atOnce } from "../reactor/pieces.ts";
import { Aggregator } from "./aggregator.ts";
import { LineDirectory } from "./sharing/line_directory.ts";
import { Interlocks } from "./rules/interlock.ts";

const LIMIT_MS = 60_000;

/** An aggregator of one output that an earlier process drove, or did not. */
function rig(
  { isKept = true, hadGuest = true, store = new FdStoreDouble() } = {},
) {
  if (hadGuest) store.offer("guest.a", createMemFd("guest", 1));
  const loop = new LoopDouble();
  const source = new SourceDouble();
  source.isKept = isKept;
  source.direction = Direction.Output;
  source.value = 1;
  const told: string[] = [];
  const lines = parseLineSpec(
    "gpiochip0/0,direction=output,initial=0,safe=0",
  );
  const aggregator = Aggregator.open({ name: "a", lines }, {
    loop,
    now: () => loop.now,
    store,
    openSource: () => source,
    directory: new LineDirectory(),
    interlocks: new Interlocks(),
    reporter: {
      refused: () => told.push("refused"),
      kernelRefused: (_, operation, errno) =>
        told.push(`kernel refused ${operation}: ${errno}`),
      presence: () => told.push("presence"),
      silent: () => told.push("silent"),
      rulePending: (_, rule) => told.push(`lacks ${rule}`),
      ruleHolds: (_, rule) => told.push(`has ${rule}`),
      forced: (line, text) => told.push(`forced ${line.name}=${text}`),
      unforced: (line, reason) => told.push(`unforced ${line.name}: ${reason}`),
      notBack: (ms) => told.push(`not back within ${ms}`),
    },
  });
  return { aggregator, store, loop, source, told };
}

Deno.test("Aggregator holds its lines for a guest that comes back after a restart", () => {
  const { aggregator, store, loop, source, told } = rig();
  using _owned = store;
  assertEquals(source.taken(), []);
  loop.pass(LIMIT_MS - 1);
  aggregator.guestBegan();
  assertEquals(aggregator.awaitsGuest, false);
  loop.pass(LIMIT_MS);
  assertEquals([source.taken(), told], [[], []]);
  aggregator.guestGone();
  assertEquals(source.taken(), ["SetValue 0"]);
  aggregator[Symbol.dispose]();
});

Deno.test("Aggregator takes a guest that does not come back for gone", () => {
  const { aggregator, store, loop, source, told } = rig();
  using _owned = store;
  loop.pass(LIMIT_MS);
  assertEquals(source.taken(), ["SetValue 0"]);
  assertEquals(told, [`not back within ${LIMIT_MS}`]);
  loop.pass(LIMIT_MS);
  assertEquals(source.taken(), []);
  aggregator[Symbol.dispose]();
  assertEquals(loop.size, 0);
});

Deno.test("Aggregator waits for no guest where there was none", () => {
  for (const isKept of [true, false]) {
    const { aggregator, store, loop, source } = rig({
      isKept,
      hadGuest: false,
    });
    using _owned = store;
    assertEquals(source.taken(), isKept ? [] : ["Output 0"]);
    loop.pass(LIMIT_MS);
    assertEquals(source.taken(), []);
    aggregator[Symbol.dispose]();
  }
});

Deno.test("Aggregator keeps for the next process that there is a guest", () => {
  const { aggregator, store } = rig({ hadGuest: false });
  using _owned = store;
  assertEquals(store.names, []);
  aggregator.guestBegan();
  aggregator.guestBegan();
  assertEquals(store.names, ["guest.a"]);
  aggregator.guestGone();
  assertEquals(store.names, []);
  aggregator.guestBegan();
  aggregator[Symbol.dispose]();
  assertEquals(store.names, []);
});

Deno.test("Aggregator applies a gone guest's rule that did not hold before a restart", () => {
  const first = rig();
  first.aggregator.guestBegan();
  first.source.refusals = Infinity;
  first.aggregator.guestGone();
  assertEquals(first.source.value, 1);
  assertEquals(first.store.names, ["guest.a.gone"]);
  // The next process finds the line as it is, and no guest.
  const second = rig({ hadGuest: false, store: first.store.restart() });
  using _owned = second.store;
  assertEquals(second.source.taken(), ["SetValue 0"]);
  assertEquals(second.aggregator.awaitsGuest, false);
  assertEquals(second.store.names, []);
  second.aggregator[Symbol.dispose]();
});

Deno.test("Aggregator keeps for a restart that rules do not hold, until they do", () => {
  const { aggregator, store, loop, source } = rig();
  using _owned = store;
  aggregator.guestBegan();
  source.refusals = 4;
  aggregator.guestGone();
  aggregator.guestBegan();
  assertEquals(store.names, ["guest.a.gone", "guest.a"]);
  loop.pass(1000);
  aggregator.guestBegan();
  assertEquals(store.names, ["guest.a"]);
  aggregator.guestGone();
  assertEquals(store.names, []);
  aggregator[Symbol.dispose]();
});

Deno.test("Aggregator.withdraw() says which lines are not in their declared state", () => {
  const { aggregator, store, loop, source } = rig();
  using _owned = store;
  source.refusals = 4;
  atOnce(aggregator.withdrawing());
  assertEquals(
    aggregator.unsafe.map(({ line, reason }) => [line.lineNumber, reason]),
    [[0, "remote I/O error (EREMOTEIO)"]],
  );
  loop.pass(1000);
  assertEquals([aggregator.unsafe, source.value], [[], 0]);
  source.taken();
  aggregator[Symbol.dispose]();
  assertEquals(source.taken(), ["dispose"]);
});
