import { assertEquals } from "@std/assert";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import { FdStoreDouble } from "../../../tests/doubles/fd_store_double.ts";
import { PersistedVote } from "./persisted_vote.ts";

Deno.test("PersistedVote outlives its process, each change at once, and is kept once", () => {
  let store = new FdStoreDouble();
  for (const [before, after] of [[undefined, 1], [1, 0], [0, undefined]]) {
    using vote = PersistedVote.open(store, "vote.a");
    assertEquals(vote.vote, before);
    assertEquals(store.keeps, before === undefined ? 1 : 0);
    vote.vote = after;
    assertEquals(store.problems, []);
    store = store.restart();
  }
  assertEquals(store.names, ["vote.a"]);
  store[Symbol.dispose]();
});

Deno.test("PersistedVote begins anew where what was kept is none", () => {
  using store = new FdStoreDouble();
  store.offer("vote.a", createMemFd("short", 4));
  store.offer("vote.a", createEventFd());
  store.offer("vote.a", createMemFd("nonsense", 8));
  using vote = PersistedVote.open(store, "vote.a");
  assertEquals(vote.vote, undefined);
  assertEquals(store.problems.length, 2);
  assertEquals(store.names, ["vote.a"]);
});

Deno.test("PersistedVote is kept again where something useless had its name", () => {
  using first = new FdStoreDouble();
  using vote = PersistedVote.open(first, "vote.a");
  vote.vote = 1;
  using store = first.restart();
  store.offer("vote.a", createEventFd());
  using again = PersistedVote.open(store, "vote.a");
  assertEquals([again.vote, store.keeps], [1, 1]);
  assertEquals(store.names, ["vote.a"]);
});

Deno.test("PersistedVote of an older version goes on by its new name", () => {
  using first = new FdStoreDouble();
  {
    using before = PersistedVote.open(first, "vote.older");
    before.vote = 1;
    using store = first.restart();
    using vote = PersistedVote.open(store, "vote.a", "vote.older");
    assertEquals([vote.vote, store.names], [1, ["vote.a"]]);
    vote.vote = 0;
    // What an older version left once more is older than that.
    store.offer("vote.older", createMemFd("older", 8));
    using next = store.restart();
    using again = PersistedVote.open(next, "vote.a", "vote.older");
    assertEquals([again.vote, next.names], [0, ["vote.a"]]);
    assertEquals(next.problems, []);
  }
});
