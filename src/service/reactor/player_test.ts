import { assertEquals, assertThrows } from "@std/assert";
import { LoopDouble } from "../../../tests/doubles/line_doubles.ts";
import type { TimeShare, Watch } from "../../reactor/event_loop.ts";
import type { PinChange } from "./pin_changes.ts";
import { MAX_WAITING, Player } from "./player.ts";

/** A player whose time is moved by hand. */
function rig() {
  const pulls: string[] = [];
  const rig = { nowNs: 0, setNs: 0, isSpent: false, closed: 0, pulls };
  let ready = () => {};
  class Loop extends LoopDouble {
    override watch(...args: unknown[]): never {
      ready = args[2] as () => void;
      const watch: Watch = {
        update: () => {},
        failed: () => {},
        [Symbol.dispose]: () => rig.closed++,
      };
      return watch as never;
    }
    override share(): TimeShare {
      return {
        get isSpent() {
          return rig.isSpent;
        },
        take: () => true,
        defer: () => {},
      };
    }
  }
  const player = new Player(
    new Loop(),
    {
      fd: 7,
      set: (ns) => rig.setNs = ns,
      stop: () => rig.setNs = 0,
      [Symbol.dispose]: () => rig.closed++,
    },
    (into) => into[0] = rig.nowNs,
  );
  const add = (dueNs: number, name: string) =>
    player.add(dueNs, {
      level: 1,
      pin: { pull: () => pulls.push(name) },
      line: { pulled: () => {} },
    } as unknown as PinChange);
  return Object.assign(rig, { player, add, ready: () => ready() });
}

Deno.test("steps are played at their time, and their lateness is told", () => {
  const one = rig();
  const { player, add, pulls } = one;
  add(1000, "a");
  add(2000, "b");
  add(2000, "c");
  assertEquals(one.setNs, 1000);
  one.nowNs = 4000;
  one.ready();
  add(9000, "d");
  one.nowNs = 19_000;
  assertEquals(pulls, ["a", "b", "c"]);
  assertEquals([one.setNs, player.state.waiting], [9000, 1]);
  one.ready();
  assertEquals(pulls, ["a", "b", "c", "d"]);
  assertEquals(one.setNs, 0, "stopped");
  assertEquals(player.state, {
    waiting: 0,
    played: 4,
    medianLateUs: 3,
    worstLateUs: 10,
  });
});

Deno.test("a step waits for its time, and for the turn of its client", () => {
  const one = rig();
  const { add, pulls } = one;
  add(1000, "a");
  add(1000, "b");
  one.nowNs = 999;
  one.ready();
  assertEquals(pulls, []);
  one.nowNs = 1000;
  one.isSpent = true;
  one.ready();
  assertEquals([pulls, one.setNs], [[], 1000], "comes again at once");
  one.isSpent = false;
  one.ready();
  assertEquals(pulls, ["a", "b"]);
});

Deno.test("what waits can be cancelled, and is limited", () => {
  const one = rig();
  const { player, add, pulls } = one;
  for (let i = 0; i < MAX_WAITING; i++) add(1000, "a");
  player.checkRoom(0);
  assertThrows(() => player.checkRoom(1), RangeError, "at most");
  player.cancel();
  player.checkRoom(MAX_WAITING);
  one.nowNs = 5000;
  one.ready();
  assertEquals([pulls, player.state.waiting], [[], 0]);
  add(2000, "b");
  one.ready();
  assertEquals(pulls, ["b"]);
  player[Symbol.dispose]();
  assertEquals(one.closed, 2);
});

Deno.test("steps stay in their order, however many wait", () => {
  const one = rig();
  const { player, add, pulls } = one;
  let added = 0;
  let played = 0;
  for (const [more, fewer] of [[1000, 700], [1500, 3], [5000, 6797]] as const) {
    for (let i = 0; i < more; i++) add(++added, String(added));
    one.nowNs = played += fewer;
    one.ready();
    assertEquals([pulls.length, player.state.waiting], [
      played,
      added - played,
    ]);
  }
  assertEquals(pulls, Array.from({ length: 7500 }, (_, i) => String(i + 1)));
  assertEquals(one.setNs, 0, "stopped");
});

Deno.test("a step that throws is not played again, and the next one is", () => {
  const one = rig();
  const { player, add, pulls } = one;
  const failing = {
    level: 1,
    pin: {
      pull: () => {
        throw new Error("it failed");
      },
    },
  } as unknown as PinChange;
  player.add(1000, failing);
  add(1000, "b");
  one.nowNs = 1000;
  assertThrows(one.ready, Error, "it failed");
  assertEquals(one.setNs, 1000, "the timer comes again");
  one.ready();
  assertEquals(pulls, ["b"]);
});
