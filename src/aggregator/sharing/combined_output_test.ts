import { assertEquals } from "@std/assert";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import { Direction, FAILED, LineOperation, PENDING } from "../../line/port.ts";
import { CombinedOutput } from "./combined_output.ts";
import { PersistedVote } from "../restart/persisted_vote.ts";
import { FdStoreDouble } from "../../../tests/doubles/fd_store_double.ts";

const REASON = "remote I/O error (EREMOTEIO)";

function rig(combine: "or" | "and", rules = [",safe=0", ",safe=0"]) {
  const source = new SourceDouble();
  const loop = new LoopDouble();
  const combined = new CombinedOutput(source, combine, () => {}, loop);
  const users = rules.map((rule, i) =>
    new LineRig(
      `user${i}`,
      `,combine=${combine}${rule}`,
      combined.open({
        user: `user${i}`,
        keepsFound: rule.includes("as-is"),
        onClose: () => {},
      }),
      loop,
    )
  );
  for (const { line } of users) line.start();
  return { source, users, loop };
}

Deno.test("CombinedOutput with or is active while any user wants it", () => {
  const { source, users: [a, b] } = rig("or");
  assertEquals(source.taken(), ["Output 0"]);
  a!.line.submit(LineOperation.SetValue, 1);
  b!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.taken(), ["SetValue 1"]);
  a!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.taken(), []);
  b!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.taken(), ["SetValue 0"]);
});

Deno.test("CombinedOutput with and is active while all users want it", () => {
  const { source, users: [a, b] } = rig("and");
  a!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.value, 0);
  b!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.value, 1);
  a!.line.guestGone();
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput forgets the vote of a guest that is gone", () => {
  const { source, users: [a, b] } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  b!.line.submit(LineOperation.SetValue, 1);
  a!.line.guestGone();
  assertEquals(source.value, 1);
  b!.line.guestGone();
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput keeps a dead guest's vote where its rule says so", () => {
  const { source, users: [a, b] } = rig("or", [
    ",on-disconnect=keep",
    ",safe=1",
  ]);
  a!.line.submit(LineOperation.SetValue, 1);
  a!.line.guestGone();
  b!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.value, 1);
  a!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.value, 0);
  b!.line.guestGone();
  assertEquals(source.value, 1);
});

Deno.test("CombinedOutput shows every user the line as it is", () => {
  const { users: [a, b] } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  assertEquals(b!.line.submit(LineOperation.GetValue, 0), 1);
  assertEquals(b!.line.direction, Direction.Output);
  assertEquals(b!.line.submit(LineOperation.Input, 0), FAILED);
});

Deno.test("CombinedOutput takes an active line over where a user says as-is", () => {
  const source = new SourceDouble();
  source.value = 1;
  const combined = new CombinedOutput(source, "or", () => {}, new LoopDouble());
  const user = new LineRig(
    "a",
    ",combine=or,initial=as-is",
    combined.open({ user: "a", keepsFound: true, onClose: () => {} }),
  );
  user.line.start();
  assertEquals(source.taken(), ["Output 1"]);
});

Deno.test("CombinedOutput drives what is wanted once its slow source has time", () => {
  const { source, users: [a, b] } = rig("or");
  source.taken();
  source.isSlow = true;
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), PENDING);
  assertEquals(b!.line.submit(LineOperation.SetValue, 1), PENDING);
  source.answer();
  assertEquals([a!.taken(), b!.taken()], [["done 0"], ["done 0"]]);
  assertEquals(source.taken(), ["SetValue 1"]);
});

Deno.test("CombinedOutput undoes a vote that failed", () => {
  const { source, users: [a, b] } = rig("or");
  source.isAbsent = true;
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), FAILED);
  source.isAbsent = false;
  source.listener!.presence(true);
  assertEquals(source.value, 0);
  assertEquals(b!.line.submit(LineOperation.SetValue, 0), 0);
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput drops the votes of guests that went while its chip was away", () => {
  const { source, users: [a] } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  source.isAbsent = true;
  source.taken();
  a!.line.guestGone();
  assertEquals(source.taken(), ["remember Output 0"]);
  source.isAbsent = false;
  source.listener!.presence(true);
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput goes on without a user that was removed", () => {
  const { source, users: [a, b] } = rig("and");
  b!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.value, 0);
  a!.line[Symbol.dispose]();
  assertEquals(source.value, 1);
  source.taken();
  b!.line[Symbol.dispose]();
  assertEquals(source.taken(), ["SetValue 0", "dispose"]);
});

