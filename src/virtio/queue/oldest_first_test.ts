import { assertEquals } from "@std/assert";
import { type CountedHeads, oldestFirst } from "./oldest_first.ts";

/** The heads in order, and the steps that it took. */
function ordered(given: CountedHeads) {
  const work = oldestFirst(given);
  for (let steps = 0;; steps++) {
    const { done, value } = work.next();
    if (done !== true) continue;
    return { heads: Array.from(value, (i) => given.heads[i]!), steps };
  }
}

/** Counters as halves, and what sorting by comparison makes of them. */
function counted(counters: readonly bigint[]) {
  const count = counters.length;
  const low = new Uint32Array(count + 3);
  const high = new Uint32Array(count + 3);
  const heads = new Uint16Array(count + 3);
  counters.forEach((counter, i) => {
    low[i] = Number(counter & 0xffff_ffffn);
    high[i] = Number(counter >> 32n);
    heads[i] = count - 1 - i;
  });
  const expected = counters.map((counter, i) => ({ counter, i }))
    .sort((a, b) =>
      a.counter < b.counter ? -1 : a.counter > b.counter ? 1 : a.i - b.i
    )
    .map(({ i }) => heads[i]!);
  return { given: { count, heads, low, high }, expected };
}

Deno.test("oldestFirst() orders few and many heads by all 64 bits", () => {
  let state = 1n;
  const random = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) % 2n ** 64n;
    return state;
  };
  for (const count of [0, 1, 2, 256, 257, 5000, 32768]) {
    for (
      const counter of [
        (i: number) => BigInt(i),
        (i: number) => BigInt(count - i),
        (i: number) => 2n ** 32n - 100n + BigInt((i * 7919) % count),
        (i: number) => BigInt(i % 3),
        () => random(),
      ]
    ) {
      const { given, expected } = counted(
        Array.from({ length: count }, (_, i) => counter(i)),
      );
      const { heads } = ordered(given);
      assertEquals(heads.length, expected.length);
      // assertEquals() takes ten times as long for an array as the sorting.
      assertEquals(heads.findIndex((head, i) => head !== expected[i]), -1);
    }
  }
});

Deno.test("oldestFirst() orders many heads in short steps", () => {
  const { given } = counted(
    Array.from({ length: 32768 }, (_, i) => BigInt(i * 7919 % 32768)),
  );
  // A look at each half, and two passes for each of two digits.
  assertEquals(ordered(given).steps, (2 + 2 * 2) * 32);
});
