import { assertEquals, assertThrows } from "@std/assert";
import { childEnd } from "./child_end.ts";

function shell(script: string): Deno.ChildProcess {
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", script],
    stdin: "null",
  }).spawn();
  child.unref();
  return child;
}

Deno.test("childEnd() waits for a child", async () => {
  assertEquals((await childEnd(shell("exit 3"))).code, 3);
});

Deno.test("childEnd() returns how a child ended that is gone already", async () => {
  const child = shell("exit 4");
  assertEquals((await childEnd(child)).code, 4);
  assertThrows(() => child.ref(), Deno.errors.BadResource);
  assertEquals((await childEnd(child)).code, 4);
});
