import { Creations } from "./creations.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { readCreation } from "./create.ts";
import type { Lease } from "./lease.ts";
import { newClaim } from "./lease_claim.ts";
import { HttpError } from "../requests/messages.ts";
import {
  creationsRig,
  describe,
  LeaseDouble,
  makeCreation,
  makeCreationsRig,
  PEER,
  RULES,
} from "../../../../tests/doubles/creations_rig.ts";

Deno.test("Creations ends what a restart cannot keep, and leaves the rest", async () => {
  const { creations, lend, served } = creationsRig("own");
  const lease = await lend("a");
  const body = { name: "k", lines: ["gpiochip0/1"], kernelChip: {} };
  const made = await creations.add(readCreation(body, RULES), body, PEER);
  const chip = new LeaseDouble();
  creations.tie(chip as unknown as Lease, { ...made, lease: "stream" }, PEER);
  await creations.add(...makeCreation("last", "none"));
  await creations.endLeases("the service ends");
  assertEquals([chip.ended, chip.token], ["the service ends", undefined]);
  assertEquals([lease.ended, lease.gone], [undefined, undefined]);
  assertEquals([...served], ["own", "a", "last"]);
});

Deno.test("Creations gives a token only where the next process goes on", async () => {
  const { lend } = creationsRig();
  const tokens = [(await lend("a")).token!, (await lend("b")).token!];
  for (const token of tokens) assertMatch(token, /^[\w-]{43}$/);
  assert(tokens[0] !== tokens[1]);
  const creations = new Creations({
    target: {
      describe: () => Promise.resolve([]),
      add: ([specification]) =>
        Promise.resolve([describe(specification!.name)]),
      removeWhole: () => Promise.resolve([]),
      changeRules: () => Promise.resolve([]),
    },
    events: { removed() {}, leaseOver() {}, stuck() {} },
  });
  const made = await creations.add(...makeCreation("a"));
  const lease = new LeaseDouble();
  creations.tie(lease as unknown as Lease, { ...made, lease: "stream" }, PEER);
  assertEquals(lease.token, undefined);
});

/** One whose client has a lease from an earlier process. */
async function restored(name = "a") {
  const { token, claim } = await newClaim(PEER);
  return { token, kept: { made: describe(name), claim } };
}

Deno.test("Creations gives a lease back to its client, once", async () => {
  const { token, kept } = await restored();
  const { creations, graces, heard, said } = makeCreationsRig([], [kept]);
  assertEquals(creations.findLease("a"), "stream");
  assertEquals(graces.size, 1);
  await creations.claim("a", token, { ...PEER, pid: 8 });
  assertEquals(graces.size, 0);
  const again = await assertRejects(
    () => creations.claim("a", token, PEER),
    HttpError,
    "has its client",
  );
  assertEquals(again.status, 409);
  const lease = new LeaseDouble();
  const state = { ...kept.made, lease: "stream" } as const;
  creations.tie(lease as unknown as Lease, state, PEER);
  assertEquals(lease.token, undefined, "its client has it");
  lease.gone!();
  await heard("lease of");
  assertEquals(said(), [
    "drop a",
    "removed a: its lease is over",
    "lease of 1000 for a: done",
  ]);
});

Deno.test("Creations gives a lease to no other user, and for no other token", async () => {
  const { token, kept } = await restored();
  const { kept: other } = await restored("b");
  const lasting = { made: describe("last") };
  const { creations, graces } = makeCreationsRig(["own"], [
    kept,
    other,
    lasting,
  ]);
  const flipped = (token[0] === "A" ? "B" : "A") + token.slice(1);
  for (
    const [name, tried, peer] of [
      ["a", flipped, PEER],
      ["a", token.slice(1), PEER],
      ["a", kept.claim.digest, PEER],
      ["a", "", PEER],
      ["a", token, { ...PEER, uid: 0 }],
      ["b", token, PEER],
      ["last", token, PEER],
      ["own", token, PEER],
      ["none", token, PEER],
    ] as const
  ) {
    const error = await assertRejects(
      () => creations.claim(name, tried, peer),
      HttpError,
    );
    assertEquals(error.status, 403);
    assert(tried === "" || !error.message.includes(tried));
  }
  await creations.claim("a", token, PEER);
  assertEquals(graces.size, 1);
  await creations.close("the service ends");
  assertEquals(graces.size, 0);
});

Deno.test("Creations ends what its client does not take back in time", async () => {
  const { token, kept } = await restored();
  const { creations, graces, heard, said, served } = makeCreationsRig([], [
    kept,
  ]);
  for (const over of graces) over();
  await heard("lease of");
  assertEquals(said(), [
    "drop a",
    "removed a: its client did not come back after a restart",
    "lease of 1000 for a: done",
  ]);
  assertEquals([...served], []);
  await assertRejects(() => creations.claim("a", token, PEER), HttpError);
});

Deno.test("Creations leaves what waits for its client to a next restart", async () => {
  const { token, kept } = await restored();
  const { creations, graces, said, served } = makeCreationsRig([], [kept]);
  await creations.endLeases("the service ends");
  const error = await assertRejects(
    () => creations.claim("a", token, PEER),
    HttpError,
  );
  assertEquals(error.status, 503);
  assertEquals([said(), [...served], graces.size], [[], ["a"], 0]);
});

Deno.test("Creations waits for the client of what was removed no longer", async () => {
  const { token, kept } = await restored();
  const { creations, graces, said } = makeCreationsRig([], [kept]);
  await creations.remove("a", "by hand");
  assertEquals(graces.size, 0);
  await assertRejects(() => creations.claim("a", token, PEER), HttpError);
  await creations.add(...makeCreation("a", "none"));
  assertEquals(said(), ["drop a", "removed a: by hand", "keep a"]);
});
