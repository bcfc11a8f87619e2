import { assertEquals } from "@std/assert";
import { UnreadAnswers } from "./unread_answers.ts";

function rig(maxBytes: number) {
  const unread = new UnreadAnswers(maxBytes);
  const ended: string[] = [];
  const add = (name: string, uid: number, bytes: Uint8Array) =>
    unread.add(bytes, uid, () => ended.push(name));
  return { unread, ended, add };
}

Deno.test("UnreadAnswers counts what many read once, until the last has read it", () => {
  const { unread, ended, add } = rig(100);
  const bytes = new Uint8Array(80);
  const read = Array.from({ length: 50 }, (_, i) => add(`${i}`, i, bytes));
  assertEquals(unread.total, 80);
  for (const one of read) one();
  for (const one of read) one();
  assertEquals(unread.total, 0);
  assertEquals(ended, []);
});

Deno.test("UnreadAnswers ends the oldest of the user that has the most", () => {
  const { unread, ended, add } = rig(100);
  add("other", 2, new Uint8Array(30));
  add("first", 1, new Uint8Array(30));
  add("second", 1, new Uint8Array(30));
  add("third", 1, new Uint8Array(30));
  assertEquals(ended, ["first"]);
  assertEquals(unread.total, 90);
  add("late", 3, new Uint8Array(30));
  assertEquals(ended, ["first", "second"]);
});

Deno.test("UnreadAnswers sends one that is too large if it is alone", () => {
  const { unread, ended, add } = rig(100);
  add("small", 1, new Uint8Array(10));
  add("large", 1, new Uint8Array(500));
  assertEquals(ended, ["small"]);
  assertEquals(unread.total, 500);
});

Deno.test("UnreadAnswers ends a user's part of a shared answer only", () => {
  const { unread, ended, add } = rig(100);
  const shared = new Uint8Array(60);
  add("a", 1, shared);
  add("b", 2, shared);
  add("c", 1, new Uint8Array(60));
  // Its own part is not enough: the answer has another reader.
  assertEquals(ended, ["a", "c"]);
  assertEquals(unread.total, 60);
});
