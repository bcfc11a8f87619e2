import { assertEquals } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { childEnd } from "./child_end.ts";
import { sleep } from "./wait.ts";

function shell(script: string): Deno.ChildProcess {
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", script],
    stdin: "piped",
  }).spawn();
  child.unref();
  return child;
}

testSerially("childEnd() waits for a child", async () => {
  const child = shell("read -r word; exit 3");
  const end = childEnd(child);
  await child.stdin.close();
  assertEquals((await end).code, 3);
  assertEquals((await childEnd(child)).code, 3);
});

testSerially(
  "childEnd() returns how a child ended that is just going",
  async () => {
    for (let i = 0; i < 10; i++) {
      const child = shell("read -r word; exit 4");
      await child.stdin.close();
      // Deno throws at some of these moments: it has seen the end, and not told it.
      await sleep(i % 5);
      assertEquals((await childEnd(child)).code, 4);
    }
  },
);
