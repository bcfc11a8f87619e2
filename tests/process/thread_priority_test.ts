/** The thread that answers guests comes before those that answer API clients. */
import { assertEquals } from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { ApiService } from "../environment/api_service.ts";

const REACTOR_STEPS = 10;

/** Nice values of a process's threads, its main thread's first. */
function niceValues(pid: number): number[] {
  return listDirectory(`/proc/${pid}/task`).map(Number).sort((a, b) => a - b)
    .map((thread) => {
      const stat = readSmallFile(`/proc/${pid}/task/${thread}/stat`) ?? "";
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
    });
}

Deno.test({
  name: "a guest's thread has a lower nice value than all others",
  // An unprivileged service takes a limit for that, which the units set.
  ignore: effectiveUserId() !== 0,
  fn: async () => {
    await using service = await ApiService.start();
    await service.client.list();
    const [own, ...others] = niceValues(service.process.pid);
    const lower = others.filter((nice) => nice < own!);
    assertEquals(lower, [own! - REACTOR_STEPS]);
  },
});
