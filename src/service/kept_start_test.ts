import { assertEquals } from "@std/assert";
import { KeptStart } from "./kept_start.ts";

Deno.test("KeptStart leaves to the next start what there is, until it is over", () => {
  assertEquals(new KeptStart(undefined).leaves, false);
  assertEquals(new KeptStart({ leftNames: [] }).leaves, false);
  const start = new KeptStart({ leftNames: ["line.gpiochip0.1"] });
  assertEquals(start.leaves, true);
  start.end();
  assertEquals(start.leaves, false);
});

Deno.test("KeptStart says that it leaves all before it does", async () => {
  const done: string[] = [];
  const start = new KeptStart({ leftNames: ["line.gpiochip0.1"] });
  const reactor = {
    handOver: () => {
      done.push("handed over");
      return Promise.resolve(true);
    },
  };
  await start.leave(reactor, (text) => done.push(text));
  assertEquals(done, [
    "cannot start: lines and sessions that were kept stay as they are, for " +
    "the next start",
    "handed over",
  ]);
});
