import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { settlesWithin } from "../../../async/wait.ts";
import { ConfigError } from "../../../config/document/config_error.ts";
import { LinesHeldError } from "../../lanes/lanes.ts";
import { UnsafeLinesError } from "../../messages/unsafe_lines_error.ts";
import type { AggregatorDescription } from "../../messages/messages.ts";
import { type Creation, readCreation, type RuleChanges } from "./create.ts";
import { Creations } from "./creations.ts";
import type { KeptCreation } from "./kept_creations.ts";
import type { Lease } from "./lease.ts";
import { newClaim } from "./lease_claim.ts";
import type { Peer } from "../connections/listener.ts";
import { HttpError } from "../requests/messages.ts";
import { plannedChange } from "../routes/rules_route.ts";
import { WorkTurns } from "../connections/work_turns.ts";

const PEER = { pid: 7, uid: 1000, gid: 100 };
const RULES = { socketDirectory: "/run/x", socketAccess: {} };

function describe(name: string): AggregatorDescription {
  return { name, presentation: "", connected: false, lines: [] };
}

function creationOf(name: string, lease?: "none"): [Creation, unknown, Peer] {
  const body = { name, lines: ["sim/1"], ...(lease && { lease }) };
  return [readCreation(body, RULES), body, PEER];
}

/** The maker's side of a lease. */
class LeaseDouble {
  isGone = false;
  ended: string | undefined;
  token: string | undefined;
  gone: (() => void) | undefined;

  grant(_state: unknown, onGone: () => void, token?: string): void {
    this.gone = onGone;
    this.token = token;
  }

  leave(): void {
    this.gone = undefined;
  }

  end(reason: string): void {
    this.ended = reason;
  }
}

/** Clients of a service that has some aggregators of its own. */
function rig(...own: string[]) {
  return rigOf(own);
}

/** One that outlived an earlier process. */
interface Restored {
  readonly made: AggregatorDescription;
  readonly claim?: KeptCreation["claim"];
}

