import { assertEquals } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { KeeperDouble } from "../../tests/doubles/keeper_double.ts";
import { LoopDouble, SourceDouble } from "../../tests/doubles/line_doubles.ts";
import { parseLineSpec } from "../config/line_spec.ts";
import { Direction } from "../virtio/line_port.ts";
import { Aggregator } from "./aggregator.ts";
import { LineDirectory } from "./follow.ts";
import { Interlocks } from "./interlock.ts";

const LIMIT_MS = 60_000;

/** An aggregator of one output that an earlier process drove, or did not. */
function rig({ isKept = true, hadGuest = true } = {}) {
  const keeper = new KeeperDouble();
  if (hadGuest) keeper.offer("guest.a", createMemFd("guest", 1));
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
    keeper,
    openSource: () => source,
    directory: new LineDirectory(),
    interlocks: new Interlocks(),
    reporter: {
      refused: () => told.push("refused"),
      presence: () => told.push("presence"),
      silent: () => told.push("silent"),
      notBack: (ms) => told.push(`not back within ${ms}`),
    },
  });
  return { aggregator, keeper, loop, source, told };
}

Deno.test("Aggregator holds its lines for a guest that comes back after a restart", () => {
  const { aggregator, keeper, loop, source, told } = rig();
  using _keeper = keeper;
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
  const { aggregator, keeper, loop, source, told } = rig();
  using _keeper = keeper;
  loop.pass(LIMIT_MS);
  assertEquals(source.taken(), ["SetValue 0"]);
  assertEquals(told, [`not back within ${LIMIT_MS}`]);
  loop.pass(LIMIT_MS);
  assertEquals(source.taken(), []);
  aggregator[Symbol.dispose]();
  assertEquals(loop.size, 0);
});

Deno.test("Aggregator waits for nobody where there was no guest", () => {
  for (const isKept of [true, false]) {
    const { aggregator, keeper, loop, source } = rig({
      isKept,
      hadGuest: false,
    });
    using _keeper = keeper;
    assertEquals(source.taken(), isKept ? [] : ["Output 0"]);
    loop.pass(LIMIT_MS);
    assertEquals(source.taken(), []);
    aggregator[Symbol.dispose]();
  }
});

Deno.test("Aggregator keeps for the next process that there is a guest", () => {
  const { aggregator, keeper } = rig({ hadGuest: false });
  using _keeper = keeper;
  assertEquals(keeper.names, []);
  aggregator.guestBegan();
  aggregator.guestBegan();
  assertEquals(keeper.names, ["guest.a"]);
  aggregator.guestGone();
  assertEquals(keeper.names, []);
  aggregator.guestBegan();
  aggregator[Symbol.dispose]();
  assertEquals(keeper.names, []);
});
