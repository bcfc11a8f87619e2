import { assertEquals } from "@std/assert";
import { readSmallFile } from "./files.ts";
import { ThreadPriority } from "./thread_priority.ts";

/** Field 19 of proc_pid_stat(5), behind the name in brackets. */
function niceOfThread(): number {
  const stat = readSmallFile("/proc/thread-self/stat")!;
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
}

Deno.test("a thread's nice value changes by so many steps, if that is allowed", () => {
  const before = niceOfThread();
  const priority = new ThreadPriority();
  // Upwards is always allowed.
  assertEquals(priority.set(-2), true);
  const lowered = niceOfThread();
  assertEquals(lowered, Math.min(19, before + 2));
  const isAllowed = priority.set(0);
  assertEquals(niceOfThread(), isAllowed ? before : lowered);
});