/** The same, in which some outlived an earlier process. */
function rigOf(
  own: readonly string[],
  restored: readonly Restored[] = [],
) {
  /** Ends of grace times that are to come. */
  const graces = new Set<() => void>();
  const served = new Set([...own, ...restored.map(({ made }) => made.name)]);
  const log: string[] = [];
  const errors: Error[] = [];
  const refusals: Error[] = [];
  let gate: Promise<unknown> = Promise.resolve();
  const creations = new Creations({
    target: {
      describe: async (name) => {
        await gate;
        return served.has(name) ? [describe(name)] : [];
      },
      add: async ([specification]) => {
        await gate;
        const refusal = refusals.shift();
        if (refusal !== undefined) throw refusal;
        served.add(specification!.name);
        return [describe(specification!.name)];
      },
      changeRules: ([specification]) => {
        const { name, lines } = specification!;
        log.push(`change ${name} to safe=${lines[0]!.safe}`);
        return Promise.resolve([describe(name)]);
      },
      removeWhole: async (name) => {
        await gate;
        const error = errors.shift();
        if (error !== undefined && !(error instanceof LinesHeldError)) {
          throw error;
        }
        if (!served.delete(name)) throw new Error(`there is no ${name}`);
        if (error !== undefined) throw error;
        return [describe(name)];
      },
    },
    keeper: {
      keep: (name) => log.push(`keep ${name}`),
      keepRules: (name, rules) =>
        log.push(`keep rules of ${name} ${JSON.stringify(rules)}`),
      drop: (name) => log.push(`drop ${name}`),
      restored: (name) => ({
        body: undefined,
        rules: {},
        claim: restored.find(({ made }) => made.name === name)?.claim,
      }),
    },
    events: {
      removed: (name, reason) => log.push(`removed ${name}: ${reason}`),
      leaseOver: (name, { uid }, error = "done") =>
        log.push(`lease of ${uid} for ${name}: ${error}`),
      stuck: (name, error) => log.push(`stuck ${name}: ${error}`),
    },
    retryMs: { first: 1, most: 2 },
    grace: (over) => {
      graces.add(over);
      return () => graces.delete(over);
    },
  }, restored.map(({ made }) => made));
  /** Makes one with a lease. */
  const lend = async (name: string): Promise<LeaseDouble> => {
    const made = await creations.add(...creationOf(name));
    const lease = new LeaseDouble();
    creations.tie(
      lease as unknown as Lease,
      { ...made, lease: "stream" },
      PEER,
    );
    return lease;
  };
  return {
    creations,
    lend,
    served,
    graces,
    errors,
    refusals,
    said: () => log.splice(0),
    /** Lets the reactor do nothing until the given promise resolves. */
    hold: (until: Promise<unknown>) => gate = until,
    /** Waits until something was said that begins so. */
    heard: async (start: string) => {
      while (!log.some((line) => line.startsWith(start))) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  };
}

Deno.test("Creations knows whose a name is", async () => {
  const { creations, lend } = rig("own");
  await lend("lent");
  await creations.add(...creationOf("last", "none"));
  const names = ["own", "lent", "last"];
  assertEquals(names.map((name) => creations.leaseOf(name)), [
    "service",
    "stream",
    "none",
  ]);
  assertEquals(names.map((name) => creations.has(name)), [false, true, true]);
  for (const name of names) {
    await assertRejects(() => creations.add(...creationOf(name)), HttpError);
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

Deno.test("Creations gives the room of what is gone, or was not made, to others", async () => {
  const { creations, refusals } = rig();
  const large = (name: string): [Creation, unknown, Peer] => {
    const body = { name, lines: ["sim/4096"], lease: "none" };
    return [readCreation(body, RULES), body, PEER];
  };
  for (let i = 0; i < 16; i++) await creations.add(...large(`a${i}`));
  const refused = () =>
    assertRejects(
      () => creations.add(...creationOf("more")),
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
});

Deno.test("Creations ends with the lease, and says so", async () => {
  const { lend, said, heard, served } = rig();
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
  const { creations, lend, errors, heard, said, served } = rig();
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
  await creations.add(...creationOf("a"));
});

Deno.test("Creations stops retrying a removal that another call has done", async () => {
  const { creations, lend, errors, heard, said } = rig();
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
  const { creations, lend, errors, heard, said } = rig();
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
  const { creations, lend, hold } = rig();
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
  const { creations, hold, said, served } = rig();
  for (const name of ["a", "b"]) {
    await creations.add(...creationOf(name, "none"));
  }
  const gate = Promise.withResolvers<void>();
  hold(gate.promise);
  said();
  const removal = creations.remove("a", "removed by a client");
  const change = creations.changeRules("b", { 0: { safe: 1 } }, async () => {
    await gate.promise;
    return creationOf("b", "none")[0].specification;
  });
  const left = creations.endLeases("the service ends");
  for (
    const refused of [
      () => creations.remove("b", "removed by a client"),
      () => creations.changeRules("b", {}, () => Promise.resolve(undefined)),
      () => creations.add(...creationOf("c", "none")),
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
  const { creations, refusals, said } = rig();
  const invalid = new ConfigError("has no such line");
  refusals.push(invalid, new Error("line 3 is busy"));
  const error = await assertRejects(() => creations.add(...creationOf("a")));
  assertEquals(error, invalid);
  await assertRejects(
    () => creations.add(...creationOf("a")),
    HttpError,
    "line 3 is busy",
  );
  assertEquals(said(), ["keep a", "drop a", "keep a", "drop a"]);
  assertEquals(creations.has("a"), false);
  await creations.add(...creationOf("a"));
});

Deno.test("Creations says of lines that are not free that their aggregator is gone", async () => {
  const { creations, lend, errors, heard, said } = rig();
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
  const { creations, hold, served } = rig("own");
  for (const name of ["own", "last"]) {
    if (name === "last") await creations.add(...creationOf(name, "none"));
    const gate = Promise.withResolvers<void>();
    hold(gate.promise);
    const removal = creations.remove(name, "by hand", true);
    const next = creations.add(...creationOf(name, "none"));
    assert(!await settlesWithin(creations.settled(name), 0));
    gate.resolve();
    await Promise.all([removal, next]);
    assertEquals([creations.leaseOf(name), served.has(name)], ["none", true]);
    await creations.remove(name, "by hand");
  }
});

Deno.test("Creations removes what is being made once it is made, with its lease", async () => {
  const { creations, lend, hold, served } = rig();
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
  const { creations, lend, served } = rig();
  const lease = await lend("a");
  served.delete("a");
  await assertRejects(() => creations.remove("a", "by hand"), Error, "no a");
  assertEquals([creations.has("a"), lease.ended], [false, "by hand"]);
  await creations.add(...creationOf("a"));
});

Deno.test("Creations ends what a restart cannot keep, and leaves the rest", async () => {
  const { creations, lend, served } = rig("own");
  const lease = await lend("a");
  const body = { name: "k", lines: ["gpiochip0/1"], kernelChip: {} };
  const made = await creations.add(readCreation(body, RULES), body, PEER);
  const chip = new LeaseDouble();
  creations.tie(chip as unknown as Lease, { ...made, lease: "stream" }, PEER);
  await creations.add(...creationOf("last", "none"));
  await creations.endLeases("the service ends");
  assertEquals([chip.ended, chip.token], ["the service ends", undefined]);
  assertEquals([lease.ended, lease.gone], [undefined, undefined]);
  assertEquals([...served], ["own", "a", "last"]);
});

Deno.test("Creations gives a token only where the next process goes on", async () => {
  const { lend } = rig();
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
  const made = await creations.add(...creationOf("a"));
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
  const { creations, graces, heard, said } = rigOf([], [kept]);
  assertEquals(creations.leaseOf("a"), "stream");
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
  const { creations, graces } = rigOf(["own"], [kept, other, lasting]);
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
  const { creations, graces, heard, said, served } = rigOf([], [kept]);
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
  const { creations, graces, said, served } = rigOf([], [kept]);
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
  const { creations, graces, said } = rigOf([], [kept]);
  await creations.remove("a", "by hand");
  assertEquals(graces.size, 0);
  await assertRejects(() => creations.claim("a", token, PEER), HttpError);
  await creations.add(...creationOf("a", "none"));
  assertEquals(said(), ["drop a", "removed a: by hand", "keep a"]);
});

const UNSAFE = new UnsafeLinesError("a", [{
  aggregator: "a",
  lineNumber: 0,
  line: "RELAY",
  reason: "remote I/O error (EREMOTEIO)",
  isRetried: true,
}]);

Deno.test("Creations keeps what is not in its declared state, until it is", async () => {
  const { creations, errors, said, served } = rig();
  await creations.add(...creationOf("a", "none"));
  errors.push(UNSAFE);
  await assertRejects(
    () => creations.remove("a", "by hand"),
    UnsafeLinesError,
    "a.RELAY (remote I/O error (EREMOTEIO)) is not in its declared state",
  );
  assert(creations.has("a"));
  // The reactor has let it go by now.
  served.delete("a");
  creations.removedLate("a");
  assert(!creations.has("a"));
  assertEquals(said().slice(1), [
    "drop a",
    "removed a: its lines are in their declared state now",
  ]);
});

Deno.test("Creations does not call a lease's end done while lines are not safe", async () => {
  const { creations, lend, errors, heard, said, served } = rig();
  const lease = await lend("a");
  errors.push(UNSAFE);
  lease.gone!();
  await heard("lease of 1000 for a");
  assertEquals(said().slice(1), [`lease of 1000 for a: ${UNSAFE.message}`]);
  assert(creations.has("a"));
  served.delete("a");
  creations.removedLate("a");
  assertEquals(lease.ended, "its lines are in their declared state now");
});

Deno.test("Creations forgets once what two remove at once", async () => {
  const { creations, lend, said } = rig();
  const lease = await lend("a");
  said();
  const first = creations.remove("a", "first");
  const second = creations.remove("a", "second");
  await first;
  await assertRejects(() => second);
  assertEquals(lease.ended, "first");
  assertEquals(said(), ["drop a", "removed a: first"]);
});

Deno.test("Creations removes an aggregator whose chip another process removed", async () => {
  const { creations, lend, heard, said, served } = rig("own");
  const lease = await lend("a");
  said();
  creations.chipGone("own");
  creations.chipGone("a");
  await heard("removed");
  assertEquals(said(), ["drop a", "removed a: its chip was taken down"]);
  assertEquals(lease.ended, "its chip was taken down");
  assertEquals([...served], ["own"]);
});

Deno.test("Creations tells every maker that the service ends, and keeps none", async () => {
  const { creations, lend, said } = rig();
  const lease = await lend("a");
  await creations.add(...creationOf("b", "none"));
  said();
  await creations.close("the service ends");
  assertEquals(lease.ended, "the service ends");
  assertEquals(said(), ["drop a", "drop b"]);
  assertEquals([creations.has("a"), creations.has("b")], [false, false]);
  await assertRejects(() => creations.add(...creationOf("c")), HttpError);
});

Deno.test("Creations ends the lease of what was removed before its maker was told", async () => {
  const { creations } = rig();
  const made = await creations.add(...creationOf("a"));
  await creations.remove("a", "by hand");
  const lease = new LeaseDouble();
  creations.tie(
    lease as unknown as Lease,
    { ...made, lease: "stream" },
    PEER,
  );
  assertEquals(lease.ended, "it was removed");
});

Deno.test("changes of rules follow each other, and are kept together", async () => {
  const { creations, said } = rig("own");
  const work = new WorkTurns<number>();
  await creations.add(...creationOf("a", "none"));
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
  const { creations, said } = rig();
  for (const name of ["a", "b"]) {
    await creations.add(...creationOf(name, "none"));
  }
  said();
  const slow = Promise.withResolvers<void>();
  const first = creations.changeRules("a", {}, async (before, next) => {
    await slow.promise;
    return [...plannedChange(before, next, RULES)].length > 0
      ? creationOf("a")[0].specification
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
