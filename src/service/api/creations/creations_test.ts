import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { settlesWithin } from "../../../async/wait.ts";
import { ConfigError } from "../../../config/document/config_error.ts";
import { LinesHeldError } from "../../lanes/lanes.ts";
import { type Creation, readCreation, type RuleChanges } from "./create.ts";
import type { Peer } from "../connections/listener.ts";
import { HttpError } from "../requests/messages.ts";
import { plannedChange } from "../routes/rules_route.ts";
import { WorkTurns } from "../connections/work_turns.ts";
import {
  creationsRig,
  describe,
  makeCreation,
  PEER,
  RULES,
} from "../../../../tests/doubles/creations_rig.ts";
import { testLarge } from "../../../../tests/doubles/test_large.ts";

Deno.test("Creations knows whose a name is", async () => {
  const { creations, lend } = creationsRig("own");
  await lend("lent");
  await creations.add(...makeCreation("last", "none"));
  const names = ["own", "lent", "last"];
  assertEquals(names.map((name) => creations.findLease(name)), [
    "service",
    "stream",
    "none",
  ]);
  assertEquals(names.map((name) => creations.has(name)), [false, true, true]);
  for (const name of names) {
    await assertRejects(() => creations.add(...makeCreation(name)), HttpError);
  }
  // It would return with the next start.
  const refused = await assertRejects(
    () => creations.remove("own", "by hand"),
    HttpError,
    "own belongs to the service's own configuration",
  );
  assertEquals(refused.status, 409);
  assertEquals(creations.has("own"), false);
  await creations.remove("own", "by hand", true);
  await assertRejects(() => creations.remove("own", "by hand", true));
});

testLarge(
  "Creations gives the room of what is gone, or was not made, to others",
  async () => {
    const { creations, refusals } = creationsRig();
    const large = (name: string): [Creation, unknown, Peer] => {
      const body = { name, lines: ["sim/4096"], lease: "none" };
      return [readCreation(body, RULES), body, PEER];
    };
    for (let i = 0; i < 16; i++) await creations.add(...large(`a${i}`));
    const refused = () =>
      assertRejects(
        () => creations.add(...makeCreation("more")),
        HttpError,
        "65536 lines",
      );
    await refused();
    await creations.remove("a0", "by hand");
    refusals.push(new Error("a line is in use"));
    await assertRejects(
      () => creations.add(...large("b")),
      HttpError,
      "in use",
    );
    await creations.add(...large("b"));
    await refused();
  },
);

Deno.test("Creations ends with the lease, and says so", async () => {
  const { lend, said, heard, served } = creationsRig();
  const lease = await lend("a");
  assertEquals(said(), ["keep a"]);
  lease.gone!();
  await heard("lease of");
  assertEquals(said(), [
    "drop a",
    "removed a: its lease is over",
    "lease of 1000 for a: done",
  ]);
  assertEquals([...served], []);
});

Deno.test("Creations tells of what would not go, and tries again until it goes", async () => {
  const { creations, lend, errors, heard, said, served } = creationsRig();
  const lease = await lend("a");
  said();
  for (let i = 0; i < 5; i++) errors.push(new Error("the chip is in use"));
  lease.gone!();
  await heard("lease of 1000 for a: done");
  const lines = said();
  const told = (text: string) => lines.filter((line) => line === text).length;
  assertEquals(told("stuck a: the chip is in use"), 5);
  assertEquals(told("lease of 1000 for a: the chip is in use"), 5);
  assertEquals([...served], []);
  await creations.add(...makeCreation("a"));
});

Deno.test("Creations stops retrying a removal that another call has done", async () => {
  const { creations, lend, errors, heard, said } = creationsRig();
  const lease = await lend("a");
  errors.push(new Error("the chip is in use"));
  lease.gone!();
  await heard("stuck");
  await creations.remove("a", "by hand");
  said();
  // Another one by that name is left alone.
  await lend("a");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(said(), ["keep a"]);
});

Deno.test("Creations tries no more when the service ends", async () => {
  const { creations, lend, errors, heard, said } = creationsRig();
  const lease = await lend("a");
  errors.push(...new Array(100_000).fill(new Error("it is in use")));
  lease.gone!();
  await heard("stuck");
  await creations.close("the service ends");
  said();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(said(), []);
});

Deno.test("Creations waits for removals that are under way when the service ends", async () => {
  const { creations, lend, hold } = creationsRig();
  const lease = await lend("a");
  const gate = Promise.withResolvers<void>();
  hold(gate.promise);
  lease.gone!();
  const closed = creations.close("the service ends");
  assert(!await settlesWithin(closed, 10));
  gate.resolve();
  await closed;
});

Deno.test("Creations does what is under way before the next process takes over, and refuses the rest", async () => {
  const { creations, hold, said, served } = creationsRig();
  for (const name of ["a", "b"]) {
    await creations.add(...makeCreation(name, "none"));
  }
  const gate = Promise.withResolvers<void>();
  hold(gate.promise);
  said();
  const removal = creations.remove("a", "removed by a client");
  const change = creations.changeRules("b", { 0: { safe: 1 } }, async () => {
    await gate.promise;
    return makeCreation("b", "none")[0].specification;
  });
  const left = creations.endLeases("the service ends");
  for (
    const refused of [
      () => creations.remove("b", "removed by a client"),
      () => creations.changeRules("b", {}, () => Promise.resolve(undefined)),
      () => creations.add(...makeCreation("c", "none")),
    ]
  ) {
    const { status } = await assertRejects(refused, HttpError);
    assertEquals(status, 503);
  }
  assert(!await settlesWithin(left, 10));
  gate.resolve();
  await left;
  // It is told before the next process reads what is kept.
  assertEquals(said().toSorted(), [
    "change b to safe=undefined",
    "drop a",
    'keep rules of b {"0":{"safe":1}}',
    "removed a: removed by a client",
  ]);
  await Promise.all([removal, change]);
  assertEquals([...served], ["b"]);
});

