import { assertEquals } from "@std/assert";
import { reportUnexpected } from "./unexpected.ts";

Deno.test("reportUnexpected() reports rejections and errors that nothing caught", async () => {
  const log: string[] = [];
  {
    using _unexpected = reportUnexpected((text) => log.push(text));
    void Promise.reject(new Error("a rejection"));
    setTimeout(() => {
      throw new Error("an error");
    }, 0);
    while (log.length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  // On a busy machine the timer may be first.
  assertEquals(log.map((text) => text.split("\n")[0]).sort(), [
    "internal error: a rejection",
    "internal error: an error",
  ]);
});