/** A combined output that an earlier process drove, for users with votes. */
function keptRig(
  combine: "or" | "and",
  value: 0 | 1,
  votes: readonly (0 | 1 | undefined)[],
) {
  const source = new SourceDouble();
  source.isKept = true;
  source.direction = Direction.Output;
  source.value = value;
  let store = new FdStoreDouble();
  for (const [i, vote] of votes.entries()) {
    using earlier = PersistedVote.open(store, `vote.${i}`);
    earlier.vote = vote;
    store = store.restart();
  }
  const combined = new CombinedOutput(
    source,
    combine,
    () => {},
    new LoopDouble(),
  );
  const all: LineRig[] = [];
  const open = (i: number) => {
    const user = new LineRig(
      `user${i}`,
      `,combine=${combine},direction=output,safe=0`,
      combined.open({
        user: "a",
        keepsFound: false,
        kept: PersistedVote.open(store, `vote.${i}`),
        onClose: () => {},
      }),
    );
    user.line.start();
    all.push(user);
    return user;
  };
  const dispose = () => {
    for (const { line } of all) line[Symbol.dispose]();
    store[Symbol.dispose]();
  };
  return { source, combined, store, open, [Symbol.dispose]: dispose };
}

Deno.test("CombinedOutput holds a kept line until all its users have come again", () => {
  using rig = keptRig("and", 0, [1, 1, 0]);
  const { source, combined, open } = rig;
  const users = [0, 1].map(open);
  users[0]!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.taken(), [], "these two alone would make it active");
  users.push(open(2));
  combined.takenOver();
  assertEquals(source.taken(), []);
  users[2]!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.taken(), ["SetValue 1"]);
});

Deno.test("CombinedOutput does what was requested while a kept line was held", () => {
  using rig = keptRig("or", 1, [1, 0]);
  const { source, combined, open } = rig;
  const [a] = [0, 1].map(open);
  assertEquals(a!.line.submit(LineOperation.SetValue, 0), 0);
  assertEquals(source.taken(), []);
  combined.takenOver();
  assertEquals(source.taken(), ["SetValue 0"]);
});

Deno.test("CombinedOutput drops the vote of a user that does not come again", () => {
  using rig = keptRig("or", 1, [0, undefined]);
  const { source, combined, open } = rig;
  [0, 1].map(open);
  combined.takenOver();
  assertEquals(source.taken(), ["SetValue 0"]);
});

Deno.test("CombinedOutput makes a kept line safe that is let go before all have come", () => {
  using rig = keptRig("or", 1, [1]);
  const { source, open, store } = rig;
  const { line } = open(0);
  assertEquals(store.names, ["vote.0"]);
  line[Symbol.dispose]();
  assertEquals(source.taken(), ["SetValue 0", "dispose"]);
  assertEquals(store.names, []);
});

Deno.test("CombinedOutput that stays active without any guest is retried until it is not", () => {
  const { source, users: [a, b], loop } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  b!.line.submit(LineOperation.SetValue, 0);
  source.refusals = 6;
  a!.line.guestGone();
  assertEquals(source.value, 1);
  assertEquals(a!.reports[0], "user0 lacks safe value 0: " + REASON);
  // The other one's word does not bring the dead one's vote back.
  source.refusals = 0;
  assertEquals(b!.line.submit(LineOperation.SetValue, 0), 0);
  assertEquals(source.value, 0);
  loop.pass(2000);
  assertEquals([a!.line.pendingRule, b!.line.pendingRule], [
    undefined,
    undefined,
  ]);
});

Deno.test("CombinedOutput drives what is left of the votes when a user is removed", () => {
  const { source, users: [a, b], loop } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  source.refusals = 5;
  a!.line[Symbol.dispose]();
  assertEquals(source.value, 1);
  assertEquals(b!.line.pendingRule?.rule, "combined value 0");
  loop.pass(2000);
  assertEquals(source.value, 0);
  assertEquals(b!.line.pendingRule, undefined);
  assertEquals(b!.reports.length, 2);
});

Deno.test("CombinedOutput does not believe a value that a refused drive may have changed", () => {
  const { source, users: [a], loop } = rig("or");
  source.refusals = 1;
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), FAILED);
  // The chip did it all the same.
  source.value = 1;
  source.taken();
  loop.pass(10);
  assertEquals(source.taken(), ["SetValue 0"]);
});
