import { assertEquals } from "@std/assert";
import { MAX_PAGES, PageBudget } from "./page_budget.ts";

Deno.test("PageBudget gives what it has, and a little more to later sessions", () => {
  let now = 1000;
  const budget = new PageBudget(() => now);
  budget.beginSession();
  assertEquals(budget.take(MAX_PAGES - 1), true);
  assertEquals([budget.take(1), budget.take(1)], [true, false]);
  // However long a session lasts.
  now += 1000;
  assertEquals(budget.take(1), false);
  budget.beginSession();
  assertEquals([budget.take(16), budget.take(1)], [true, false]);
  // What was refused is not owed, and time saves no more than there was.
  now += 10_000_000;
  budget.beginSession();
  assertEquals([budget.take(MAX_PAGES), budget.take(1)], [true, false]);
});
