import { assertEquals } from "@std/assert";
import { hasEnded, killProcess, openProcess } from "./process.ts";

Deno.test("a process is killed by its handle, and only once", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  using process = openProcess(child.pid)!;
  assertEquals(hasEnded(process), false);
  killProcess(process);
  assertEquals((await child.status).signal, "SIGKILL");
  assertEquals(hasEnded(process), true);
  killProcess(process);
  assertEquals(openProcess(child.pid), undefined);
});
