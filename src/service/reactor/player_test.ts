import { assertEquals, assertThrows } from "@std/assert";
import { LoopDouble } from "../../../tests/doubles/line_doubles.ts";
import type { TimeShare, Watch } from "../../reactor/event_loop.ts";
import type { PinChange } from "./pin_changes.ts";
import { MAX_WAITING, Player, type PlayStep } from "./player.ts";

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
      drain: () => {},
      [Symbol.dispose]: () => rig.closed++,
    },
    () => rig.nowNs,
  );
  const step = (dueNs: number, name: string): PlayStep => ({
    dueNs,
    change: {
      level: 1,
      pin: { pull: () => pulls.push(name) },
      line: { pulled: () => {} },
    } as unknown as PinChange,
  });
  return Object.assign(rig, { player, step, ready: () => ready() });
}

Deno.test("steps are played at their time, and their lateness is told", () => {
  const one = rig();
  const { player, step, pulls } = one;
  player.add([step(1000, "a"), step(2000, "b"), step(2000, "c")]);
  assertEquals(one.setNs, 1000);
  one.nowNs = 4000;
  one.ready();
  player.add([step(9000, "d")]);
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
  const { player, step, pulls } = one;
  player.add([step(1000, "a"), step(1000, "b")]);
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
  const { player, step, pulls } = one;
  player.add(Array.from({ length: MAX_WAITING }, () => step(1000, "a")));
  assertThrows(() => player.add([step(2000, "b")]), RangeError, "at most");
  player.cancel();
  one.nowNs = 5000;
  one.ready();
  assertEquals([pulls, player.state.waiting], [[], 0]);
  player.add([step(2000, "b")]);
  one.ready();
  assertEquals(pulls, ["b"]);
  player[Symbol.dispose]();
  assertEquals(one.closed, 2);
});
