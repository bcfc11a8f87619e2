/** The thread that answers guests comes before those that answer API clients. */
import { assertEquals } from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { ApiService } from "../environment/api_service.ts";
import { until } from "../environment/wait.ts";
import { lacksRoot } from "../doubles/skipped.ts";

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
  ignore: lacksRoot("priorities above a limit"),
  fn: async () => {
    await using service = await ApiService.start();
    await service.client.list();
    const lower = () => {
      const [own, ...others] = niceValues(service.process.pid);
      return new Set(
        others.filter((nice) => nice !== own).map((nice) => own! - nice),
      );
    };
    // Not while it starts: a reactor that is busy for long has no priority.
    await until("the priority", () => lower().size > 0);
    assertEquals([...lower()], [REACTOR_STEPS]);
  },
});
