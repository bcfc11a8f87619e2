import { assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { KeeperDouble } from "../../tests/doubles/keeper_double.ts";
import { KeptWish } from "./kept_wish.ts";

Deno.test("KeptWish outlives its process, each change at once", () => {
  using keeper = new KeeperDouble();
  for (const [before, after] of [[undefined, 1], [1, 0], [0, undefined]]) {
    using wish = KeptWish.open(keeper, "wish.a");
    assertEquals(wish.wish, before);
    wish.wish = after;
    keeper.restart();
  }
  assertEquals(keeper.problems, []);
});

Deno.test("KeptWish begins anew where what was kept is none", () => {
  using keeper = new KeeperDouble();
  keeper.offer("wish.a", createMemFd("short", 4));
  keeper.offer("wish.a", createEventFd());
  const rest = createMemFd("nonsense", 8);
  keeper.offer("wish.a", rest);
  using wish = KeptWish.open(keeper, "wish.a");
  assertEquals(wish.wish, undefined);
  assertEquals(keeper.problems.length, 2);
  assertEquals(keeper.names, ["wish.a"]);
});

Deno.test("KeptWish is kept once, and again where something useless had its name", () => {
  using keeper = new KeeperDouble();
  let kept = 0;
  const counting = {
    take: (name: string) => keeper.take(name),
    keep: (name: string, fd: number) => {
      kept++;
      keeper.keep(name, fd);
    },
    drop: (name: string) => keeper.drop(name),
    report: () => {},
  };
  const open = () => KeptWish.open(counting, "wish.a");
  using first = open();
  first.wish = 1;
  keeper.restart();
  using _second = open();
  assertEquals(kept, 1);
  keeper.restart();
  keeper.offer("wish.a", createEventFd());
  using third = open();
  assertEquals([kept, third.wish], [2, 1]);
});
