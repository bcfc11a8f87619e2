import { assert, assertEquals } from "@std/assert";
import { HeldLine, HeldLines, PendingAdd } from "./held_lines.ts";
import { settlesWithin } from "../../async/wait.ts";

const TITLE = { name: "IN", description: "line 0 of /dev/gpiochip0" };
const PLACE = "line 0 of /dev/gpiochip0";
const PLACES = new Set([PLACE]);

/** A shared line that `owner` uses. */
function rig(owner = "a") {
  const lines = new HeldLines();
  const line = new HeldLine(PLACE, true);
  const addition = new PendingAdd();
  lines.add(line);
  addition.use(line, owner);
  line.open(TITLE);
  addition.end(true);
  return { lines, line };
}

/** Returns true if a promise is settled by now, with any outcome. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return await settlesWithin(promise, 0);
}

Deno.test("HeldLines.leave() ends the sharing before the line is let go", async () => {
  const { lines, line } = rig();
  assertEquals(lines.joinable(PLACE), line);
  assertEquals(await lines.leave("unknown"), []);
  assertEquals(lines.joinable(PLACE), line);
  assertEquals(await lines.leave("a"), [line]);
  assertEquals(lines.joinable(PLACE), undefined);
  assert(!await isSettled(line.gone));
  line.close();
  await line.gone;
});

Deno.test("HeldLines.leave() leaves a line to those who use it too", async () => {
  const { lines, line } = rig();
  const addition = new PendingAdd();
  addition.use(line, "b");
  addition.end(true);
  assertEquals(await lines.leave("a"), []);
  assertEquals(lines.joinable(PLACE), line);
  assertEquals(await lines.leave("b"), [line]);
});

Deno.test("HeldLines.leave() waits for pending users of the line", async () => {
  for (const isServed of [true, false]) {
    const { lines, line } = rig();
    const addition = new PendingAdd();
    addition.use(line, "b");
    const leaving = lines.leave("a");
    assert(!await isSettled(leaving));
    addition.end(isServed);
    assertEquals(await leaving, isServed ? [] : [line]);
  }
});

Deno.test("HeldLines.leave() ends what is served, not what is on its way by that name", async () => {
  const { lines, line } = rig();
  const again = new PendingAdd();
  again.use(line, "a");
  again.end(false);
  assertEquals(lines.joinable(PLACE), line, "the first one uses it still");
  const other = new HeldLine("another line", true);
  lines.add(other);
  const coming = new PendingAdd();
  coming.use(other, "a");
  assertEquals(await lines.leave("a"), [line]);
  assertEquals(other.uses.size, 1);
});

Deno.test("HeldLines.moving() tells of lines that come and go", async () => {
  const { lines, line } = rig();
  assertEquals(lines.moving(PLACES), undefined);
  await lines.leave("a");
  assertEquals(lines.moving(new Set(["another line"])), undefined);
  assertEquals(lines.moving(PLACES), line);
  assert(!line.isUsed);
  const leaving = line.settled!;
  assert(!await isSettled(leaving));
  line.close();
  await leaving;
  const next = new HeldLine(PLACE, true);
  new PendingAdd().use(next, "b");
  lines.add(next);
  assertEquals(lines.moving(PLACES), next);
  assert(next.isUsed);
  const coming = next.settled!;
  assert(!await isSettled(coming));
  next.open(TITLE);
  await coming;
  assertEquals(lines.moving(PLACES), undefined);
});

Deno.test("HeldLines knows a line no more that could not be had", async () => {
  const lines = new HeldLines();
  const line = new HeldLine(PLACE, true);
  const addition = new PendingAdd();
  lines.add(line);
  addition.use(line, "a");
  const coming = lines.moving(PLACES)!.settled;
  addition.end(false);
  line.close();
  await coming;
  assertEquals(lines.moving(PLACES), undefined);
  assertEquals(lines.joinable(PLACE), undefined);
});
