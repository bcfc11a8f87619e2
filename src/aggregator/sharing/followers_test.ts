import { assertEquals } from "@std/assert";
import { LoopDouble } from "../../../tests/doubles/line_doubles.ts";
import { type Follower, Followers } from "./followers.ts";

/** A loop whose turns are taken one by one. */
class TurnLoop extends LoopDouble {
  #tasks: (() => void)[] = [];

  override defer(task: () => void): void {
    this.#tasks.push(task);
  }

  turn(): void {
    for (const task of this.#tasks.splice(0)) task();
  }
}

/** Followers of a line whose states count up. */
function rig(count: number) {
  const loop = new TurnLoop();
  const followers = new Followers(loop);
  const line = { state: 0, told: 0 };
  const follower = () => {
    const seen: number[] = [];
    const one: Follower = {
      followedChanged: () => {
        line.told++;
        seen.push(line.state);
      },
    };
    followers.add(one);
    return { one, seen };
  };
  const all = Array.from({ length: count }, follower);
  const change = () => {
    line.state++;
    followers.tell();
  };
  /** Number of those that are told in one turn. */
  const turn = () => {
    line.told = 0;
    loop.turn();
    return line.told;
  };
  return { followers, line, all, follower, change, turn };
}

/** Tells until none is left; no turn may tell more than some hundreds. */
function finish({ turn }: ReturnType<typeof rig>): void {
  for (let told = turn(); told > 0; told = turn()) {
    assertEquals(told <= 256, true, `${told} in one turn`);
  }
}

Deno.test("some hundred followers are told of every change at once", () => {
  const { all, change, turn } = rig(256);
  change();
  change();
  for (const { seen } of all) assertEquals(seen, [1, 2]);
  assertEquals(turn(), 0);
});

Deno.test("thousands of followers are told in several turns, each once", () => {
  const one = rig(2000);
  one.change();
  assertEquals(one.line.told, 256);
  finish(one);
  for (const { seen } of one.all) assertEquals(seen, [1]);
});

Deno.test("followers that are told late see the newest state last, and none twice", () => {
  const one = rig(1000);
  for (let i = 0; i < 5; i++) {
    one.change();
    if (i % 2 === 0) one.turn();
  }
  finish(one);
  for (const { seen } of one.all) {
    assertEquals(seen.at(-1), 5);
    assertEquals(seen, [...new Set(seen)].toSorted((a, b) => a - b));
  }
});

Deno.test("followers may come and go while others are not told yet", () => {
  for (const at of [0, 255, 256, 700, 999]) {
    const one = rig(1000);
    one.change();
    one.turn();
    one.change();
    one.turn();
    const gone = one.all[at]!;
    one.followers.delete(gone.one);
    const added = one.follower();
    const seenBefore = gone.seen.length;
    finish(one);
    assertEquals(gone.seen.length, seenBefore);
    for (const { one: kept, seen } of one.all) {
      if (kept !== gone.one) assertEquals(seen.at(-1), 2);
    }
    assertEquals(added.seen.every((state) => state === 2), true);
  }
});

Deno.test("a follower that changes the line once more reaches all others", () => {
  const one = rig(600);
  let isLeft = true;
  one.followers.add({
    followedChanged: () => {
      if (!isLeft) return;
      isLeft = false;
      one.change();
    },
  });
  one.change();
  while (one.turn() > 0);
  for (const { seen } of one.all) assertEquals(seen.at(-1), 2);
});

Deno.test("a line that ends tells nothing more", () => {
  const one = rig(600);
  one.change();
  one.followers.stop();
  assertEquals(one.turn(), 0);
});
