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
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assertEquals(log.map((text) => text.split("\n")[0]), [
    "internal error: a rejection",
    "internal error: an error",
  ]);
});
