/**
 * The compiled executable after its file was removed, or replaced by a newer one,
 * while it runs: it reads its own file when it starts.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { until } from "../environment/wait.ts";
import { ChildProcess } from "../environment/process.ts";
import { EXECUTABLE, lacksExecutable } from "../environment/program.ts";
import { Installation, run } from "./executable_rig.ts";

const ignore = lacksExecutable();
const LIMIT_MS = 120_000;

/** Change of the file. */
const CHANGES: Readonly<Record<string, (program: string) => void>> = {
  "removed": (program) => Deno.removeSync(program),
  "replaced by a newer one": (program) => {
    Deno.copyFileSync(EXECUTABLE!, `${program}.new`);
    Deno.renameSync(`${program}.new`, program);
  },
};

/** Processes of a program that serve an isolated aggregator. */
function isolatedProcesses(program: string): number[] {
  return listDirectory("/proc").filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const words = (readSmallFile(`/proc/${pid}/cmdline`) ?? "").split("\0");
      return words[0] === program && words[1] === "serve-isolated";
    }).map(Number);
}

for (const [change, make] of Object.entries(CHANGES)) {
  Deno.test({
    name:
      `an isolated aggregator is started again after the file was ${change}`,
    ignore,
    fn: async () => {
      using installation = new Installation();
      const { directory, program } = installation;
      const temporary = `${directory}/tmp`;
      Deno.mkdirSync(temporary);
      const socket = `${directory}/apart.sock`;
      await using service = new ChildProcess({
        command: program,
        args: [
          ...["serve", "--json", "--isolate"],
          ...["--socket-path", socket, "--line", "sim/2,as=LAMP"],
        ],
        env: { TMPDIR: temporary },
      });
      await service.waitFor('"event":"ready"', { timeoutMs: LIMIT_MS });
      const [first, ...others] = isolatedProcesses(program);
      if (first === undefined) throw new Error(service.stderr);
      assertEquals(others, []);
      make(program);
      Deno.kill(first, "SIGKILL");
      await until("another process", () => {
        const pids = isolatedProcesses(program);
        return pids.length === 1 && pids[0] !== first;
      }, LIMIT_MS);
      const deadline = Date.now() + LIMIT_MS;
      let probed = await run(EXECUTABLE!, ["probe", socket]);
      while (probed.code !== 0 && Date.now() < deadline) {
        probed = await run(EXECUTABLE!, ["probe", socket]);
      }
      assertEquals(probed.code, 0, probed.stderr + service.stderr);
      assertStringIncludes(probed.stdout, "LAMP1");
      await until(
        "the end of the copy",
        () => listDirectory(temporary).length === 0,
        LIMIT_MS,
      );
      service.kill("SIGTERM");
      assertEquals((await service.waitForExit()).code, 0, service.stderr);
    },
  });

  Deno.test({
    name: `the guardian makes lines safe after the file was ${change}`,
    ignore,
    fn: async () => {
      using installation = new Installation();
      const { directory, program } = installation;
      const log = `${directory}/log`;
      await using vmm = new ChildProcess({
        command: "/bin/sh",
        args: [
          ...["-c", `exec "$@" 2>${log}`, "sh", program, "run"],
          // A chip that may be absent: what a host without GPIO can offer.
          ...["--line", "gpiochip99/0,safe=0,optional"],
          ...["--", "/bin/sh", "-c", "echo started; read -r line", "{socket}"],
        ],
        input: true,
      });
      await vmm.waitFor("started", { timeoutMs: LIMIT_MS });
      make(program);
      vmm.kill("SIGKILL");
      const said = () => readSmallFile(log) ?? "";
      await until(
        "the outcome",
        () => /(its lines are|not all of its lines are) in their/.test(said()),
        LIMIT_MS,
      );
      assertStringIncludes(said(), "its lines are in their safe state");
    },
  });
}