Deno.test("Creations keeps nothing of what could not be made", async () => {
  const { creations, refusals, said } = creationsRig();
  const invalid = new ConfigError("has no such line");
  refusals.push(invalid, new Error("line 3 is busy"));
  const error = await assertRejects(() => creations.add(...makeCreation("a")));
  assertEquals(error, invalid);
  await assertRejects(
    () => creations.add(...makeCreation("a")),
    HttpError,
    "line 3 is busy",
  );
  assertEquals(said(), ["keep a", "drop a", "keep a", "drop a"]);
  assertEquals(creations.has("a"), false);
  await creations.add(...makeCreation("a"));
});

Deno.test("Creations says of lines that are not free that their aggregator is gone", async () => {
  const { creations, lend, errors, heard, said } = creationsRig();
  const held = new LinesHeldError([describe("a")], []);
  const lease = await lend("a");
  errors.push(held);
  await assertRejects(() => creations.remove("a", "by hand"), LinesHeldError);
  assertEquals(lease.ended, "by hand");
  assertEquals(said(), ["keep a", "drop a", "removed a: by hand"]);
  const next = await lend("a");
  errors.push(held);
  next.gone!();
  await heard("stuck");
  assertEquals(said(), [
    "keep a",
    "drop a",
    "removed a: its lease is over",
    `lease of 1000 for a: ${held.message}`,
    `stuck a: ${held.message}`,
  ]);
});

Deno.test("Creations has a name for the next one only when the last one is gone", async () => {
  const { creations, hold, served } = creationsRig("own");
  for (const name of ["own", "last"]) {
    if (name === "last") await creations.add(...makeCreation(name, "none"));
    const gate = Promise.withResolvers<void>();
    hold(gate.promise);
    const removal = creations.remove(name, "by hand", true);
    const next = creations.add(...makeCreation(name, "none"));
    assert(!await settlesWithin(creations.settled(name), 0));
    gate.resolve();
    await Promise.all([removal, next]);
    assertEquals([creations.findLease(name), served.has(name)], ["none", true]);
    await creations.remove(name, "by hand");
  }
});

Deno.test("Creations removes what is being made once it is made, with its lease", async () => {
  const { creations, lend, hold, served } = creationsRig();
  const gate = Promise.withResolvers<void>();
  hold(gate.promise);
  const lending = lend("a");
  // By then it is on its way to the reactor.
  await new Promise((resolve) => setTimeout(resolve));
  const removal = creations.remove("a", "by hand");
  gate.resolve();
  await removal;
  assertEquals((await lending).ended, "by hand");
  assertEquals([creations.has("a"), served.has("a")], [false, false]);
});

Deno.test("Creations forgets aggregators that another process removed", async () => {
  const { creations, lend, served } = creationsRig();
  const lease = await lend("a");
  served.delete("a");
  await assertRejects(() => creations.remove("a", "by hand"), Error, "no a");
  assertEquals([creations.has("a"), lease.ended], [false, "by hand"]);
  await creations.add(...makeCreation("a"));
});

Deno.test("changes of rules follow each other, and are kept together", async () => {
  const { creations, said } = creationsRig("own");
  const work = new WorkTurns<number>();
  await creations.add(...makeCreation("a", "none"));
  said();
  const change = (name: string, rules: RuleChanges) =>
    creations.changeRules(
      name,
      rules,
      (before, next) => work.run(1, plannedChange(before, next, RULES)),
    );
  await Promise.all([
    change("a", { 0: { safe: 1 } }),
    change("a", { 0: { minInterval: "5ms" } }),
  ]);
  assertEquals(said(), [
    "change a to safe=1",
    'keep rules of a {"0":{"safe":1}}',
    "change a to safe=1",
    'keep rules of a {"0":{"safe":1,"minInterval":"5ms"}}',
  ]);
  assertEquals(await change("a", { 0: { safe: 1 } }), undefined);
  assertEquals(said(), [], "nothing changes");
  const { message } = await assertRejects(
    () => change("a", { 0: { onDisconnect: "input", safe: 1 } }),
    ConfigError,
  );
  assertStringIncludes(message, "safe=1 is never used");
  const fixed = await assertRejects(
    () => change("a", { 0: { direction: "output" } }),
    HttpError,
  );
  assertEquals(fixed.status, 409);
  assertStringIncludes(fixed.message, "direction=output may not hold");
  await assertRejects(() => change("own", { 0: { safe: 1 } }), HttpError);
  assertEquals(said(), []);
});

Deno.test("a change of rules that takes long keeps no other waiting, and outlives no removal", async () => {
  const { creations, said } = creationsRig();
  for (const name of ["a", "b"]) {
    await creations.add(...makeCreation(name, "none"));
  }
  said();
  const slow = Promise.withResolvers<void>();
  const first = creations.changeRules("a", {}, async (before, next) => {
    await slow.promise;
    return [...plannedChange(before, next, RULES)].length > 0
      ? makeCreation("a")[0].specification
      : undefined;
  });
  const changes = { 0: { safe: 1 } } as const;
  const work = new WorkTurns<number>();
  await creations.changeRules(
    "b",
    changes,
    (before, next) => work.run(1, plannedChange(before, next, RULES)),
  );
  assertEquals(said(), [
    "change b to safe=1",
    'keep rules of b {"0":{"safe":1}}',
  ]);
  await creations.remove("a", "by hand");
  said();
  slow.resolve();
  assertEquals(await first, undefined);
  assertEquals(said(), []);
});
