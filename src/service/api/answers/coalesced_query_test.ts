import { assertEquals, assertRejects } from "@std/assert";
import { CoalescedQuery, restMs } from "./coalesced_query.ts";

/** A question whose answers come when the test wants them. */
function rig() {
  const asked: string[] = [];
  const waiting: PromiseWithResolvers<string>[] = [];
  const question = new CoalescedQuery((subject) => {
    asked.push(subject);
    const answer = Promise.withResolvers<string>();
    waiting.push(answer);
    return answer.promise;
  });
  return { asked, waiting, question };
}

/** Lets everything happen that waits for nothing else. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("CoalescedQuery asks once for all who came meanwhile", async () => {
  const { asked, waiting, question } = rig();
  const first = question.ask("a");
  const others = [question.ask("a"), question.ask("a")];
  assertEquals(asked, ["a"]);
  waiting[0]!.resolve("old");
  assertEquals(await first, "old");
  await settle();
  assertEquals(asked, ["a", "a"]);
  const late = question.ask("a");
  waiting[1]!.resolve("new");
  assertEquals(await Promise.all(others), ["new", "new"]);
  await settle();
  waiting[2]!.resolve("newest");
  assertEquals(await late, "newest");
  await settle();
  void question.ask("a");
  assertEquals(asked.length, 4, "nothing is kept");
});

Deno.test("CoalescedQuery keeps subjects apart, and goes on after a failure", async () => {
  const { asked, waiting, question } = rig();
  const failed = question.ask("a");
  const other = question.ask("b");
  const next = question.ask("a");
  assertEquals(asked, ["a", "b"]);
  waiting[0]!.reject(new Error("not now"));
  await assertRejects(() => failed, Error, "not now");
  await settle();
  assertEquals(asked, ["a", "b", "a"]);
  waiting[1]!.resolve("b's");
  waiting[2]!.resolve("a's");
  assertEquals(await Promise.all([other, next]), ["b's", "a's"]);
});

Deno.test("CoalescedQuery rests after a long answer, and asks once for all who came meanwhile", async () => {
  let asked = 0;
  const rests: number[] = [];
  const rest = Promise.withResolvers<void>();
  const clock = {
    now: () => 0,
    rest: (ms: number) => {
      rests.push(ms);
      return rest.promise;
    },
  };
  const question = new CoalescedQuery(
    (_subject) => Promise.resolve(++asked),
    () => 30,
    clock,
  );
  assertEquals(await question.ask("a"), 1);
  await settle();
  const answers = [question.ask("a"), question.ask("a")];
  await settle();
  answers.push(question.ask("a"));
  await settle();
  assertEquals([asked, rests], [1, [30]]);
  rest.resolve();
  assertEquals(await Promise.all(answers), [2, 2, 2]);
});

Deno.test("restMs() leaves four fifths of the time to others", () => {
  const large = new Uint8Array(200_000);
  assertEquals(restMs(10, large), 40);
  assertEquals(restMs(1000, large), 100);
  // A short answer waited for others, and an error is none.
  assertEquals(restMs(1000, new Uint8Array(100)), 0);
  assertEquals(restMs(4, large), 0);
  assertEquals(restMs(1000), 0);
});
