import { assertEquals, assertRejects } from "@std/assert";
import { atOnce, UserSlots, WorkTurns } from "./work_turns.ts";

function rig() {
  const clock = {
    time: 0,
    rests: [] as number[],
    resting: undefined as (() => void) | undefined,
  };
  const turns = new WorkTurns<string>({
    now: () => clock.time,
    rest: (ms, then) => {
      clock.rests.push(ms);
      clock.resting = () => {
        clock.time += ms;
        then();
      };
    },
  });
  const log: string[] = [];
  const work = function* (name: string, steps: number, ms: number) {
    for (let i = 0; i < steps; i++) {
      clock.time += ms;
      log.push(name);
      yield;
    }
    return name;
  };
  const goOn = () => {
    const { resting } = clock;
    clock.resting = undefined;
    resting?.();
    return resting !== undefined;
  };
  return { clock, turns, log, work, goOn };
}

Deno.test("WorkTurns does short work at once, and without a rest", async () => {
  const { turns, clock, log, work } = rig();
  const done = turns.run("a", work("a", 3, 0.1));
  assertEquals(log, ["a", "a", "a"]);
  assertEquals(await done, "a");
  assertEquals(clock.rests, []);
});

Deno.test("WorkTurns does long work in slices, and rests as long as it worked", async () => {
  const { turns, clock, log, work, goOn } = rig();
  const done = turns.run("a", work("a", 10, 1));
  assertEquals(log.length, 4);
  while (goOn());
  assertEquals(await done, "a");
  assertEquals(clock.rests, [4, 4, 2]);
});

Deno.test("WorkTurns: owners take turns, however much one of them asks for", async () => {
  const { turns, log, work, goOn } = rig();
  const many = Array.from({ length: 5 }, () => turns.run("a", work("a", 1, 4)));
  const other = turns.run("b", work("b", 1, 4));
  while (goOn());
  await Promise.all([...many, other]);
  assertEquals(log, ["a", "b", "a", "a", "a", "a"]);
});

Deno.test("WorkTurns goes on after work that throws", async () => {
  const { turns } = rig();
  const failed = turns.run(
    "a",
    atOnce(() => {
      throw new Error("no");
    }),
  );
  await assertRejects(() => failed, Error, "no");
  assertEquals(await turns.run("a", atOnce(() => 7)), 7);
});

Deno.test("UserSlots has a user's requests wait, and no other's", async () => {
  const slots = new UserSlots(2);
  const first = await slots.take(1);
  const second = await slots.take(1);
  let hasThird = false;
  const third = slots.take(1).then((slot) => {
    hasThird = true;
    return slot;
  });
  using _other = await slots.take(2);
  await Promise.resolve();
  assertEquals(hasThird, false);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  second[Symbol.dispose]();
  using _again = await slots.take(1);
  using _more = await slots.take(1);
});
