import { assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { KeeperDouble } from "../../tests/doubles/keeper_double.ts";
import { KeptWish } from "./kept_wish.ts";

Deno.test("KeptWish outlives its process, each change at once, and is kept once", () => {
  let keeper = new KeeperDouble();
  for (const [before, after] of [[undefined, 1], [1, 0], [0, undefined]]) {
    using wish = KeptWish.open(keeper, "wish.a");
    assertEquals(wish.wish, before);
    assertEquals(keeper.keeps, before === undefined ? 1 : 0);
    wish.wish = after;
    assertEquals(keeper.problems, []);
    keeper = keeper.restart();
  }
  assertEquals(keeper.names, ["wish.a"]);
  keeper[Symbol.dispose]();
});

Deno.test("KeptWish begins anew where what was kept is none", () => {
  using keeper = new KeeperDouble();
  keeper.offer("wish.a", createMemFd("short", 4));
  keeper.offer("wish.a", createEventFd());
  keeper.offer("wish.a", createMemFd("nonsense", 8));
  using wish = KeptWish.open(keeper, "wish.a");
  assertEquals(wish.wish, undefined);
  assertEquals(keeper.problems.length, 2);
  assertEquals(keeper.names, ["wish.a"]);
});

Deno.test("KeptWish is kept again where something useless had its name", () => {
  using first = new KeeperDouble();
  using wish = KeptWish.open(first, "wish.a");
  wish.wish = 1;
  using keeper = first.restart();
  keeper.offer("wish.a", createEventFd());
  using again = KeptWish.open(keeper, "wish.a");
  assertEquals([again.wish, keeper.keeps], [1, 1]);
  assertEquals(keeper.names, ["wish.a"]);
});
