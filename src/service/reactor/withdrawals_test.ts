import { assertEquals } from "@std/assert";
import type { Answer, Command } from "../messages/messages.ts";
import { Withdrawals } from "./withdrawals.ts";

const unsafe = (isRetried: boolean) => ({
  aggregator: "a",
  lineNumber: 0,
  line: "L0",
  reason: "busy",
  isRetried,
});

/** A reactor that answers with these lines, one answer after the other. */
function rig(...answers: ReturnType<typeof unsafe>[][]) {
  const asked: Command[] = [];
  const withdrawals = new Withdrawals({
    ask: (command): Promise<Answer> => {
      asked.push(command);
      return Promise.resolve({
        aggregators: [],
        unsafe: answers.shift() ?? [],
      });
    },
  });
  return { asked, withdrawals };
}

Deno.test("lines are waited for until they are in their declared state", async () => {
  const { asked, withdrawals } = rig([unsafe(true)], [unsafe(true)], []);
  assertEquals(await withdrawals.untilSafe({ name: "a" }), []);
  assertEquals(asked, Array(3).fill({ kind: "withdraw", name: "a" }));
});

Deno.test("lines that are not retried are not waited for", async () => {
  const { asked, withdrawals } = rig([unsafe(false)]);
  assertEquals(await withdrawals.untilSafe({}), [unsafe(false)]);
  assertEquals(asked.length, 1);
});

Deno.test("the wait for lines has a limit", async () => {
  const { asked, withdrawals } = rig([unsafe(true)], [unsafe(true)]);
  assertEquals(await withdrawals.untilSafe({}, 0), [unsafe(true)]);
  assertEquals(asked.length, 1);
});

Deno.test("an aggregator whose lines are late is removed once", async () => {
  const { asked, withdrawals } = rig();
  let removals = 0;
  const done = Promise.withResolvers<void>();
  const how = {
    remove: () => Promise.resolve(removals++),
    removed: done.resolve,
  };
  withdrawals.finishLater("a", true, how);
  withdrawals.finishLater("a", true, how);
  await done.promise;
  assertEquals(removals, 1);
  assertEquals(asked, [{ kind: "withdraw", name: "a", isWhole: true }]);
});

Deno.test("a late removal that fails is not reported as done", async () => {
  const { withdrawals } = rig();
  const outcomes: string[] = [];
  const attempt = (error?: Error) => {
    const tried = Promise.withResolvers<void>();
    withdrawals.finishLater("a", false, {
      remove: () => {
        queueMicrotask(tried.resolve);
        return error === undefined ? Promise.resolve() : Promise.reject(error);
      },
      removed: () => outcomes.push("removed"),
    });
    return tried.promise;
  };
  await attempt(new Error("another request removed it"));
  // Everything that the failure leads to is over after a turn.
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(outcomes, []);
  // It can be tried again.
  await attempt();
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(outcomes, ["removed"]);
});
