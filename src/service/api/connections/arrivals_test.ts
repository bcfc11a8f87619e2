import { assertEquals } from "@std/assert";
import { Arrivals } from "./arrivals.ts";

function takeAll(arrivals: Arrivals<string>): string[] {
  const taken: string[] = [];
  for (;;) {
    const next = arrivals.take();
    if (next === undefined) return taken;
    taken.push(next);
  }
}

Deno.test("Arrivals takes turns of users, and of a user's processes", () => {
  const arrivals = new Arrivals<string>(10);
  for (let i = 0; i < 4; i++) arrivals.add(`a${i}`, { uid: 1, pid: 10 });
  arrivals.add("b", { uid: 1, pid: 11 });
  arrivals.add("c", { uid: 2, pid: 12 });
  assertEquals(arrivals.size, 6);
  assertEquals(takeAll(arrivals), ["a0", "c", "b", "a1", "a2", "a3"]);
  assertEquals(arrivals.size, 0);
});

Deno.test("Arrivals ends the newest of the process with most, when there are too many", () => {
  const arrivals = new Arrivals<string>(4);
  const add = (name: string, uid: number, pid: number) =>
    arrivals.add(name, { uid, pid });
  const surplus = [
    add("other", 2, 20),
    add("a", 1, 10),
    add("b", 1, 11),
    add("c", 1, 11),
    add("late", 3, 30),
    add("last", 4, 40),
  ];
  assertEquals(surplus.slice(0, 4), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(surplus.slice(4), ["c", "a"]);
  assertEquals(takeAll(arrivals), ["other", "b", "late", "last"]);
});

Deno.test("Arrivals keeps others whatever one process brings", () => {
  const arrivals = new Arrivals<number>(100);
  arrivals.add(-1, { uid: 1, pid: 10 });
  let surplus = 0;
  for (let i = 0; i < 10_000; i++) {
    if (arrivals.add(i, { uid: 1, pid: 11 }) !== undefined) surplus++;
  }
  assertEquals([arrivals.size, surplus], [100, 9901]);
  assertEquals(arrivals.take(), -1);
});
