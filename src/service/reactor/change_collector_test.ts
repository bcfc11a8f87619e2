import { assertEquals } from "@std/assert";
import { Reactor } from "../../reactor/reactor.ts";
import { ChangeCollector } from "./change_collector.ts";

Deno.test("ChangeCollector counts changes by line and reports them once in a while", () => {
  let now = 0;
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => now,
  });
  const reports: [number, number][][] = [];
  using collector = new ChangeCollector(
    reactor,
    (counts) => reports.push([...counts]),
  );
  for (let i = 0; i < 1000; i++) collector.lineChanged(3);
  collector.lineChanged(7);
  reactor.turn(0);
  assertEquals(reports, []);
  now = 20;
  reactor.turn(0);
  assertEquals(reports, [[[3, 1000], [7, 1]]]);
  // Nothing more happened: nothing more is told, and nothing wakes anybody.
  now = 1000;
  reactor.turn(0);
  assertEquals(reports.length, 1);
  collector.lineChanged(7);
  now = 1020;
  reactor.turn(0);
  assertEquals(reports[1], [[7, 1]]);
});

Deno.test("ChangeCollector tells no more once it is disposed", () => {
  let now = 0;
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => now,
  });
  let reports = 0;
  const collector = new ChangeCollector(reactor, () => reports++);
  collector.lineChanged(1);
  collector[Symbol.dispose]();
  now = 100;
  reactor.turn(0);
  assertEquals(reports, 0);
});

Deno.test("ChangeCollector reports many lines in parts, each change once", () => {
  let now = 0;
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => now,
  });
  const sizes: number[] = [];
  const sums = new Map<number, number>();
  using collector = new ChangeCollector(reactor, (counts) => {
    sizes.push(counts.size);
    for (const [line, count] of counts) {
      sums.set(line, (sums.get(line) ?? 0) + count);
    }
  });
  for (let i = 0; i < 2000; i++) collector.lineChanged(i % 1000);
  now = 20;
  reactor.turn(0);
  assertEquals(sizes, [64]);
  for (let i = 0; i < 30; i++) {
    now++;
    reactor.turn(0);
  }
  assertEquals(sizes.length, 16);
  assertEquals(sums.size, 1000);
  assertEquals([...sums.values()].every((count) => count === 2), true);
});
